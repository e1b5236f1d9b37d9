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
//	read ─▶ session: where does this reader go on, how far ahead may it look
//	     ─▶ Acquire: the bytes are here, in memory or on disk ─▶ reply
//	     └▶ wants, Await: they are not; and again from Acquire
//
// A reader that waits holds no memory of the disk cache.
type Reader struct {
	t     *Torrent
	file  metainfo.File
	store *diskcache.Torrent
	geo   wire.Geometry

	mu     sync.Mutex
	closed bool
	pos    int64       // where the reader goes on, if it goes on in order
	window int64       // how far ahead of pos is fetched, bytes
	ahead  []aheadWant // pieces that are expected, in order
}

// aheadWant is a piece that the reader is going to read.
type aheadWant struct {
	piece wire.Piece
	want  wire.Reader // 0 when it was here already
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
	return &Reader{t: t, file: info.Files[i], store: store, geo: info.Geometry}, nil
}

// Close ends the reader: what it wanted is wanted no more.
func (r *Reader) Close() {
	r.mu.Lock()
	r.closed = true
	r.expect(0, 0)
	r.mu.Unlock()
	r.t.hold(-1)
}

// Size is the file's length in bytes.
func (r *Reader) Size() int64 { return r.file.Length }

// Read is the bytes [off, off+n) of the file, cut at its end; each loan is to
// be released. It is all of them or an error: ErrNoPeers, ctx's, or a fault of
// the disk.
func (r *Reader) Read(ctx context.Context, off int64, n int) ([]wire.Loan, error) {
	if off < 0 || off >= r.file.Length || n <= 0 {
		return nil, nil
	}
	n = int(min(int64(n), r.file.Length-off))
	extents := r.geo.Extents(nil, r.file.Offset+off, int64(n))
	r.move(off, int64(n))
	loans, err := r.store.Acquire(ctx, extents)
	if errors.Is(err, diskcache.ErrAbsent) {
		return r.fetch(ctx, extents)
	}
	return loans, err
}

// fetch waits for extents and takes them. Until then it expects them: or what
// has just come may be dropped again before it is taken.
func (r *Reader) fetch(ctx context.Context, extents []wire.Extent) ([]wire.Loan, error) {
	for _, e := range extents {
		r.store.Expect(e.Piece)
		defer r.store.Unexpect(e.Piece)
	}
	for {
		if err := r.wait(ctx, extents); err != nil {
			return nil, err
		}
		loans, err := r.store.Acquire(ctx, extents)
		if !errors.Is(err, diskcache.ErrAbsent) {
			return loans, err
		}
	}
}

// wait asks the swarm for extents and waits until they are here, or until it is
// worth another try.
func (r *Reader) wait(ctx context.Context, extents []wire.Extent) error {
	t := r.t
	ctx, release, err := t.c.waiting.take(ctx, &t.waits)
	if err != nil {
		return err
	}
	defer release()
	if t.c.ctx.Err() != nil {
		return ErrClosed
	}
	l, err := t.activate()
	if err != nil {
		return err
	}
	now := t.c.clock.now()
	wants := make([]wire.Reader, 0, len(extents))
	defer func() {
		for _, id := range wants {
			l.want(selection.Unwant{Reader: id})
		}
	}()
	for _, e := range extents {
		id := wire.Reader(t.c.readers.Add(1))
		if err := l.want(selection.Want{Reader: id, Extent: e, Deadline: now, Class: selection.Now}); err != nil {
			return err
		}
		wants = append(wants, id)
	}
	patience, short := t.patience()
	err = r.store.Await(ctx, extents, patience)
	switch {
	case context.Cause(ctx) == ErrNoPeers:
		return ErrNoPeers // the place is somebody else's
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

// The kernel's read-ahead comes unordered: two requests of up to 1 MiB may be
// under way, and the second may come first. Reads up to nearby ahead of where a
// reader stands, or behind behind it, belong to one run.
const (
	nearby = 1 << 20
	behind = 3 * nearby
)

// move notes a read, and moves the window with it. The window starts at one
// piece, doubles while the reader goes on in order, and is closed by a jump.
func (r *Reader) move(off, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	end := off + n
	switch {
	case off > r.pos+nearby || off < r.pos-behind:
		r.pos, r.window = end, 0 // a jump
	case end > r.pos:
		grown := end - r.pos
		r.pos = end
		least := max(r.geo.PieceLength, nearby)
		r.window = min(max(r.window+2*grown, least), longestReadAhead, r.t.c.readAhead())
	}
	first := r.file.Offset + max(0, r.pos-nearby)
	last := r.file.Offset + min(r.file.Length, r.pos+r.window)
	if r.window == 0 {
		first, last = 0, 0
	}
	r.expect(first, last)
}

// readAhead is how much of the memory one reader may look ahead for.
func (c *Client) readAhead() int64 { return max(c.cfg.Memory/8, 1<<20) }

// expect moves the window to the bytes [first, last) of the torrent. The lock
// is held.
func (r *Reader) expect(first, last int64) {
	var from, to wire.Piece // [from, to)
	if last > first {
		from = wire.Piece(first / r.geo.PieceLength)
		to = wire.Piece((last-1)/r.geo.PieceLength) + 1
	}
	if n := len(r.ahead); n > 0 && from < to && r.ahead[0].piece == from && r.ahead[n-1].piece+1 == to {
		return
	}
	l := r.t.running()
	kept := r.ahead[:0]
	for _, a := range r.ahead {
		if a.piece >= from && a.piece < to {
			kept = append(kept, a)
			continue
		}
		r.store.Unexpect(a.piece)
		if a.want != 0 && l != nil {
			l.want(selection.Unwant{Reader: a.want})
		}
	}
	r.ahead = kept
	next := from
	if n := len(kept); n > 0 {
		next = kept[n-1].piece + 1 // what a window that moved back has behind was read just now
	}
	for p := next; p < to; p++ {
		r.ahead = append(r.ahead, r.wantAhead(p))
	}
}

// wantAhead expects a piece, and asks the swarm for it when it is not here.
func (r *Reader) wantAhead(p wire.Piece) aheadWant {
	r.store.Expect(p)
	whole := r.geo.Whole(p)
	if r.store.Local(whole) {
		return aheadWant{piece: p}
	}
	l, err := r.t.activate()
	if err != nil {
		return aheadWant{piece: p}
	}
	distance := max(0, r.geo.Offset(p, 0)-r.file.Offset-r.pos)
	id := wire.Reader(r.t.c.readers.Add(1))
	err = l.want(selection.Want{
		Reader: id, Extent: whole, Class: selection.ReadAhead,
		Deadline: r.t.c.clock.now() + due(distance),
	})
	if err != nil {
		id = 0
	}
	return aheadWant{piece: p, want: id}
}

// due is when bytes at a distance ahead of a reader are going to be read, as
// far as nothing is known of how fast it reads: at a rate that is above that
// of films, so that the order among readers is that of their distances.
func due(distance int64) time.Duration {
	const rate = 16 << 20 // bytes a second
	return time.Duration(distance/rate)*time.Second + time.Duration(distance%rate)*time.Second/rate
}
