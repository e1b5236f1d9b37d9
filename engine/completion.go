package engine

import (
	"net/netip"
	"slices"

	"bipfs/diskcache"
	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/selection"
	"bipfs/wire"
)

// completion counts, for each file, the pieces that are missing: so that a piece
// tells which files are complete with it, whatever their number. 4 bytes a file.
type completion struct {
	info *metainfo.Info
	have wire.Bitfield
	left []int32
}

// mostCompletions is how many files of one piece are named as they are complete.
const mostCompletions = 100

func newCompletion(info *metainfo.Info, have wire.Bitfield) *completion {
	c := &completion{info: info, have: have.Clone(), left: make([]int32, len(info.Files))}
	for i := range info.Files {
		first, end := c.pieces(i)
		for p := first; p < end; p++ {
			if !have.Has(p) {
				c.left[i]++
			}
		}
	}
	return c
}

// pieces are the pieces of file i: [first, end).
func (c *completion) pieces(i int) (first, end wire.Piece) {
	f := c.info.Files[i]
	if f.Length == 0 || f.Pad {
		return 0, 0
	}
	return wire.Piece(f.Offset / c.info.PieceLength), wire.Piece((f.Offset+f.Length-1)/c.info.PieceLength) + 1
}

// came notes that a piece is here, and returns the files that are complete by it.
func (c *completion) came(p wire.Piece) (files []int) {
	if !c.info.Valid(p) || c.have.Has(p) {
		return nil
	}
	c.have.Set(p)
	for i := range c.filesOf(p) {
		if c.left[i]--; c.left[i] == 0 && len(files) < mostCompletions {
			files = append(files, i)
		}
	}
	return files
}

// went notes that a piece is here no more.
func (c *completion) went(p wire.Piece) {
	if !c.info.Valid(p) || !c.have.Has(p) {
		return
	}
	c.have.Clear(p)
	for i := range c.filesOf(p) {
		c.left[i]++
	}
}

// filesOf yields the files that have bytes in a piece.
func (c *completion) filesOf(p wire.Piece) func(yield func(int) bool) {
	from := int64(p) * c.info.PieceLength
	files := c.info.Files
	i, _ := slices.BinarySearchFunc(files, from, func(f metainfo.File, at int64) int {
		if f.Offset+f.Length <= at {
			return -1
		}
		return 1
	})
	return func(yield func(int) bool) {
		for ; i < len(files) && files[i].Offset < from+c.info.PieceLength; i++ {
			if first, end := c.pieces(i); p >= first && p < end && !yield(i) {
				return
			}
		}
	}
}

// verified takes the verdict on a piece.
func (l *loop) verified(n diskcache.News) {
	l.closed(n.Piece)
	l.step(selection.Verified{Piece: n.Piece, Lease: n.Lease, OK: n.OK, Digests: n.Digests, Came: n.Came, Kept: n.Kept, Guilty: n.Guilty})
	if !n.OK {
		l.log.Info("a piece failed its hash and is fetched again", "piece", n.Piece)
		return
	}
	l.endRest(n.Piece)
	l.pinCame(n.Piece)
	l.t.broken.Store(false) // whoever brought it may have come and gone between two looks
	for _, i := range l.files.came(n.Piece) {
		l.t.fileComplete(i)
	}
	if !l.complete && l.t.whole() {
		l.setComplete(true)
		l.announceEnd()
		l.t.happens(control.Event{Event: evComplete})
	}
}

// evicted takes that a piece is here no more.
func (l *loop) evicted(p wire.Piece) {
	l.files.went(p)
	l.setComplete(false)
	l.step(selection.Evicted{Piece: p})
	l.pinWent(p)
}

// banned has nobody of the client's meet an address again.
func (l *loop) banned(addr netip.Addr, why string) {
	l.t.c.hand.Ban(addr)
	l.t.happens(control.Event{Event: evBanned, Peer: addr.String(), Error: why})
}
