package diskcache

import (
	"slices"

	"bipfs/wire"
	"bipfs/wire/merkle"
)

// A block of a torrent of BEP 52 is verified by itself when its leaf is known:
//
//	Swap ──▶ here ──leaf known──▶ todo ──right──▶ proven: readers may have it
//	           │                   │
//	           └─leaf comes later──┘──wrong──▶ spoiled: gone again, and its bringer named
//
// A leaf is known when it has come with the hashes that lead to the piece's node
// (Prove). What is proven is a verified block with a reference of the piece's,
// although it is counted as leased until the piece is verified or ends.
//
// The piece as a whole is verified as ever, so one whose leaves nobody tells is
// none the worse. A parted piece, whose blocks leave the memory, has no leaves.

// leaf is what is known of one block's leaf.
type leaf struct {
	want   wire.Hash // proven; zero: not known
	got    wire.Hash // of the block that is here; zero: not computed
	from   wire.Peer // who brought that
	proven bool      // it is here and got is want
}

// cameFrom notes who brought block i. The caller holds t.mu.
func (p *piece) cameFrom(i int, from wire.Peer) {
	if p.from != nil {
		p.from[i] = from
	}
	if p.leaves == nil {
		return
	}
	p.leaves[i].from = from
	if p.leaves[i].want != (wire.Hash{}) {
		p.todo = append(p.todo, i)
	}
}

// Prove takes in leaves of a piece, and reports whether they are: whether with
// the uncles behind them they lead to the piece's node. r, which must be Bounded
// and of leaves, counts from the first block of the piece. It does not wait, and
// does nothing for a piece that is not open.
func (t *Torrent) Prove(n wire.Piece, r wire.HashRange, hashes []wire.Hash) (right bool) {
	if t.spec.Node == nil || !t.spec.Valid(n) || r.Base != 0 {
		return false
	}
	node, layer := t.spec.Node(n)
	top, ok := merkle.Fold(r, hashes)
	if at, _ := merkle.Top(r); !ok || at != layer || top != node {
		return false
	}
	t.mu.Lock()
	p := t.pieces[n]
	if p == nil || p.state != opened || p.leaves == nil {
		t.mu.Unlock()
		return true
	}
	for k, h := range hashes[:r.Length] {
		i := int(r.Index) + k
		if i >= p.count || p.leaves[i].want != (wire.Hash{}) {
			continue
		}
		p.leaves[i].want = h
		p.known++
		if p.bufs[i] != nil {
			p.todo = append(p.todo, i)
		}
	}
	work := !p.busy && len(p.todo) > 0
	p.busy = p.busy || work
	t.mu.Unlock()
	if work {
		t.disk.hashes.push(p)
	}
	return true
}

// proveNext hashes one block of those that wait for it, and holds it against its
// leaf. It reports whether there was one. A piece that has ended is left to
// frontier.
func (t *Torrent) proveNext(p *piece) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended || len(p.todo) == 0 {
		return false
	}
	last := len(p.todo) - 1
	i := p.todo[last]
	p.todo = p.todo[:last]
	if l := &p.leaves[i]; l.got == (wire.Hash{}) {
		b := p.bufs[i][:p.length(i)]
		t.mu.Unlock()
		got := merkle.Leaf(b) // the piece is busy: its memory stays, whatever becomes of it
		t.mu.Lock()
		if p.state == ended {
			return true
		}
		l.got = got
	}
	t.judge(p, i)
	return true
}

// judge compares a block that is here with its leaf. The piece's worker calls it:
// nobody else is reading the block. The caller holds t.mu.
func (t *Torrent) judge(p *piece, i int) {
	l := &p.leaves[i]
	if l.got != l.want {
		t.spoil(p, i)
		return
	}
	l.proven = true
	t.disk.memory.header(p.bufs[i]).share(keyOf(t.id, p.number, i), p.length(i), 1)
	t.tellBlock(News{Kind: Proven, Piece: p.number, Lease: p.lease}, i)
	if a := t.awaited[p.number]; a != nil {
		a.wake()
	}
}

// spoil takes a bad block out of its piece again. The caller holds t.mu.
func (t *Torrent) spoil(p *piece, i int) {
	l := &p.leaves[i]
	t.wasted.Failed += int64(p.length(i))
	p.empty = append(p.empty, p.bufs[i])
	p.bufs[i] = nil
	p.come--
	p.held--
	l.got = wire.Hash{}
	p.restart()
	t.tellBlock(News{Kind: Spoiled, Piece: p.number, Lease: p.lease, From: l.from}, i)
}

// restart begins the frontier anew: what it went over may have been bad.
func (p *piece) restart() {
	p.next, p.crcs = 0, p.crcs[:0]
	p.proof.reset()
}

// byLeaves spares the hash of BEP 3 when all leaves are known: either will do.
// The caller holds t.mu.
func (p *piece) byLeaves() {
	if p.known == p.count && p.proof.sha != nil {
		p.proof = &proof{leaves: make([]wire.Hash, 0, p.count)}
		p.restart()
	}
}

// tellBlock adds a block to news of its kind.
func (t *Torrent) tellBlock(n News, i int) {
	if k := len(t.news) - 1; k >= 0 {
		if last := &t.news[k]; last.Kind == n.Kind && last.Lease == n.Lease && last.From == n.From {
			last.Blocks = append(last.Blocks, i)
			return
		}
	}
	n.Blocks = []int{i}
	t.tell(n)
}

// hashed takes in the leaves that the frontier has computed from block first on:
// those of a torrent that is v2 only.
func (t *Torrent) hashed(p *piece, first int) {
	if p.leaves == nil || p.proof.sha != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended {
		return
	}
	for i := first; i < p.next; i++ {
		p.leaves[i].got = p.proof.leaves[i]
	}
}

// leafGot is the leaf of block i if that was computed. Only the piece's worker
// calls it, which is who computes them.
func (p *piece) leafGot(i int) (got wire.Hash) {
	if p.leaves != nil {
		p.t.mu.Lock()
		defer p.t.mu.Unlock()
		got = p.leaves[i].got
	}
	return got
}

// isProven reports whether block i is here and right by its leaf. The caller
// holds t.mu.
func (p *piece) isProven(i int) bool { return p.leaves != nil && p.leaves[i].proven }

// proven reports whether all blocks of an extent of an open piece are. The
// caller holds t.mu.
func (t *Torrent) proven(e wire.Extent) bool {
	p := t.pieces[e.Piece]
	if p == nil || p.state != opened || p.leaves == nil {
		return false
	}
	first, last := e.Span()
	return !slices.ContainsFunc(p.leaves[first:last+1], func(l leaf) bool { return !l.proven })
}

// provenBlock is a proven block of an open piece, or nil. The caller holds t.mu.
func (t *Torrent) provenBlock(n wire.Piece, i int) *block {
	if p := t.pieces[n]; p != nil && p.state == opened && p.isProven(i) {
		return t.disk.memory.header(p.bufs[i])
	}
	return nil
}

// takeProven takes the proven blocks out of a piece that has ended. The caller
// holds t.mu.
func (p *piece) takeProven() (proven []*block) {
	for i := range p.leaves {
		if p.leaves[i].proven {
			proven = append(proven, p.t.disk.memory.header(p.bufs[i]))
			p.bufs[i] = nil
		}
	}
	p.leaves = nil
	return proven
}
