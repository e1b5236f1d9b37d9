package diskcache

import (
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"bipfs/wire"
)

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
	age := t.age()
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
	t.mu.Lock()
	t.confirm(j.piece, j.first, len(j.bufs), age)
	t.mu.Unlock()
	return nil
}

// finish gives the blocks of a job to all who wait for them. A failed one
// makes the piece absent.
func (t *Torrent) finish(j *job, err error) {
	d := t.disk
	if err != nil {
		j.err = t.absent(j.piece, err)
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
