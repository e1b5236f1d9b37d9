//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/fs"
	"bipfs/wire"
)

// MOUNTPOINT/.bipfs: the mount is controlled by files, for its owner and root alone. It
// is found by its name and never listed, so that nothing that goes through the mount
// falls into it (docs/adr/0029).
//
//	.bipfs/status                      as bipfs status tells it
//	.bipfs/socket                      a link to the control socket
//	.bipfs/add/                        what is written here is added (spool.go)
//	.bipfs/torrents/INFOHASH/          rmdir removes the torrent; its data stays
//	    status peers pieces why        as it was when the file was opened
type box struct {
	daemon atomic.Pointer[daemon] // nil until the mount answers
	spool  spool
}

// Entries of slot 0, after rootID and controlID. Those of what lies in add/ follow.
const (
	statusID fs.ID = iota + 3
	addID
	linksID
	errorsID
	torrentsID
	socketID
)

// socketName is the name of the link to the control socket, which is found by it where
// no other way leads there.
const socketName = "socket"

// Entries of a torrent's slot: its folder in .bipfs/torrents, and the files in it.
const (
	boxEntry = firstLink - 16
	boxFiles = boxEntry + 1
)

// boxNames are those files, in their order.
var boxNames = []string{"status", "peers", "pieces", "why"}

// fixedBox is what is always there.
var fixedBox = map[fs.ID]struct {
	name   string
	parent fs.ID
	mode   uint32
}{
	controlID:  {controlName, rootID, syscall.S_IFDIR | 0o500},
	statusID:   {"status", controlID, syscall.S_IFREG | 0o400},
	addID:      {"add", controlID, syscall.S_IFDIR | 0o700},
	torrentsID: {"torrents", controlID, syscall.S_IFDIR | 0o700},
	socketID:   {socketName, controlID, syscall.S_IFLNK | 0o777},
	linksID:    {"links", addID, syscall.S_IFREG | 0o200},
	errorsID:   {"errors", addID, syscall.S_IFREG | 0o400},
}

// inBox reports whether an id is of .bipfs.
func inBox(of fs.ID) bool {
	if of>>32 == 0 {
		return of != rootID
	}
	return of&visitBit == 0 && isBoxEntry(uint32(of))
}

func isBoxEntry(e uint32) bool { return e >= boxEntry && e < firstLink }

func boxAttr(of fs.ID, mode uint32) fs.Attr {
	a := fs.Attr{ID: of, Mode: mode, Links: 1, Mtime: started, Ctime: started}
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		a.Links = 2
	}
	return a
}

// boxAttr is Attr in .bipfs.
func (t *tree) boxAttr(of fs.ID) (fs.Attr, error) {
	if f, ok := fixedBox[of]; ok {
		return boxAttr(of, f.mode), nil
	}
	if of>>32 == 0 {
		return t.spool.attr(of)
	}
	_, e, err := t.node(of)
	switch {
	case err != nil:
		return fs.Attr{}, err
	case e == boxEntry:
		return boxAttr(of, syscall.S_IFDIR|0o500), nil
	case int(e-boxFiles) < len(boxNames):
		return boxAttr(of, syscall.S_IFREG|0o400), nil
	}
	return fs.Attr{}, syscall.ENOENT
}

// boxParent is Parent in .bipfs.
func boxParent(of fs.ID) fs.ID {
	switch f, ok := fixedBox[of]; {
	case ok:
		return f.parent
	case of>>32 == 0:
		return addID
	case uint32(of) == boxEntry:
		return torrentsID
	}
	return of&^(1<<32-1) | fs.ID(boxEntry)
}

// lookupBox is Lookup in .bipfs.
func (t *tree) lookupBox(dir fs.ID, name string) (fs.Attr, error) {
	for of, f := range fixedBox {
		if f.parent == dir && f.name == name {
			return t.boxAttr(of)
		}
	}
	switch {
	case dir == addID:
		return t.spool.lookup(name)
	case dir == torrentsID:
		if torrent := t.client.ByInfohash(name); torrent != nil {
			return t.boxAttr(id(torrent.Slot(), boxEntry))
		}
	case uint32(dir) == boxEntry:
		for i, n := range boxNames {
			if n == name {
				return t.boxAttr(dir + 1 + fs.ID(i))
			}
		}
	}
	return fs.Attr{}, syscall.ENOENT
}

