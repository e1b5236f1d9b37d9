package diskcache

import "bipfs/wire"

// delivery is an upload that waits for a job.
type delivery struct {
	block   wire.Block
	deliver func(wire.Loan, error)
}

// Load gets a block for an upload and hands it to deliver, on a worker; with
// an error there is no loan. deliver must not wait. Load itself never waits,
// nor does the number of loads under way have a bound here: the slots of those
// who ask are that. A block may lie anywhere in the torrent, but not cross a
// multiple of 16 KiB.
func (t *Torrent) Load(w wire.Block, deliver func(wire.Loan, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refuse := func(err error) {
		t.disk.hits.push(func() { deliver(wire.Loan{}, err) })
	}
	e := wire.Extent(w)
	if done, err := t.isHere([]wire.Extent{e}); err != nil || !done {
		refuse(ErrAbsent)
		return
	}
	if first, last := e.Span(); first != last {
		refuse(ErrTooLong)
		return
	}
	if t.attach(delivery{w, deliver}) {
		return
	}
	d := t.disk
	t.users++
	d.mu.Lock()
	load, _ := d.ledger.Load(1)
	d.admits[load] = func(admitted bool) { t.admitted(delivery{w, deliver}, admitted) }
	d.mu.Unlock()
	d.ring()
}

// attach serves a delivery from memory or by a read that is under way. The
// caller holds t.mu.
func (t *Torrent) attach(v delivery) bool {
	i := int(v.block.Begin / wire.BlockSize)
	key := keyOf(t.id, v.block.Piece, i)
	if b := t.inMemory(v.block.Piece, i, key); b != nil {
		t.disk.hit.Add(1)
		t.disk.hits.push(func() { v.deliver(loanOf(b, v.block), nil) })
		return true
	}
	if j := t.jobs[key]; j != nil {
		j.joined[i-j.first]++
		j.deliver = append(j.deliver, v)
		return true
	}
	return false
}

// admitted goes on with a Load when there is memory to read into, or never will
// be.
func (t *Torrent) admitted(v delivery, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users--
	t.retire()
	switch {
	case !ok:
		t.disk.hits.push(func() { v.deliver(wire.Loan{}, ErrClosed) })
	case t.closed || !t.have.Has(v.block.Piece):
		t.disk.hits.push(func() { v.deliver(wire.Loan{}, ErrAbsent) })
		t.disk.unreserve(1)
	case t.attach(v):
		t.disk.unreserve(1)
	default:
		t.disk.miss.Add(1)
		j := t.newJob(v.block.Piece, int(v.block.Begin/wire.BlockSize), 1)
		j.joined[0]++
		j.deliver = append(j.deliver, v)
		t.disk.loads.push(j)
	}
}

// hand gives an upload its block. Its reference was counted as joined.
func (t *Torrent) hand(j *job, v delivery) {
	if j.err != nil {
		v.deliver(wire.Loan{}, j.err)
		return
	}
	b := t.disk.memory.header(j.bufs[int(v.block.Begin/wire.BlockSize)-j.first])
	v.deliver(loanOf(b, v.block), nil)
}

func loanOf(b *block, w wire.Block) wire.Loan {
	from := int(w.Begin % wire.BlockSize)
	return wire.Loan{Bytes: b.bytes()[from : from+int(w.Length)], Of: b}
}
