package diskcache

import (
	"crypto/sha1"
	"hash/crc32"

	"bipfs/wire"
)

// A piece is hashed while it comes: a worker takes the blocks that are there
// in a row from the frontier on, and lets go of the piece when the next one is
// missing. Swap gives it to a worker again when that block comes. So after the
// last block only a suffix is left to hash.

// hash is a hash worker.
func (d *Disk) hash() {
	for p, ok := d.hashes.pop(); ok; p, ok = d.hashes.pop() {
		p.t.hash(p)
	}
}

// stretch is the most blocks that are hashed between two looks at the piece.
const stretch = 64

// leastStretch is how many blocks are there to be hashed, if there are so many to
// come, when a worker is woken: to wake one for each costs as much as to hash it.
const leastStretch = 8

func (t *Torrent) hash(p *piece) {
	var run [stretch]*wire.Buf
	for {
		if t.proveNext(p) {
			continue
		}
		n := t.frontier(p, run[:])
		switch {
		case n > 0:
			first := p.next
			for _, b := range run[:n] {
				p.add(b[:])
			}
			t.hashed(p, first)
		case n == 0, t.check(p):
			return
		}
	}
}

// frontier copies to run the blocks that can be hashed next. If there are
// none, or the piece has ended, it lets go of the piece; -1 is that all have
// been.
func (t *Torrent) frontier(p *piece, run []*wire.Buf) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended {
		t.letGo(p)
		return 0
	}
	p.byLeaves()
	if p.next == p.count {
		return -1
	}
	n := 0
	for n < len(run) && p.next+n < p.count && p.bufs[p.next+n] != nil {
		run[n] = p.bufs[p.next+n]
		n++
	}
	if n == 0 {
		p.busy = false
	}
	return n
}

// add hashes the block at the frontier.
func (p *piece) add(b []byte) {
	b = b[:p.length(p.next)]
	p.proof.add(b, p.leafGot(p.next))
	p.t.disk.hashed.Add(int64(len(b)))
	p.crcs = append(p.crcs, crc32.Checksum(b, castagnoli))
	p.next++
}

// length is the length of block i in bytes.
func (p *piece) length(i int) int { return int(p.t.spec.Block(p.number, i).Length) }

// right reports whether the hash of the whole piece is what it must be.
func (p *piece) right() bool { return p.proof.right(&p.t.spec, p.number) }

// check decides over a piece that is whole and in memory. It has not if a leaf
// has just told that a block is bad: then only that comes anew.
func (t *Torrent) check(p *piece) (decided bool) {
	ok := p.right()
	t.mu.Lock()
	failedBefore := t.failed[p.number]
	t.mu.Unlock()
	var digests []wire.Digest
	if !ok || failedBefore {
		for i, b := range p.bufs {
			digests = append(digests, sha1.Sum(b[:p.length(i)]))
		}
	}
	var m mended
	if !ok && p.from != nil {
		m = t.mend(p, digests)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case p.state == ended:
		t.letGo(p)
		return true
	case !ok && len(p.todo) > 0:
		return false
	}
	p.busy = false
	news := News{Kind: Verified, Piece: p.number, Lease: p.lease, OK: ok || m.right, Digests: digests}
	switch {
	case m.right: // what it cost has been counted with the copies before it
		news.Digests, news.Came = m.good, digests
	case !ok:
		news.Kept, news.Guilty = m.more, m.guilty
		t.bad(p, news)
		return true
	}
	d := t.disk
	p.blocks = make([]*block, p.count)
	for i, b := range p.bufs {
		p.blocks[i] = d.memory.header(b)
		if !p.isProven(i) {
			p.blocks[i].share(keyOf(t.id, p.number, i), p.length(i), 1)
		}
	}
	t.keepLeaves(p)
	d.memory.give(d.now(), p.empty...) // a piece that came whole has none; to be sure
	p.bufs, p.empty, p.proof, p.leaves = nil, nil, nil, nil
	p.state = dirty
	d.mu.Lock()
	d.ledger.Verified(p.lease)
	d.mu.Unlock()
	t.users++
	t.good(p, news)
	d.writer.add(p)
	d.ring()
	return true
}

// bad ends a piece that failed its hash. The caller holds t.mu.
func (t *Torrent) bad(p *piece, n News) {
	t.wasted.Failed += int64(t.spec.PieceSize(p.number))
	t.failed[p.number] = true
	t.tell(n)
	t.end(p)
}

// good tells everybody that a piece is here. The caller holds t.mu.
func (t *Torrent) good(p *piece, n News) {
	delete(t.failed, p.number)
	t.forgetSpoilt(p.number)
	t.have.Set(p.number)
	t.tell(n)
	if a := t.awaited[p.number]; a != nil {
		a.last = t.disk.now()
		a.wake()
	}
}
