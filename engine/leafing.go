package engine

import (
	"slices"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/merkle"
)

// The leaves of the pieces that are being fetched (BEP 52), asked for in groups
// from the peers that are asked for their blocks. Pure, like the layering.
//
//	request to a peer ──▶ its group's leaves are asked of it ──▶ hashes ──▶ known
//	                        ▲                          │
//	                        └── a block came ◀── reject, silence, gone
//
// A reject is not final: seeds that have not hashed a piece learn its leaves
// when they serve it. So who brings a block is asked once more, and who has not
// been asked yet is asked then. Nothing waits for any of it: a piece whose leaves
// nobody tells is verified as a whole.

const (
	// leafGroup is how many leaves are asked for at a time: those of half a MiB.
	// A read needs one group or two, that is a fiftieth of what it reads or less.
	leafGroup = 32

	// leafTries is how often one peer is asked for one group.
	leafTries = 2

	// leafPeers is how many peers are asked for one group.
	leafPeers = 8

	// leafWindow is how many groups may be on their way from one peer.
	leafWindow = 16

	// leafTimeout is how long a peer has to answer before others are asked.
	leafTimeout = 2 * time.Second
)

// leafing collects the leaves of one torrent's open pieces.
type leafing struct {
	info   *metainfo.Info
	pieces map[wire.Piece]*leafPiece
	asked  []*leafAsked // on their way, in the order in which they were asked for
}

// leafPiece is an open piece that blocks were asked for of.
type leafPiece struct {
	tree   metainfo.HashTree
	first  int64 // its first leaf in the tree
	groups []leafState
}

// leafState is one group.
type leafState struct {
	known bool
	asked *leafAsked // nil: nobody is
	tries []leafTry
}

// leafTry is how often a peer was asked for a group.
type leafTry struct {
	peer wire.Peer
	n    int
}

// leafAsked is a group that is on its way.
type leafAsked struct {
	wire.HashRange
	peer  wire.Peer
	piece wire.Piece
	group int
	until time.Time
}

func newLeafing(info *metainfo.Info) *leafing {
	return &leafing{info: info, pieces: map[wire.Piece]*leafPiece{}}
}

// piece is the record of a piece, made if there is none; nil if blocks of it
// cannot be proven one by one.
func (a *leafing) piece(p wire.Piece) *leafPiece {
	if s := a.pieces[p]; s != nil {
		return s
	}
	n := a.info.Blocks(p)
	if n < 2 {
		return nil // it is one with its leaf
	}
	if node, _ := a.info.Node(p); node == (wire.Hash{}) {
		return nil // a hybrid without its piece layers
	}
	t := a.info.TreeOf(p)
	s := &leafPiece{
		tree: t, first: int64(p-t.First) * (t.PieceLength / wire.BlockSize),
		groups: make([]leafState, (n+leafGroup-1)/leafGroup),
	}
	a.pieces[p] = s
	return s
}

// request notes that a block is asked of a peer that speaks BEP 52, and is the
// hash request that is to go with it, if one is. block notes that one came.
func (a *leafing) request(p wire.Peer, b wire.Block, now time.Time) (ask wire.HashRange, ok bool) {
	return a.ask(p, b, 1, now)
}

func (a *leafing) block(p wire.Peer, b wire.Block, now time.Time) (ask wire.HashRange, ok bool) {
	return a.ask(p, b, leafTries, now)
}

