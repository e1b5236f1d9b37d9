package diskcache

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"bipfs/wire"
)

// Reading goes in this order: the piece table, ristretto, the store. Who needs
// blocks from the store first gets the memory for all of them, holding
// nothing, and only then takes references to what is in memory and starts or
// joins the reads of the rest: no two readers can hold what the other needs.

// job is one read from the store: a row of blocks of one piece.
type job struct {
	t       *Torrent
	piece   wire.Piece
	first   int
	bufs    []*wire.Buf
	joined  []int32 // by block: how many wait for it; t.mu
	deliver []delivery
	done    chan struct{}
	err     error // when done
}

// delivery is an upload that waits for a job.
type delivery struct {
	block   wire.Block
	deliver func(wire.Loan, error)
}

// Acquire returns references to the bytes of es, in order, a loan for each
// block that they touch; together they are exactly es. They come from memory
// or, checked, from the store; it is ErrAbsent if any piece is not here. It
// never waits for the network, but may for memory to read into, as long as
// ctx. ErrTooLong is a read from the store of more than the reads' share of
// memory, which is at least 130 blocks.
func (t *Torrent) Acquire(ctx context.Context, es []wire.Extent) ([]wire.Loan, error) {
	reserved := 0
	for {
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

// newJob makes a job for n blocks whose memory has been reserved.
func (t *Torrent) newJob(p wire.Piece, first, n int) *job {
	j := &job{
		t: t, piece: p, first: first, bufs: make([]*wire.Buf, n), joined: make([]int32, n),
		done: make(chan struct{}),
	}
	t.disk.memory.take(j.bufs)
	for i := range n {
		t.jobs[keyOf(t.id, p, first+i)] = j
	}
	t.users++
	return j
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
	admitted := make(chan struct{})
	d.mu.Lock()
	load, ok := d.ledger.Load(n)
	if ok {
		d.admits[load] = func() { close(admitted) }
	}
	d.mu.Unlock()
	if !ok {
		return 0, ErrTooLong
	}
	d.ring()
	select {
	case <-admitted:
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
	if !waiting {
		select {
		case <-admitted: // the keeper is about to
		case <-d.stop:
		}
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

// load is a worker that reads.
func (d *Disk) load() {
	for j, ok := d.loads.pop(); ok; j, ok = d.loads.pop() {
		j.t.finish(j, j.read())
	}
}

const (
	// readTries and readDelay say how often and how soon a read is tried again
	// that found a file locked.
	readTries = 6
	readDelay = 20 * time.Millisecond
)

// read reads and checks the blocks of a job.
func (j *job) read() error {
	t := j.t
	vector := make([][]byte, len(j.bufs))
	for i, b := range j.bufs {
		vector[i] = b[:t.spec.Block(j.piece, j.first+i).Length]
	}
	crcs, err := t.crcsOf(j.piece)
	if err != nil {
		return err
	}
	if len(crcs) == 0 {
		return errors.New("the journal has no record of it")
	}
	off := t.spec.Offset(j.piece, uint32(j.first)*wire.BlockSize)
	for try := range readTries {
		if err = t.read(off, slices.Clone(vector)); !fleeting(err) {
			break
		}
		time.Sleep(readDelay << try)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is too short")
	}
	if err != nil {
		return err
	}
	for i, b := range vector {
		if crc32.Checksum(b, castagnoli) != crcs[j.first+i] {
			return errors.New("the bytes have changed")
		}
	}
	return nil
}

// finish gives the blocks of a job to all who wait for them. A failed one
// makes the piece absent.
func (t *Torrent) finish(j *job, err error) {
	d := t.disk
	if err != nil {
		t.absent(j.piece, err)
		j.err = ErrAbsent
	}
	t.mu.Lock()
	for i := range j.bufs {
		delete(t.jobs, keyOf(t.id, j.piece, j.first+i))
	}
	if j.err != nil {
		d.memory.give(d.now(), j.bufs...)
		d.unreserve(len(j.bufs))
	} else {
		blocks := make([]*block, len(j.bufs))
		for i, b := range j.bufs {
			blocks[i] = d.memory.header(b)
			n := t.spec.Block(j.piece, j.first+i).Length
			blocks[i].share(keyOf(t.id, j.piece, j.first+i), int(n), 1+j.joined[i])
		}
		d.mu.Lock()
		d.ledger.Loaded(len(blocks))
		d.mu.Unlock()
		d.cache.add(blocks)
	}
	close(j.done)
	t.users--
	t.retire()
	t.mu.Unlock()
	for _, v := range j.deliver {
		t.hand(j, v)
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
	d.admits[load] = func() { t.admitted(delivery{w, deliver}) }
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

// admitted goes on with a Load when there is memory to read into.
func (t *Torrent) admitted(v delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users--
	t.retire()
	switch {
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

// crcCache keeps the CRCs of the pieces that were read last.
type crcCache struct {
	pieces []wire.Piece // the oldest first
	crcs   map[wire.Piece][]uint32
}

// mostCRCs is the number of pieces in it: readers go through a piece in order.
const mostCRCs = 16

func (c *crcCache) forget(p wire.Piece) {
	if i := slices.Index(c.pieces, p); i >= 0 {
		c.pieces = slices.Delete(c.pieces, i, i+1)
		delete(c.crcs, p)
	}
}

func (c *crcCache) add(p wire.Piece, crcs []uint32) {
	c.forget(p)
	if c.crcs == nil {
		c.crcs = map[wire.Piece][]uint32{}
	}
	if len(c.pieces) == mostCRCs {
		c.forget(c.pieces[0])
	}
	c.pieces = append(c.pieces, p)
	c.crcs[p] = crcs
}

// crcsOf is the CRCs of a stored piece, from the journal.
func (t *Torrent) crcsOf(p wire.Piece) ([]uint32, error) {
	t.mu.Lock()
	crcs := t.crcs.crcs[p]
	t.mu.Unlock()
	if crcs != nil {
		return crcs, nil
	}
	crcs, err := t.journal.crcs(p)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(crcs) > 0 && t.have.Has(p) {
		t.crcs.add(p, crcs)
	}
	return crcs, nil
}
