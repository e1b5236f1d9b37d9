package engine

import (
	"time"

	"bipfs/diskcache"
	"bipfs/engine/metainfo"
	"bipfs/selection"
	"bipfs/wire"
)

// The loop's part of the leaves of BEP 52: it asks for those of blocks that are
// being fetched, and tells those of pieces that are here.

// Events of it.
type (
	// leavesTold is the answer to a hash request below the piece layer.
	leavesTold struct {
		peer   wire.Peer
		r      wire.HashRange
		hashes []wire.Hash
		ok     bool
	}
	// leavesRested is that the next such answer may be worked out.
	leavesRested struct{}
)

// askLeaves asks a peer for the leaves of a block that it is asked for, if
// nobody is.
func (l *loop) askLeaves(k *link, m wire.Message) {
	if l.leaves == nil || m.Kind != wire.Request || !k.tellsLeaves(l.leaves.info) {
		return
	}
	if r, ok := l.leaves.request(k.id, m.Block(), time.Now()); ok {
		k.side(wire.Message{Kind: wire.HashRequest}, wire.AppendHashRange(nil, r))
	}
}

// tellsLeaves reports whether k speaks BEP 52.
func (k *link) tellsLeaves(info *metainfo.Info) bool {
	return k.hand != nil && (!info.HasV1() || k.hand.V2)
}

// leafBlock notes that a block came: who brought it may know its leaf by now.
func (l *loop) leafBlock(e selection.Stored) {
	k := l.links[e.Peer]
	if l.leaves == nil || e.Lease == 0 || k == nil || !k.tellsLeaves(l.leaves.info) {
		return
	}
	if r, ok := l.leaves.block(k.id, e.Block, time.Now()); ok {
		k.side(wire.Message{Kind: wire.HashRequest}, wire.AppendHashRange(nil, r))
	}
}

// gotLeaves proves blocks by the answer of a peer.
func (l *loop) gotLeaves(k *link, r wire.HashRange, hashes []wire.Hash) {
	p, inside, ok := l.leaves.answered(k.id, r)
	if ok && !l.disk.get().Prove(p, inside, hashes) {
		l.leaves.forget(p)
		l.banLiar(k)
	}
}

// closed notes that a piece is open no more.
func (l *loop) closed(p wire.Piece) {
	if l.leaves != nil {
		l.leaves.forget(p)
	}
}

// leafNews takes the news of single blocks.
func (l *loop) leafNews(n diskcache.News) {
	if n.Kind == diskcache.Proven {
		l.step(selection.Proven{Piece: n.Piece, Lease: n.Lease, Blocks: n.Blocks})
		return
	}
	l.log.Info("blocks are not what their leaves say and are fetched again", "piece", n.Piece, "blocks", len(n.Blocks))
	l.step(selection.Spoiled{Peer: n.From, Piece: n.Piece, Lease: n.Lease, Blocks: n.Blocks})
}

// leafRest is how long no leaves are worked out after some were, in times of
// what that took: it costs a fifth of a core at most, whatever peers ask.
const leafRest = 4

// tellLeaves works out an answer below the piece layer beside the loop, one at a
// time; it reports whether it has taken the request over or, if not, whether it
// may later. Reading and hashing a piece that is not in memory takes a while.
func (l *loop) tellLeaves(k *link, r wire.HashRange) (taken, later bool) {
	info, store := l.t.Info(), l.disk.get()
	if info == nil || store == nil || !r.Bounded() {
		return false, false
	}
	p, ok := info.Below(r)
	if !ok || !store.Local(info.Whole(p)) {
		return false, false
	}
	if l.telling {
		return false, true
	}
	l.telling = l.t.c.spawn(func() {
		begin := time.Now()
		told := leavesTold{peer: k.id, r: r}
		if leaves, err := store.Leaves(l.ctx, p); err == nil {
			told.hashes, told.ok = leafAnswer(info, r, p, leaves)
		}
		took := time.Since(begin)
		l.put(l.ctx, told)
		select {
		case <-time.After(leafRest * took):
		case <-l.ctx.Done():
		}
		l.put(l.ctx, leavesRested{})
	})
	return l.telling, false
}

// toldLeaves sends such an answer, or a reject.
func (l *loop) toldLeaves(e leavesTold) {
	if k := l.links[e.peer]; k != nil {
		k.told(e.r, e.hashes, e.ok)
		k.waits = false
		l.answerHashes(k)
	}
}

// restedLeaves goes on with the next answer.
func (l *loop) restedLeaves() {
	l.telling = false
	for _, k := range l.links {
		l.answerHashes(k)
	}
}

// told sends the answer to a hash request.
func (k *link) told(r wire.HashRange, hashes []wire.Hash, ok bool) {
	m, payload := wire.Message{Kind: wire.HashReject}, wire.AppendHashRange(nil, r)
	if ok {
		m.Kind = wire.Hashes
		for _, h := range hashes {
			payload = append(payload, h[:]...)
		}
	}
	k.side(m, payload)
}