// listBox is List in .bipfs.
func (t *tree) listBox(dir fs.ID, from uint64, yield func(next uint64, e fs.Entry) bool) error {
	for of := controlID + 1; of <= socketID; of++ {
		f := fixedBox[of]
		if f.parent == dir && uint64(of) > from && !yield(uint64(of), fs.Entry{Name: f.name, Attr: boxAttr(of, f.mode)}) {
			return nil
		}
	}
	switch {
	case dir == addID:
		t.spool.list(from, yield)
	case dir == torrentsID:
		for _, torrent := range added(t.client) {
			place := uint64(torrent.Slot())
			if place > from && !yield(place, fs.Entry{Name: torrent.ID(), Attr: boxAttr(id(torrent.Slot(), boxEntry), syscall.S_IFDIR|0o500)}) {
				return nil
			}
		}
	case uint32(dir) == boxEntry:
		for i := from; i < uint64(len(boxNames)); i++ {
			if !yield(i+1, fs.Entry{Name: boxNames[i], Attr: boxAttr(dir+1+fs.ID(i), syscall.S_IFREG|0o400)}) {
				return nil
			}
		}
	}
	return nil
}

// boxLink is Link in .bipfs.
func (t *tree) boxLink(of fs.ID) (string, error) {
	if of != socketID {
		return t.spool.link(of)
	}
	if d := t.daemon.Load(); d != nil && d.socket != "" {
		return d.socket, nil
	}
	return "", syscall.ENOENT
}

// openBox is Open in .bipfs.
func (t *tree) openBox(of fs.ID) (fs.Handle, error) {
	switch {
	case of == statusID:
		d := t.daemon.Load()
		if d == nil {
			return nil, syscall.EAGAIN
		}
		return lined(func(w io.Writer) { statusLines(w, d.Status()) }), nil
	case of == errorsID:
		return t.spool.said(), nil
	case of>>32 == 0:
		return nil, syscall.EACCES // it is written only
	}
	torrent, e, err := t.node(of)
	if err != nil {
		return nil, err
	}
	if e < boxFiles || int(e-boxFiles) >= len(boxNames) {
		return nil, syscall.EISDIR
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	return torrentText(ctx, torrent, boxNames[e-boxFiles]), nil
}

// askTime is how long a torrent's loop may take to tell of its peers, when a file that
// says so is opened. It has nothing that could hold it up.
const askTime = time.Second

// torrentText is what a file of .bipfs/torrents says.
func torrentText(ctx context.Context, t *engine.Torrent, name string) fs.Text {
	var err error
	text := lined(func(w io.Writer) {
		switch name {
		case "status":
			torrentLines(w, t.Status())
		case "peers":
			var all []control.Peer
			all, err = t.Peers(ctx)
			peerLines(w, all)
		case "pieces":
			pieceLines(w, t)
		case "why":
			var why control.Why
			why, err = t.Why(ctx, func(int) bool { return true })
			for _, line := range whyLines(why) {
				fmt.Fprintln(w, line)
			}
		}
	})
	if err != nil {
		return fs.Text(sentence(err) + "\n")
	}
	return text
}

// lined is what print writes, its columns in line.
func lined(print func(w io.Writer)) fs.Text {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	print(w)
	_ = w.Flush() // a Builder takes all
	return fs.Text(b.String())
}

// piecesInLine is how many pieces a line of the piece map shows.
const piecesInLine = 64

// pieceLines is a map of pieces: a # for each that is here, a dot for each that is not.
func pieceLines(w io.Writer, t *engine.Torrent) {
	info := t.Info()
	if info == nil {
		fmt.Fprintln(w, "the metadata is not here yet")
		return
	}
	n := info.Pieces()
	have, known := t.Have()
	if !known {
		s := t.Status()
		fmt.Fprintf(w, "%d pieces of %s; nobody has used it since the start: %s of it here\n", n, figure.Bytes(info.PieceLength), figure.Share(s.Here, s.Length))
		return
	}
	fmt.Fprintf(w, "%d of %d pieces of %s\n", have.Count(), n, figure.Bytes(info.PieceLength))
	line := make([]byte, 0, piecesInLine+1)
	for p := range n {
		mark := byte('.')
		if have.Has(wire.Piece(p)) {
			mark = '#'
		}
		if line = append(line, mark); len(line) == piecesInLine || p == n-1 {
			_, _ = w.Write(append(line, '\n')) // a Builder takes all
			line = line[:0]
		}
	}
}

// Remove implements fs.Inbox: rmdir in .bipfs/torrents, rm in .bipfs/add.
func (t *tree) Remove(dir fs.ID, name string, folder bool) error {
	switch {
	case dir == addID && !folder:
		return t.spool.remove(name)
	case dir != torrentsID || !folder:
		return readOnly(dir)
	}
	d := t.daemon.Load()
	if d == nil {
		return syscall.EAGAIN
	}
	torrent := d.ByInfohash(name)
	if torrent == nil {
		return syscall.ENOENT
	}
	err := d.remove(torrent, false)
	if errors.Is(err, engine.ErrRemoved) {
		return syscall.ENOENT
	}
	return err
}

// readOnly is the error for what cannot be changed in a directory.
func readOnly(dir fs.ID) error {
	if inBox(dir) {
		return syscall.EPERM
	}
	return syscall.EROFS
}
