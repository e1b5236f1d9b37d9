package diskcache

import (
	"context"

	"bipfs/wire"
)

// Reading goes in this order: the piece table, ristretto, the store. Who needs
// blocks from the store first gets the memory for all of them, holding
// nothing, and only then takes references to what is in memory and starts or
// joins the reads of the rest: no two readers can hold what the other needs.

// Acquire returns references to the bytes of es, in order, a loan for each
// block that they touch; together they are exactly es. They come from memory
// or, checked, from the store; it is ErrAbsent if any piece is not here. It
// never waits for the network, but may for memory to read into, as long as
// ctx. ErrTooLong is a read from the store of more than the reads' share of
// memory, which is at least 130 blocks.
func (t *Torrent) Acquire(ctx context.Context, es []wire.Extent) ([]wire.Loan, error) {
	reserved := 0
	for tries := 1; ; tries++ {
		loans, missing, joins, err := t.gather(es, reserved)
		if err != nil || missing <= reserved {
			t.disk.unreserve(reserved - missing)
			if err == nil {
				err = t.fill(ctx, loans, joins)
			}
			if err != nil {
				releaseAll(loans)
				return nil, err
			}
			return loans, nil
		}
		releaseAll(loans)
		t.disk.unreserve(reserved)
		if tries > 1 { // what was in memory is gone again: take memory for all
			missing = max(missing, min(len(loans), 2*mostAcquired))
		}
		if reserved, err = t.disk.reserve(ctx, missing); err != nil {
			return nil, err
		}
	}
}

// join is a loan that a job will give.
type join struct {
	job      *job
	block    int // of the job
	loan     int // where it goes
	from, to int // bytes of the block
}

// gather takes references to what is in memory and joins the reads of the
// rest; reads that nobody has begun are begun if memory is reserved for all of
// them. On an error everything that was reserved is still the caller's:
// missing is 0.
func (t *Torrent) gather(es []wire.Extent, reserved int) (loans []wire.Loan, missing int, joins []join, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if done, err := t.isHere(es); err != nil || !done {
		if err == nil {
			err = ErrAbsent
		}
		return nil, 0, nil, err
	}
	var fresh []join // joins of jobs that are not there yet
	for _, e := range es {
		first, last := e.Span()
		for i := first; i <= last; i++ {
			begin := i * wire.BlockSize
			from := max(int(e.Begin), begin) - begin
			to := min(int(e.Begin)+int(e.Length), begin+wire.BlockSize) - begin
			key := keyOf(t.id, e.Piece, i)
			if b := t.inMemory(e.Piece, i, key); b != nil {
				loans = append(loans, wire.Loan{Bytes: b.bytes()[from:to], Of: b})
				continue
			}
			j := join{block: i, loan: len(loans), from: from, to: to}
			loans = append(loans, wire.Loan{})
			if j.job = t.jobs[key]; j.job != nil {
				j.block -= j.job.first
				joins = append(joins, j)
				continue
			}
			j.job = &job{piece: e.Piece} // which one it is to be; begin makes it
			fresh = append(fresh, j)
			missing++
		}
	}
	if missing > reserved {
		return loans, missing, nil, nil
	}
	joins = append(joins, t.begin(fresh)...)
	for _, j := range joins {
		j.job.joined[j.block]++
	}
	t.noteRead(es)
	t.disk.hit.Add(int64(len(loans) - len(joins)))
	t.disk.miss.Add(int64(len(joins)))
	return loans, missing, joins, nil
}

// inMemory finds a verified block and adds a reference. The caller holds t.mu.
func (t *Torrent) inMemory(n wire.Piece, i int, key uint64) *block {
	if p := t.pieces[n]; p != nil && (p.state == dirty || p.state == clean) {
		b := p.blocks[i]
		b.refs.Add(1)
		return b
	}
	if b := t.provenBlock(n, i); b != nil {
		b.refs.Add(1)
		return b
	}
	return t.disk.cache.get(key)
}

// begin starts the reads of blocks, one for each row. Their memory has been
// reserved. The caller holds t.mu.
func (t *Torrent) begin(fresh []join) []join {
	for from := 0; from < len(fresh); {
		first := fresh[from]
		key := keyOf(t.id, first.job.piece, first.block)
		if j := t.jobs[key]; j != nil { // named twice in one list
			fresh[from].job, fresh[from].block = j, first.block-j.first
			t.disk.unreserve(1)
			from++
			continue
		}
		to := from + 1
		for to < len(fresh) && fresh[to].job.piece == first.job.piece && fresh[to].block == first.block+to-from {
			to++
		}
		j := t.newJob(first.job.piece, first.block, to-from)
		for k := from; k < to; k++ {
			fresh[k].job, fresh[k].block = j, k-from
		}
		t.disk.loads.push(j)
		from = to
	}
	return fresh
}

// fill waits for the joined reads and puts their blocks into loans.
func (t *Torrent) fill(ctx context.Context, loans []wire.Loan, joins []join) (err error) {
	for k, j := range joins {
		select {
		case <-j.job.done:
		case <-ctx.Done():
			t.part(joins[k:])
			return ctx.Err()
		}
		if j.job.err != nil {
			err = j.job.err
			continue
		}
		b := t.disk.memory.header(j.job.bufs[j.block])
		loans[j.loan] = wire.Loan{Bytes: b.bytes()[j.from:j.to], Of: b}
	}
	return err
}

// part leaves jobs. What is done already has given its references.
func (t *Torrent) part(joins []join) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, j := range joins {
		select {
		case <-j.job.done:
			if j.job.err == nil {
				t.disk.memory.header(j.job.bufs[j.block]).Release()
			}
		default:
			j.job.joined[j.block]--
		}
	}
}

// reserve waits for memory to read n blocks into.
func (d *Disk) reserve(ctx context.Context, n int) (int, error) {
	admitted := make(chan bool, 1)
	d.mu.Lock()
	load, ok := d.ledger.Load(n)
	if ok {
		d.admits[load] = func(ok bool) { admitted <- ok }
	}
	d.mu.Unlock()
	if !ok {
		return 0, ErrTooLong
	}
	d.ring()
	select {
	case ok := <-admitted:
		if !ok {
			return 0, ErrClosed
		}
		return n, nil
	case <-ctx.Done():
	case <-d.stop:
	}
	d.mu.Lock()
	waiting := d.ledger.Unload(load)
	if waiting {
		delete(d.admits, load)
	}
	d.mu.Unlock()
	if !waiting && <-admitted { // decided already: the keeper is about to say so
		d.unreserve(n)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return 0, ErrClosed
}

func (d *Disk) unreserve(n int) {
	if n == 0 {
		return
	}
	d.mu.Lock()
	d.ledger.Unloaded(n)
	waiting := d.ledger.Waiting()
	d.mu.Unlock()
	if waiting {
		d.ring()
	}
}
