package engine

import (
	"slices"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/merkle"
)

// The piece layers of a v2-only magnet link, asked for from several peers at a
// time (BEP 52). Like the assembly of its metadata it is pure.
//
//	metadata ──▶ ranges of ≤ 512 hashes ──▶ ask ──▶ hashes that lead to the root ──▶ layer ──▶ Info
//	                      ▲                  │
//	                      └─ reject, silence, gone
//
// Each range is proven by itself, against a root that the metadata has: nobody
// can lie and not be named. A reject is no lie: the peer may have the layer
// later.

const (
	// layerWindow is how many ranges are asked of one peer at a time.
	layerWindow = 4

	// layerTimeout is how long a peer has to answer before others are asked.
	layerTimeout = 5 * time.Second

	// layerRest is how long a peer is left alone that did not answer, or
	// rejected.
	layerRest = 2 * time.Second
)

// layering collects the piece layers of one torrent.
type layering struct {
	info  *metainfo.Info
	trees []layerTree
	next  layerRange    // the first that was never asked for
	again []layerRange  // those that were, in vain
	asked []*layerAsked // in the order in which they were; layerWindow for each peer
	peers []*layerPeer  // in the order in which they came
	left  int           // trees that are not whole
}

// layerTree is a tree whose layer is not here. Trees are in the order of their
// files.
type layerTree struct {
	metainfo.HashTree
	layer []wire.Hash // as far as it came; nil before and after
	have  int64       // hashes of it
}

// layerRange is range k of a tree.
type layerRange struct{ tree, k int }

// layerAsked is a range that is on its way.
type layerAsked struct {
	layerRange
	wire.HashRange
	peer  *layerPeer
	until time.Time
}

type layerPeer struct {
	peer  wire.Peer
	asked int
	rests time.Time // it is asked for nothing until then
}

// layerAsk is one hash request that is to be sent.
type layerAsk struct {
	peer wire.Peer
	wire.HashRange
}

func newLayering(info *metainfo.Info) *layering {
	a := &layering{info: info}
	for _, t := range info.Missing() {
		a.trees = append(a.trees, layerTree{HashTree: t})
	}
	a.left = len(a.trees)
	return a
}

// whole reports whether the torrent has all its layers.
func (a *layering) whole() bool { return a.left == 0 }

func (a *layering) find(p wire.Peer) *layerPeer {
	if i := slices.IndexFunc(a.peers, func(s *layerPeer) bool { return s.peer == p }); i >= 0 {
		return a.peers[i]
	}
	return nil
}

// offer notes a peer that may have layers.
func (a *layering) offer(p wire.Peer) {
	if a.find(p) == nil {
		a.peers = append(a.peers, &layerPeer{peer: p})
	}
}

// gone forgets a peer.
func (a *layering) gone(p wire.Peer) {
	a.lose(func(s *layerAsked) bool { return s.peer.peer == p })
	a.peers = slices.DeleteFunc(a.peers, func(s *layerPeer) bool { return s.peer == p })
}

// lose has ranges asked for once more.
func (a *layering) lose(which func(*layerAsked) bool) {
	a.asked = slices.DeleteFunc(a.asked, func(s *layerAsked) bool {
		lost := which(s)
		if lost {
			s.peer.asked--
			a.again = append(a.again, s.layerRange)
		}
		return lost
	})
}

// of is the place in asked of what a peer was asked for, or -1.
func (a *layering) of(p wire.Peer, r wire.HashRange) int {
	return slices.IndexFunc(a.asked, func(s *layerAsked) bool { return s.HashRange == r && s.peer.peer == p })
}

// asks are the requests that are due: what the peers' windows have room for.
func (a *layering) asks(now time.Time) (asks []layerAsk) {
	a.lose(func(s *layerAsked) bool {
		late := !now.Before(s.until)
		if late {
			s.peer.rests = now.Add(layerRest)
		}
		return late
	})
	for _, p := range a.peers {
		for p.asked < layerWindow && !now.Before(p.rests) {
			n, ok := a.take()
			if !ok {
				return asks
			}
			t := a.trees[n.tree]
			r, _ := t.Layer(t.Root, n.k)
			a.asked = append(a.asked, &layerAsked{n, r, p, now.Add(layerTimeout)})
			p.asked++
			asks = append(asks, layerAsk{p.peer, r})
		}
	}
	return asks
}

// take is a range that nobody is asked for.
func (a *layering) take() (n layerRange, ok bool) {
	if last := len(a.again) - 1; last >= 0 {
		n, a.again = a.again[last], a.again[:last]
		return n, true
	}
	for a.next.tree < len(a.trees) {
		t := a.trees[a.next.tree]
		if _, ok := t.Layer(t.Root, a.next.k); ok {
			n = a.next
			a.next.k++
			return n, true
		}
		a.next = layerRange{tree: a.next.tree + 1}
	}
	return n, false
}

// rejected notes that a peer has not got a range.
func (a *layering) rejected(p wire.Peer, r wire.HashRange, now time.Time) {
	if i := a.of(p, r); i >= 0 {
		rejected := a.asked[i]
		rejected.peer.rests = now.Add(layerRest)
		a.lose(func(s *layerAsked) bool { return s == rejected })
	}
}

// answered takes in the answer of a peer; one that was not asked for, or comes
// too late, is ignored. A liar answered with what does not lead to the root.
func (a *layering) answered(p wire.Peer, r wire.HashRange, hashes []wire.Hash) (liar bool) {
	i := a.of(p, r)
	if i < 0 {
		return false
	}
	asked := a.asked[i]
	if top, ok := merkle.Fold(r, hashes); !ok || top != r.Root {
		a.lose(func(s *layerAsked) bool { return s == asked })
		return true
	}
	a.asked = slices.Delete(a.asked, i, i+1)
	asked.peer.asked--
	t := &a.trees[asked.tree]
	if t.layer == nil {
		t.layer = make([]wire.Hash, t.Pieces())
	}
	t.have += int64(copy(t.layer[r.Index:], hashes[:r.Length]))
	if t.have >= t.Pieces() {
		if err := a.info.AddLayer(t.HashTree, t.layer); err != nil {
			panic(err) // every range of it was proven
		}
		t.layer = nil
		a.left--
	}
	return false
}

// wait is how long until asks may have more to say. After asks it is above 0.
func (a *layering) wait(now time.Time) time.Duration {
	wait := time.Hour
	for _, asked := range a.asked {
		wait = min(wait, asked.until.Sub(now))
	}
	for _, p := range a.peers {
		if now.Before(p.rests) {
			wait = min(wait, p.rests.Sub(now))
		}
	}
	return wait
}