// ask asks a peer for the group of a block, if it was asked less than most times
// and nobody else is.
func (a *leafing) ask(p wire.Peer, b wire.Block, most int, now time.Time) (r wire.HashRange, ok bool) {
	a.expire(now)
	s := a.piece(b.Piece)
	if s == nil {
		return r, false
	}
	group := a.info.Index(b) / leafGroup
	g := &s.groups[group]
	if g.known || g.asked != nil || a.waiting(p) == leafWindow {
		return r, false
	}
	i := slices.IndexFunc(g.tries, func(t leafTry) bool { return t.peer == p })
	switch {
	case i >= 0 && g.tries[i].n >= most, i < 0 && len(g.tries) == leafPeers:
		return r, false
	case i < 0:
		i = len(g.tries)
		g.tries = append(g.tries, leafTry{peer: p})
	}
	first := group * leafGroup
	last := min(first+leafGroup, a.info.Blocks(b.Piece)) - 1
	r, ok = s.tree.Over(s.tree.Root, s.first+int64(first), s.first+int64(last), s.tree.PieceLayer())
	if !ok {
		return r, false // the wire has no numbers for it
	}
	g.tries[i].n++
	g.asked = &leafAsked{r, p, b.Piece, group, now.Add(leafTimeout)}
	a.asked = append(a.asked, g.asked)
	return r, true
}

func (a *leafing) waiting(p wire.Peer) (n int) {
	for _, s := range a.asked {
		if s.peer == p {
			n++
		}
	}
	return n
}

// lose has groups asked for once more when there is an occasion.
func (a *leafing) lose(which func(*leafAsked) bool) {
	a.asked = slices.DeleteFunc(a.asked, func(s *leafAsked) bool {
		lost := which(s)
		if piece := a.pieces[s.piece]; lost && piece != nil {
			piece.groups[s.group].asked = nil
		}
		return lost
	})
}

// expire loses what was not answered in time.
func (a *leafing) expire(now time.Time) {
	if len(a.asked) > 0 && !now.Before(a.asked[0].until) {
		a.lose(func(s *leafAsked) bool { return !now.Before(s.until) })
	}
}

// gone forgets what was asked of a peer.
func (a *leafing) gone(p wire.Peer) { a.lose(func(s *leafAsked) bool { return s.peer == p }) }

// forget forgets a piece that is open no more.
func (a *leafing) forget(p wire.Piece) {
	if a.pieces[p] != nil {
		a.lose(func(s *leafAsked) bool { return s.piece == p })
		delete(a.pieces, p)
	}
}

// rejected notes that a peer does not tell a group, yet.
func (a *leafing) rejected(p wire.Peer, r wire.HashRange) {
	a.lose(func(s *leafAsked) bool { return s.peer == p && s.HashRange == r })
}

// answered is the piece that the answer of a peer is for, and the range inside
// it: it is to be proven there. One that was not asked for, or comes too late, is
// not ok.
func (a *leafing) answered(p wire.Peer, r wire.HashRange) (piece wire.Piece, inside wire.HashRange, ok bool) {
	i := slices.IndexFunc(a.asked, func(s *leafAsked) bool { return s.peer == p && s.HashRange == r })
	if i < 0 {
		return piece, inside, false
	}
	s := a.asked[i]
	a.asked = slices.Delete(a.asked, i, i+1)
	of := a.pieces[s.piece]
	g := &of.groups[s.group]
	g.known, g.asked = true, nil
	inside = r
	inside.Index -= uint32(of.first)
	return s.piece, inside, true
}

// leafAnswer is the hashes that answer a hash request below the piece layer, from
// the leaves of the one piece that it lies in.
func leafAnswer(info *metainfo.Info, r wire.HashRange, p wire.Piece, leaves []wire.Hash) ([]wire.Hash, bool) {
	t := info.TreeOf(p)
	low := t.PieceLayer()
	below := merkle.Layers(leaves, 0, low)
	above, _ := info.Layers(t.Root)
	return t.Answer(r, func(layer int, index int64) (wire.Hash, bool) {
		nodes := [][]wire.Hash(nil)
		if layer < low {
			index -= int64(p-t.First) << (low - layer)
			nodes = below[layer:]
		} else if layer-low < len(above) {
			nodes = above[layer-low:]
		}
		if len(nodes) == 0 || index < 0 || index >= int64(len(nodes[0])) {
			return wire.Hash{}, false
		}
		return nodes[0][index], true
	})
}
