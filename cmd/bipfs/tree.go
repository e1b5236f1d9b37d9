//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/metainfo"
	"bipfs/fs"
)

// tree shows the torrents of a client as directories. It holds nothing but what
// was looked up (visit.go): every id is computed.
//
//	id = slot << 32 | entry
//
//	slot 0         the mount's own tree: entry 1 is the root, 2 is .bipfs (box.go)
//	slot s, e      node e of the torrent's tree; 0 is its directory
//	slot s, 0      a folder that torrents stand in (folders.go)
//	slot s, 2^32-1 the link from its infohash; below it those of earlier names
//	2^63 | …       the directory of an infohash that nobody has added
//
// Slots are stored with the torrents and never used again, so an id means the
// same after every restart.
type tree struct {
	client *engine.Client
	visiting
	box
}

// newTree is the tree of a client's torrents, and of no others.
func newTree(client *engine.Client, log *slog.Logger) *tree {
	t := &tree{client: client}
	t.who = onDemandOff
	t.spool.client, t.spool.log = client, log
	return t
}

const (
	rootID    fs.ID = 1
	controlID fs.ID = 2 // .bipfs

	hashLink  uint32 = 1<<32 - 1 // entry of the link from the infohash
	firstLink        = hashLink - 1<<16
)

// controlName is the name of the mount's own directory.
const controlName = ".bipfs"

// resolveTime is how long opening the directory of a magnet link waits for its
// metadata, the first time.
const resolveTime = 5 * time.Second

func id(slot uint32, entry uint32) fs.ID { return fs.ID(slot)<<32 | fs.ID(entry) }

// node finds the torrent and the entry that an id stands for.
func (t *tree) node(of fs.ID) (*engine.Torrent, uint32, error) {
	torrent := t.client.BySlot(uint32(of >> 32))
	if torrent == nil {
		return nil, 0, syscall.ENOENT
	}
	return torrent, uint32(of), nil
}

// entry finds a node of a torrent whose metadata is here.
func entry(torrent *engine.Torrent, e uint32) (*metainfo.Info, metainfo.Node, error) {
	info := torrent.Info()
	if info == nil {
		return nil, metainfo.Node{}, syscall.ENODATA
	}
	nodes := info.Tree().Nodes
	if int64(e) >= int64(len(nodes)) {
		return nil, metainfo.Node{}, syscall.ENOENT
	}
	return info, nodes[e], nil
}

// Lookup finds a name in a directory.
func (t *tree) Lookup(dir fs.ID, name string) (fs.Attr, error) {
	switch {
	case dir == rootID:
		return t.lookupRoot(name)
	case inBox(dir):
		return t.lookupBox(dir, name)
	case dir&visitBit != 0:
		return t.lookupVisit(dir, name)
	}
	torrent, e, err := t.node(dir)
	if folder := t.folder(dir, err); folder != nil {
		return t.lookupFolder(folder, name)
	}
	if err != nil {
		return fs.Attr{}, err
	}
	return child(torrent, e, name)
}

func (t *tree) lookupRoot(name string) (fs.Attr, error) {
	if name == controlName {
		return t.Attr(controlID)
	}
	a, err := t.lookupFolder(t.client.Root(), name)
	if err != nil {
		if _, ok := visitOf(name); ok {
			return fs.Attr{}, fs.ErrWalk
		}
	}
	return a, err
}

// Attr is the attributes of a node.
func (t *tree) Attr(of fs.ID) (fs.Attr, error) {
	switch {
	case of == rootID:
		// Nothing that is told of it changes, whatever is added.
		return fs.Attr{ID: of, Mode: syscall.S_IFDIR | 0o555, Links: 2, Mtime: started, Ctime: started, Fixed: true}, nil
	case inBox(of):
		return t.boxAttr(of)
	case of&visitBit != 0:
		if _, _, err := t.visited(of); err != nil {
			return fs.Attr{}, err
		}
		return t.visitAttr(of), nil
	}
	torrent, e, err := t.node(of)
	if folder := t.folder(of, err); folder != nil {
		return folderAttr(folder), nil
	}
	if err != nil {
		return fs.Attr{}, err
	}
	return attr(torrent, e)
}

// started is the time of the mount's own directories.
var started = time.Now()

// attr is the attributes of entry e of a torrent.
func attr(torrent *engine.Torrent, e uint32) (fs.Attr, error) {
	a := fs.Attr{
		ID: id(torrent.Slot(), e), Mode: syscall.S_IFDIR | 0o555, Links: 2,
		Mtime: torrent.Mtime(), Ctime: torrent.Added(),
	}
	if e >= firstLink {
		a.Mode, a.Links, a.Size = syscall.S_IFLNK|0o777, 1, uint64(len(linkTarget(torrent, e)))
		return a, nil
	}
	info, n, err := entry(torrent, e)
	if err != nil {
		if e == 0 && errors.Is(err, syscall.ENODATA) {
			return a, nil // the directory of a magnet link
		}
		return fs.Attr{}, err
	}
	a.Fixed = !torrent.Guest() // of one that comes again all ids are others
	if n.File < 0 {
		return a, nil
	}
	f := info.Files[n.File]
	a.Links, a.Size = 1, uint64(f.Length)
	switch {
	case f.Link != "":
		a.Mode, a.Size = syscall.S_IFLNK|0o777, uint64(len(f.Link))
	case f.Executable:
		a.Mode = syscall.S_IFREG | 0o555
	default:
		a.Mode = syscall.S_IFREG | 0o444
	}
	return a, nil
}

