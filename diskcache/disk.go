// Package diskcache owns all block memory, hashes what comes and stores what
// is right.
//
//	socket ─▶ spare ──Swap──▶ piece ──hash──▶ verified ──write-behind──▶ clean
//	             ▲              │                │  │                      │
//	             └── empty ◀────┘             Acquire  store, journal   ristretto
//	                                             │         │               │
//	                                          readers ◀────┴── CRC ◀───────┤
//	                                          uploads ◀──── Load ◀─────────┘
//
// Nothing on the way from a socket to a reader waits for the disk, and no byte
// is handed out that was not verified: by the piece's SHA-1 when it came, by
// the block's CRC32C when it is read back.
//
// Who waits for whom: a hasher for nothing; a writer, a loader and the syncer
// for the disk; the keeper, which carries out what the ledger decides and owns
// ristretto, for ristretto only. Swap, Spare, Open, Close and Load wait for
// nobody. The locks, in the order in which they may be taken: a journal's, a
// torrent's, and then one of those that nothing is called under: Disk.mu, the
// writers', a line's, the memory's, the cache's.
package diskcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/diskcache/ledger"
	"bipfs/wire"
)

const (
	// mostAcquired is the number of blocks that can always be read from disk
	// for one Acquire: the 1 MiB of a read, not aligned.
	mostAcquired = 65
	// leastRoom is the least number of blocks for pieces.
	leastRoom = 16
	writers   = 3
	loaders   = 4
	// tick is how often the keeper looks at what only time changes.
	tick = 250 * time.Millisecond
)

// Errors of this package.
var (
	ErrAbsent     = errors.New("not all of it is here")
	ErrClosed     = errors.New("the torrent is closed")
	ErrNoProgress = errors.New("no block has come for too long")
	ErrTooLong    = errors.New("more than can be read at once")
	ErrBusy       = errors.New("the torrent's former pieces are still being written")
)

// Config is what a Disk needs to know.
type Config struct {
	Memory      int64 // bytes of block memory; Least says how few will do
	KeepFree    int64 // bytes of the file system that are never stored into
	Evict       bool  // make room by evicting pieces; Bound is to be called then
	Most        int64 // with Evict: bytes of the file system that are stored into at most, or Unbounded
	Lent        bool  // files may be lent since an earlier process: nothing is evicted before Settle
	Connections int   // most spares at one time
	Log         *slog.Logger
	FS          FS // nil: the real one
}

// Disk is the memory and the store of all torrents.
type Disk struct {
	config Config
	fs     FS
	log    *slog.Logger
	epoch  time.Time
	boot   [16]byte

	memory  *memory
	cache   *cache
	files   *files
	writer  *writer
	hashes  *line[*piece]
	loads   *line[*job]
	hits    *line[func()]
	spares  atomic.Int64
	hit     atomic.Int64
	hashed  atomic.Int64
	spoilt  atomic.Int64 // bytes that are kept of bad copies
	miss    atomic.Int64
	stored  atomic.Int64 // bytes that were written to data files, or are to be
	writing atomic.Int64 // of these, those that are not written yet
	evicted atomic.Int64 // bytes that were given back by evicting
	bound   bound
	bounded chan struct{} // closed by Bound
	settled chan struct{} // closed by Settle
	closing chan struct{} // closed by Close, first of all

	mu       sync.Mutex
	ledger   *ledger.Ledger
	torrents map[ledger.Torrent]*Torrent
	dirs     map[string]*Torrent
	lenders  map[string]*Torrent                 // that have left their folder, and lend files of it still
	admits   map[ledger.Load]func(admitted bool) // false: it never will be
	closed   bool

	bell     chan struct{} // the keeper has something to do
	syncBell chan struct{} // so has the syncer
	unsynced atomic.Int64  // bytes
	leaves   leafCache
	kept     latest // the keeper's, to be used again
	stop     chan struct{}
	wait     sync.WaitGroup
	workers  int           // goroutines of wait
	ended    chan struct{} // has one for each that ended
}

// Least is the least Config.Memory, in bytes, for so many connections.
func Least(connections int) int64 {
	return int64(connections+2*mostAcquired+leastRoom) * wire.BlockSize
}

