package diskcache

import (
	"crypto/sha1"

	"bipfs/wire"
)

// spill does a writer's job on a parted piece: it hashes what is in order,
// writes what came to its place in the store and gives the memory back to the
// lease, reads back and hashes what had come out of order, and checks the
// piece when it is whole. What is spilled is not marked in the journal and is
// served to nobody before that.
func (t *Torrent) spill(p *piece) error {
	scratch := new(wire.Buf)
	for {
		numbers, bufs, done := t.spillable(p)
		if done {
			return nil
		}
		for k, i := range numbers {
			if i == p.next {
				p.add(bufs[k][:])
			}
		}
		if err := t.spillBlocks(p, numbers, bufs); err != nil {
			return err
		}
		for p.next < p.count && p.spilled[p.next] {
			b := scratch[:p.length(p.next)]
			if err := t.read(t.spec.Offset(p.number, uint32(p.next)*wire.BlockSize), [][]byte{b}); err != nil {
				return err
			}
			p.add(b)
		}
		if p.next == p.count {
			return t.checkSpilled(p, scratch)
		}
	}
}

// spillable is what is in memory of a parted piece. If there is nothing, or
// the piece has ended, the worker lets go of it.
func (t *Torrent) spillable(p *piece) (numbers []int, bufs []*wire.Buf, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended {
		t.letGo(p)
		return nil, nil, true
	}
	for i, b := range p.bufs {
		if b != nil {
			numbers, bufs = append(numbers, i), append(bufs, b)
		}
	}
	whole := p.come == p.count // then there is the rest to read back
	if len(bufs) == 0 && !whole {
		p.busy = false
		return nil, nil, true
	}
	return numbers, bufs, false
}

// spillBlocks writes blocks to their place and gives their memory back to the
// lease: that is room for more.
func (t *Torrent) spillBlocks(p *piece, numbers []int, bufs []*wire.Buf) error {
	claim, err := t.room(int64(len(bufs)) * wire.BlockSize)
	if err != nil {
		return err
	}
	defer t.disk.writing.Add(-claim)
	if err := t.claimed(p); err != nil {
		return err
	}
	defer t.hole.RUnlock()
	if t.hasEnded(p) {
		return nil // and its place may be another's
	}
	for from := 0; from < len(numbers); {
		to := from
		var vector [][]byte
		for to < len(numbers) && numbers[to] == numbers[from]+to-from {
			vector = append(vector, bufs[to][:p.length(numbers[to])])
			to++
		}
		if err := t.write(t.spec.Offset(p.number, uint32(numbers[from])*wire.BlockSize), vector); err != nil {
			return err
		}
		from = to
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended {
		return nil
	}
	for k, i := range numbers {
		p.bufs[i], p.spilled[i] = nil, true
		p.empty = append(p.empty, bufs[k])
	}
	p.held -= len(bufs)
	if n := min(len(bufs), p.count-p.given); n > 0 {
		p.given += n
		t.tell(News{Kind: Room, Piece: p.number, Lease: p.lease, N: n})
	}
	return nil
}

// hasEnded reports whether a piece was given up while a worker had it. What had
// been counted for it is debris then.
func (t *Torrent) hasEnded(p *piece) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended && t.pieces[p.number] == nil && !t.have.Has(p.number) {
		t.leaveDebris(p.number)
	}
	return p.state == ended
}

// checkSpilled decides over a parted piece that is whole. A good one is marked
// before anybody hears of it: who reads it needs its CRCs.
func (t *Torrent) checkSpilled(p *piece, scratch *wire.Buf) error {
	ok := p.right()
	t.mu.Lock()
	failedBefore := t.failed[p.number]
	t.mu.Unlock()
	var digests []wire.Digest
	for i := 0; i < p.count && (!ok || failedBefore); i++ {
		b := scratch[:p.length(i)]
		if err := t.read(t.spec.Offset(p.number, uint32(i)*wire.BlockSize), [][]byte{b}); err != nil {
			return err
		}
		digests = append(digests, sha1.Sum(b))
	}
	if ok {
		if err := t.mark(p); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == ended {
		t.letGo(p)
		return nil
	}
	p.busy = false
	news := News{Kind: Verified, Piece: p.number, Lease: p.lease, OK: ok, Digests: digests}
	if !ok {
		t.bad(p, news)
		return nil
	}
	t.note(p)
	t.good(p, news)
	t.confirm(p.number, 0, p.count, t.lending.forgot)
	t.end(p)
	return nil
}