// Parent is the directory that a directory lies in.
func (t *tree) Parent(of fs.ID) (fs.ID, error) {
	switch {
	case inBox(of):
		return boxParent(of), nil
	case of == rootID || of&visitBit != 0:
		return rootID, nil
	}
	torrent, e, err := t.node(of)
	if folder := t.folder(of, err); folder != nil {
		return folderID(folder.Parent()), nil
	}
	switch {
	case err != nil:
		return 0, err
	case e == hashLink:
		return rootID, nil
	case e == 0 || e >= firstLink:
		return t.standsIn(torrent), nil
	}
	_, n, err := entry(torrent, e)
	if n.Parent == 0 {
		return dirID(torrent), err
	}
	return id(torrent.Slot(), n.Parent), err
}

// OpenDir waits, the first time, for the metadata of a magnet link: a listing
// is never shorter than the truth.
func (t *tree) OpenDir(ctx context.Context, of fs.ID) error {
	switch {
	case of == rootID:
		return nil
	case inBox(of):
		_, err := t.boxAttr(of)
		return err
	case of&visitBit != 0:
		return t.open(ctx, of, t.patience)
	}
	torrent, e, err := t.node(of)
	if t.folder(of, err) != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if e == 0 && torrent.Info() == nil {
		return waitResolved(ctx, torrent)
	}
	_, _, err = entry(torrent, e)
	return err
}

func waitResolved(ctx context.Context, torrent *engine.Torrent) error {
	wait := time.Duration(0)
	if torrent.FirstWait() {
		wait = resolveTime
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-torrent.Resolved():
		return nil
	case <-torrent.Unusable():
		return syscall.ENODATA
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return syscall.ENODATA
	}
}

// List yields the entries of a directory after the place from.
func (t *tree) List(dir fs.ID, from uint64, yield func(next uint64, e fs.Entry) bool) error {
	switch {
	case dir == rootID:
		return listFolder(t.client.Root(), from, yield)
	case inBox(dir):
		return t.listBox(dir, from, yield)
	}
	torrent, e, err := t.nodeOrVisit(dir)
	if folder := t.folder(dir, err); folder != nil {
		return listFolder(folder, from, yield)
	}
	if err != nil {
		return err
	}
	info, n, err := entry(torrent, e)
	if err != nil {
		return err
	}
	for i := from; i < uint64(len(n.Children)); i++ {
		child := n.Children[i]
		a, err := attr(torrent, child)
		if err != nil {
			return err
		}
		if !yield(i+1, fs.Entry{Name: info.Tree().Nodes[child].Name, Attr: a}) {
			return nil
		}
	}
	return nil
}

// Link is the target of a symbolic link.
func (t *tree) Link(of fs.ID) (string, error) {
	if inBox(of) {
		return t.boxLink(of)
	}
	torrent, e, err := t.node(of)
	if err != nil {
		return "", err
	}
	if e >= firstLink {
		return linkTarget(torrent, e), nil
	}
	info, n, err := entry(torrent, e)
	if err != nil {
		return "", err
	}
	if n.File < 0 || info.Files[n.File].Link == "" {
		return "", syscall.EINVAL
	}
	return info.Files[n.File].Link, nil
}

// Open opens a file.
func (t *tree) Open(of fs.ID) (fs.Handle, error) {
	if inBox(of) {
		return t.openBox(of)
	}
	torrent, e, err := t.node(of)
	if err != nil {
		return nil, err
	}
	_, n, err := entry(torrent, e)
	if err != nil {
		return nil, err
	}
	if n.File < 0 {
		return nil, syscall.EISDIR
	}
	r, err := torrent.OpenFile(int(n.File))
	if err != nil {
		return nil, fmt.Errorf("open a file of %s: %w", torrent.Name(), err)
	}
	return handle{r}, nil
}

// Statfs is the size of all torrents, and what storing may still use.
func (t *tree) Statfs() fs.Statfs {
	size, files := uint64(0), uint64(0)
	for _, torrent := range t.client.Torrents() {
		if info := torrent.Info(); info != nil && !torrent.Guest() {
			size += uint64(info.Length)
			files += uint64(len(info.Files))
		}
	}
	return fs.Statfs{Size: size, Free: uint64(t.client.FreeToStore()), Files: files}
}

// handle is an open file.
type handle struct{ *engine.Reader }

// Read lends the kernel the memory of the disk cache.
func (h handle) Read(ctx context.Context, off int64, n int, by fs.Caller) (fs.Reply, error) {
	loans, err := h.Reader.Read(ctx, off, n, engine.Caller{TID: by.TID})
	if err != nil {
		return fs.Reply{}, err
	}
	slices := make([][]byte, len(loans))
	for i, l := range loans {
		slices[i] = l.Bytes
	}
	return fs.Reply{Slices: slices, Done: func() { release(loans) }}, nil
}

// Backing lends the kernel the file in the store.
func (h handle) Backing() (fs.Backing, bool) {
	b, ok := h.Reader.Backing()
	if !ok {
		return nil, false
	}
	return b, true
}

// Hold keeps that file for a kernel that reads it already.
func (h handle) Hold() (fs.Backing, bool) {
	b, ok := h.Reader.Hold()
	if !ok {
		return nil, false
	}
	return b, true
}

// Close closes the file.
func (h handle) Close() { h.Reader.Close() }
