package engine

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/metainfo"
	"bipfs/selection"
	"bipfs/wire"
)

// A Reader is one open file. It says what is needed by when; selection decides
// from whom.
//
//	read ─▶ who reads (program.go), and where does it go on (follow.go): so how
//	        far ahead may it look (run.go)
//	     ─▶ Acquire: the bytes are here, in memory or on disk ─▶ reply
//	     └▶ wants, Await: they are not; and again from Acquire
//
// A reader that waits holds no memory of the disk cache.
type Reader struct {
	t      *Torrent
	file   metainfo.File
	number int // of the file
	store  *diskcache.Torrent
	geo    wire.Geometry

	mu       sync.Mutex
	closed   bool
	sessions []*session         // in the order in which they were read last
	jumps    int                // places in a row that were left soon
	recall   context.CancelFunc // of a scout; may be nil
	foreseen []aheadWant        // what it has found
	opened   time.Duration      // the first read; 0: none yet
	program  string             // who it was of
	visitor  string             // who it is of, if the kernel does not know: see For
	scanner  bool               // that is one
	read     int64              // bytes that were asked for
	pending  int                // reads that have not ended
	quiet    time.Duration      // when the last that was alone ended
	rested   time.Duration      // without a read, since the first
}

// Errors of reads, as the kernel shows them.
var (
	// ErrNoPeers is that nothing came for longer than the read time-out.
	ErrNoPeers error = syscall.ETIMEDOUT
)

// OpenFile opens file i of the torrent's metadata for reading. It waits for
// the disk at most.
func (t *Torrent) OpenFile(i int) (*Reader, error) {
	store, err := t.open()
	if err != nil {
		return nil, err
	}
	info := t.Info()
	t.hold(1)
	r := &Reader{t: t, file: info.Files[i], number: i, store: store, geo: info.Geometry}
	t.enter(r)
	return r, nil
}

// Close ends the reader: what it wanted is wanted no more.
func (r *Reader) Close() {
	r.mu.Lock()
	r.closed = true
	for _, s := range r.sessions {
		s.stop()
	}
	if r.recall != nil {
		r.recall()
	}
	l := r.t.running()
	for _, a := range r.foreseen {
		r.t.unwantAhead(l, r.store, a)
	}
	now := r.t.c.clock.now()
	r.t.c.habits.closed(r.program, r.read, r.file.Length, r.rested+now-r.quiet, now)
	r.mu.Unlock()
	r.t.leave(r)
	r.t.hold(-1)
}

// Size is the file's length in bytes.
func (r *Reader) Size() int64 { return r.file.Length }

// Read is the bytes [off, off+n) of the file, cut at its end; each loan is to
// be released. It is all of them or an error: ErrNoPeers, ctx's, or a fault of
// the disk.
func (r *Reader) Read(ctx context.Context, off int64, n int, by Caller) ([]wire.Loan, error) {
	if off < 0 || off >= r.file.Length || n <= 0 {
		return nil, nil
	}
	if r.t.removed.Load() {
		return nil, ErrRemoved
	}
	n = int(min(int64(n), r.file.Length-off))
	extents := r.geo.Extents(nil, r.file.Offset+off, int64(n))
	c := r.t.c
	p := c.programs.find(by.TID, c.clock.now())
	if name, ok := c.localOnly.holds(p); ok {
		return r.local(ctx, extents, name)
	}
	defer r.left(r.follow(off, int64(n), p))
	loans, err := r.store.Acquire(ctx, extents)
	if errors.Is(err, diskcache.ErrAbsent) {
		loans, err = r.fetch(ctx, extents, p)
	}
	if err != nil && r.t.removed.Load() {
		err = ErrRemoved // whatever it met on the way
	}
	return loans, err
}

// local is Read for a program that is to get only what is here.
func (r *Reader) local(ctx context.Context, extents []wire.Extent, name string) ([]wire.Loan, error) {
	loans, err := r.store.Acquire(ctx, extents)
	if !errors.Is(err, diskcache.ErrAbsent) {
		return loans, err
	}
	if c := r.t.c; c.localOnly.says(name, c.clock.now()) {
		c.log.Info("a program gets only what is here, and time-outs for the rest (--local-only); said once an hour", "program", name)
	}
	return nil, ErrNoPeers
}

// fetch waits for extents and takes them. Until then it expects them: or what
// has just come may be dropped again before it is taken.
func (r *Reader) fetch(ctx context.Context, extents []wire.Extent, p program) ([]wire.Loan, error) {
	for _, e := range extents {
		r.store.Expect(e.Piece)
		defer r.store.Unexpect(e.Piece)
	}
	for {
		// What is proven of an open piece is here only as long as it is wanted.
		unwant, err := r.wait(ctx, extents, p)
		if err != nil {
			unwant()
			return nil, err
		}
		loans, err := r.store.Acquire(ctx, extents)
		unwant()
		if !errors.Is(err, diskcache.ErrAbsent) {
			return loans, err
		}
	}
}

// wait asks the swarm for extents and waits until they are here, or until it is
// worth another try. unwant, which is never nil, ends that they are asked for.
func (r *Reader) wait(ctx context.Context, extents []wire.Extent, p program) (unwant func(), err error) {
	t := r.t
	unwant = func() {}
	ctx, release, err := t.c.waiting.take(ctx, &t.waits)
	if err != nil {
		return unwant, err
	}
	defer release()
	defer t.blocked.begin(r.number, extents, p.name)()
	if t.c.ctx.Err() != nil {
		return unwant, ErrClosed
	}
	l, err := t.activate()
	if err != nil {
		return unwant, err
	}
	class := selection.Now
	if p.idle {
		class = selection.Background
	}
	due := t.c.clock.now() + p.delay(t.c.cfg.ReadTimeout)
	wants := make([]wire.Reader, 0, len(extents))
	unwant = func() {
		for _, id := range wants {
			l.want(selection.Unwant{Reader: id})
		}
	}
	for _, e := range extents {
		id := wire.Reader(t.c.readers.Add(1))
		if err := l.want(selection.Want{Reader: id, Extent: e, Deadline: due, Class: class}); err != nil {
			return unwant, err
		}
		wants = append(wants, id)
	}
	return unwant, r.await(ctx, extents)
}

// await is the waiting of wait.
func (r *Reader) await(ctx context.Context, extents []wire.Extent) error {
	t := r.t
	patience, short := t.patience()
	err := r.store.Await(ctx, extents, patience)
	switch {
	case context.Cause(ctx) == ErrNoPeers || isOurs(context.Cause(ctx)):
		return context.Cause(ctx) // the place is somebody else's, or the user wants no waiting here
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, diskcache.ErrNoProgress):
		return err
	case short && t.useful.Load():
		return nil // a peer has come: now the time-out counts
	}
	t.timedOut()
	return ErrNoPeers
}

// patience is how long a read waits without progress; 0 is for ever. It is
// short when a read has timed out and no useful peer has come since.
func (t *Torrent) patience() (d time.Duration, short bool) {
	d = t.c.cfg.ReadTimeout
	if d > brokenPatience && t.broken.Load() && !t.useful.Load() {
		return brokenPatience, true
	}
	return d, false
}

// timedOut notes that a read has waited in vain.
func (t *Torrent) timedOut() {
	if !t.useful.Load() {
		t.broken.Store(true)
	}
}

// setUseful notes whether some peer can bring what is wanted.
func (t *Torrent) setUseful(useful bool) {
	if t.useful.Swap(useful) != useful && useful {
		t.broken.Store(false)
	}
}