// Open makes a Disk. It starts a few goroutines, which Close ends.
func Open(c Config) (*Disk, error) {
	if c.Memory < Least(c.Connections) {
		return nil, fmt.Errorf("memory of %d bytes is too little for %d connections: at least %d are needed",
			c.Memory, c.Connections, Least(c.Connections))
	}
	if c.FS == nil {
		c.FS = system{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	blocks := int(c.Memory / wire.BlockSize)
	d := &Disk{
		config: c, fs: c.FS, log: c.Log, epoch: time.Now(), boot: bootID(),
		files:    newFiles(c.FS),
		hashes:   newLine[*piece](),
		loads:    newLine[*job](),
		hits:     newLine[func()](),
		torrents: map[ledger.Torrent]*Torrent{},
		dirs:     map[string]*Torrent{},
		lenders:  map[string]*Torrent{},
		admits:   map[ledger.Load]func(bool){},
		bell:     make(chan struct{}, 1),
		syncBell: make(chan struct{}, 1),
		stop:     make(chan struct{}),
		bounded:  make(chan struct{}),
		settled:  make(chan struct{}),
		closing:  make(chan struct{}),
		bound:    bound{entered: map[string]bool{}, asleep: map[string]sleeper{}, remain: remain{weighed: make(chan struct{}), restored: map[string]bool{}}},
	}
	rest := blocks - c.Connections
	d.ledger = ledger.New(ledger.Config{
		Blocks: blocks, Spares: c.Connections, Reads: max(2*mostAcquired, rest/8),
	})
	var err error
	if d.memory, err = newMemory(d, blocks); err != nil {
		return nil, err
	}
	if d.cache, err = newCache(d, rest/2); err != nil {
		d.memory.close()
		return nil, err
	}
	d.writer = newWriter(d, d.ledger.Part()/2)
	if !c.Lent {
		d.Settle()
	}
	d.start()
	return d, nil
}

func (d *Disk) start() {
	hashers := max(2, min(4, runtime.GOMAXPROCS(0)))
	d.workers = hashers + writers + loaders + 3
	if d.config.Evict {
		d.workers++
	}
	d.ended = make(chan struct{}, d.workers)
	run := func(n int, work func()) {
		for range n {
			d.wait.Go(func() {
				work()
				d.ended <- struct{}{}
			})
		}
	}
	run(hashers, d.hash)
	run(writers, d.writer.run)
	run(loaders, d.load)
	run(1, d.keep)
	run(1, d.sync)
	run(1, d.deliver)
	if d.config.Evict {
		run(1, d.govern)
	}
}

// deliver is the worker that hands out what was in memory.
func (d *Disk) deliver() {
	for deliver, ok := d.hits.pop(); ok; deliver, ok = d.hits.pop() {
		deliver()
	}
}

// now is the time of the ledger's clock.
func (d *Disk) now() time.Duration { return time.Since(d.epoch) }

// released takes the memory of a block that nobody refers to any more.
func (d *Disk) released(b *block) {
	b.key.Store(0)
	d.memory.give(d.now(), b.buf)
	d.mu.Lock()
	d.ledger.Released(1)
	waiting := d.ledger.Waiting()
	d.mu.Unlock()
	if waiting {
		d.ring()
	}
}

// Stats is where the memory is, in blocks, and how the store does. Free,
// Leased, Dirty, Held and Loading add up to all that is not set aside for
// spares.
type Stats struct {
	ledger.Counts
	SparesOut    int   // spares that connections have
	Taken        int   // blocks of memory that anybody has
	Cached       int   // held blocks that ristretto has
	Hits, Misses int64 // blocks that were read from memory, and from the store
	Hashed       int64 // bytes that were hashed for the proof of a piece
	Storing      bool  // false while the store is full
	Stored       int64 // bytes of the file system that the store takes, with Config.Evict
	Evicted      int64 // bytes that were given back to it
}

// Stats can be asked for at any time, after Close, too.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	c := d.ledger.Counts()
	d.mu.Unlock()
	d.bound.mu.Lock()
	stored := d.bound.used
	d.bound.mu.Unlock()
	return Stats{
		Counts: c, SparesOut: int(d.spares.Load()), Taken: d.memory.taken(),
		Cached: int(d.cache.count.Load()), Hits: d.hit.Load(), Misses: d.miss.Load(), Hashed: d.hashed.Load(),
		Storing: !d.writer.isPaused(), Stored: stored, Evicted: d.evicted.Load(),
	}
}

// Close closes all torrents, writes what the time of ctx allows, and joins all
// goroutines. A goroutine that a frozen file system does not let go is given
// up at the end of ctx: that is the error.
func (d *Disk) Close(ctx context.Context) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	close(d.closing)
	for _, t := range d.all() {
		t.Leave()
	}
	left := d.leave(ctx)
	d.writer.close()
	close(d.stop)
	d.loads.close()
	d.hits.close()
	d.hashes.close()
	if err := d.join(ctx); err != nil {
		return err
	}
	d.abandon()
	d.cache.close()
	d.memory.close()
	return left
}

// join waits for the goroutines. Those that the disk has stopped are given up
// when the time is over; the others need a moment and no disk.
func (d *Disk) join(ctx context.Context) error {
	const moment = 100 * time.Millisecond
	var late <-chan time.Time
	done := ctx.Done()
	for range d.workers {
		select {
		case <-d.ended:
			continue
		case <-done:
			done, late = nil, time.After(moment)
		case <-late:
			return fmt.Errorf("the store does not answer: %w", ctx.Err())
		}
		select {
		case <-d.ended:
		case <-late:
			return fmt.Errorf("the store does not answer: %w", ctx.Err())
		}
	}
	d.wait.Wait()
	return nil
}

// leave waits until every torrent has left, the time is over, or it turns out
// that there is no room for what is left.
func (d *Disk) leave(ctx context.Context) error {
	look := time.NewTicker(tick)
	defer look.Stop()
	for _, t := range d.all() {
		for waiting := true; waiting; {
			select {
			case <-t.left:
				waiting = false
			case <-look.C:
				if d.writer.isPaused() {
					if d.writer.isBounded() {
						return nil // that is as it was asked for
					}
					return errors.New("not everything was written: the store is full")
				}
			case <-ctx.Done():
				return fmt.Errorf("not everything was written: %w", ctx.Err())
			}
		}
	}
	return nil
}

// abandon gives up what was not done, when all goroutines have ended.
func (d *Disk) abandon() {
	d.mu.Lock()
	var never []func(bool)
	for load, admit := range d.admits {
		if d.ledger.Unload(load) {
			never = append(never, admit)
		}
	}
	clear(d.admits)
	d.mu.Unlock()
	for _, admit := range never {
		admit(false)
	}
	d.deliver()
	for d.cache.fill() {
	}
	for _, p := range d.writer.take() {
		p.t.abandoned(p)
	}
	for _, t := range d.all() {
		t.gone()
	}
}
