package diskcache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/wire"
)

// lifeOfTorrent fetches everything, reads everything, closes and opens again,
// and reads again. What is absent after a fault is fetched again; a wrong byte
// never is.
func lifeOfTorrent(t *testing.T, fs *simFS, x *truth, most ...int64) {
	r := rand.New(rand.NewPCG(3, 4))
	b, err := addAnyway(t, fs, x, most...)
	if err != nil {
		return
	}
	for p := range wire.Piece(x.Pieces()) {
		b.fetch(p, r)
		if len(most) > 0 {
			b.Unexpect(p)
		}
	}
	b.refetchAll(r)
	time.Sleep(2 * syncEvery)
	b.close()
	if b, err = addAnyway(t, fs, x, most...); err != nil {
		return
	}
	b.refetchAll(r)
	time.Sleep(2 * syncEvery) // a store that has just been full cannot be closed in peace
	b.close()
	if fs.open != 0 {
		t.Errorf("%d files are left open", fs.open)
	}
}

// addAnyway opens a disk; a torrent that cannot be added at once can be the
// second time. most is the bound of the store, if there is one.
func addAnyway(t *testing.T, fs *simFS, x *truth, most ...int64) (*bench, error) {
	t.Helper()
	c := Config{FS: fs, Connections: 2, Memory: Least(2) + 16*wire.BlockSize}
	if len(most) > 0 {
		c.Evict, c.Most = true, most[0]
	}
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Evict {
		d.Bound(func() []Tenant { return nil })
	}
	torrent, err := d.Add(x.spec("/x"))
	if err != nil {
		if torrent, err = d.Add(x.spec("/x")); err != nil {
			t.Fatal("twice:", err)
		}
	}
	return &bench{t: t, disk: d, truth: x, Torrent: torrent}, nil
}

// refetchAll reads everything and fetches what is not there.
func (b *bench) refetchAll(r *rand.Rand) {
	b.t.Helper()
	for p := range wire.Piece(b.truth.Pieces()) {
		for try := 0; ; try++ {
			err := b.read(b.truth.Whole(p))
			if err == nil {
				if b.disk.config.Evict {
					b.Unexpect(p)
				}
				break
			}
			if !errors.Is(err, ErrAbsent) || try > 3 {
				b.t.Fatalf("piece %d: %v", p, err)
			}
			b.fetch(p, r)
		}
	}
}

// TestFaultAtEveryOperation has each operation of the file system fail once,
// in each way.
func TestFaultAtEveryOperation(t *testing.T) {
	x := newTruth(2, 400_000, 100_000)
	step := 1
	if racing { // slower by far, and the same faults
		step = 12
	}
	everyFault(t, x, step, []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EACCES, errShort})
}

// TestFaultWhileEvicting is the same in a store that is too small.
func TestFaultWhileEvicting(t *testing.T) {
	step := 3
	if racing {
		step = 24
	}
	everyFault(t, newTruth(2, 400_000, 100_000), step, []unix.Errno{unix.EIO, unix.ENOSPC}, 250_000)
}

func everyFault(t *testing.T, x *truth, step int, faults []unix.Errno, most ...int64) {
	for _, fault := range faults {
		t.Run(fmt.Sprintf("%x", int(fault)), func(t *testing.T) {
			for n, last := 1, 1; n <= last; n += step {
				synctest.Test(t, func(t *testing.T) {
					fs := newSimFS()
					fs.fault = func(k int, _, _ string) error {
						if k == n {
							return fault
						}
						return nil
					}
					lifeOfTorrent(t, fs, x, most...)
					last = fs.ops
				})
				if t.Failed() {
					t.Fatalf("with operation %d of %d", n, last)
				}
			}
		})
	}
}

// TestSyncFails: what could not be synced is never marked durable.
func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(2, 400_000, 100_000)
		fs := newSimFS()
		fs.fault = func(_ int, op, name string) error {
			if op == "sync" && filepath.Base(name) != "journal" {
				return unix.EIO
			}
			return nil
		}
		lifeOfTorrent(t, fs, x)
		if n := durables(fs.data("/x", "journal"), x); n != 0 {
			t.Errorf("%d pieces are marked durable", n)
		}
	})
}

// durables counts the records that say so.
func durables(journal []byte, x *truth) (n int) {
	for p := range wire.Piece(x.Pieces()) {
		if markOf(journal, x, p) == durable {
			n++
		}
	}
	return n
}

// markOf is the mark of the first good record of a piece.
func markOf(bytes []byte, x *truth, p wire.Piece) mark {
	j, size := &journal{geo: x.Geometry}, recordLength(x.Geometry)
	for at := journalHeader; at+size <= len(bytes); at += size {
		if m, _ := j.parse(bytes[at:at+size], p, nil); m != none {
			return m
		}
	}
	return none
}

// TestKilled: at any moment the files, as they are, hold every piece that the
// journal has, right.
func TestKilled(t *testing.T) {
	crashes(t, func(fs *simFS, _ *rand.Rand) *simFS { return fs.killed() }, func(mark) bool { return true })
}

// TestPowerCut: at any moment every piece that is marked durable is right
// after a power cut; one that is only written may be gone, never wrong.
func TestPowerCut(t *testing.T) {
	crashes(t, (*simFS).powerCut, func(m mark) bool { return m == durable })
}

// TestKilledEvicting and TestPowerCutEvicting are the same while pieces are evicted:
// nothing that is marked has a hole in it.
func TestKilledEvicting(t *testing.T) {
	crashes(t, func(fs *simFS, _ *rand.Rand) *simFS { return fs.killed() }, func(mark) bool { return true }, 250_000)
}

func TestPowerCutEvicting(t *testing.T) {
	crashes(t, (*simFS).powerCut, func(m mark) bool { return m == durable }, 250_000)
}

func crashes(t *testing.T, crash func(*simFS, *rand.Rand) *simFS, sure func(mark) bool, most ...int64) {
	x := newTruth(5, 600_000, 50_000)
	proved := 0
	seeds, least := uint64(60), 50
	if racing {
		seeds, least = 10, 5
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			fs := newSimFS()
			crashed := make(chan *simFS, 1)
			at := 1 + r.IntN(150)
			if len(most) > 0 {
				at *= 2 // evicting takes as many again
			}
			fs.fault = func(n int, _, _ string) error {
				if n == at {
					crashed <- crash(fs, rand.New(rand.NewPCG(seed, 6)))
				}
				return nil
			}
			b, _ := addAnyway(t, fs, x, most...)
			for p := range wire.Piece(x.Pieces()) {
				b.fetch(p, r)
				if len(most) > 0 {
					b.Unexpect(p)
				}
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			}
			b.close()
			var left *simFS
			select {
			case left = <-crashed:
			default:
				left = crash(fs, r)
			}
			journal := left.data("/x", "journal")
			if b, _ = addAnyway(t, left, x, most...); b == nil {
				t.Fatal("cannot be opened again")
			}
			have := b.Have()
			for p := range wire.Piece(x.Pieces()) {
				m := markOf(journal, x, p)
				if have.Has(p) && m == none {
					t.Errorf("seed %d: piece %d came from nowhere", seed, p)
				}
				err := b.read(x.Whole(p))
				if m != none && sure(m) {
					if proved++; err != nil {
						t.Errorf("seed %d: piece %d, marked %d: %v", seed, p, m, err)
					}
				}
			}
			b.close()
		})
	}
	if proved < least {
		t.Errorf("only %d pieces proved anything", proved)
	}
}

// TestFrozen: a store that freezes stops nothing but itself: pieces are
// fetched and read from memory, more of them than memory holds.
func TestFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(7, 8<<20, 64<<10)
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs, Memory: Least(4) + 48*wire.BlockSize}, "/x")
		r := rand.New(rand.NewPCG(7, 7))
		b.fetch(0, r)
		b.Unexpect(0)
		time.Sleep(time.Second)
		thaw := fs.freeze()
		begin := time.Now()
		for p := range wire.Piece(x.Pieces()) {
			if p == 0 {
				continue
			}
			b.fetch(p, r)
			if err := b.read(x.Whole(p)); err != nil {
				t.Fatalf("piece %d: %v", p, err)
			}
			b.Unexpect(p)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("that took %v", d)
		}
		// A read of what only the frozen store has ends with its context.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		loans, err := b.Acquire(ctx, []wire.Extent{x.Whole(0)})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		releaseAll(loans)
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
		begin = time.Now()
		if err := b.disk.Close(ctx); err == nil {
			t.Error("a frozen store was closed")
		}
		cancel()
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("closing took %v", d)
		}
		thaw()
		b.disk.wait.Wait()
		b.disk.abandon()
		b.disk.cache.close()
		checkEmpty(t, b.disk)
	})
}

// TestKeepFree: the store never takes the space that is to be kept; reads go
// on; storing goes on when there is room.
func TestKeepFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(8, 12<<20, 64<<10)
		fs := newSimFS()
		fs.size = 6 << 20
		const keep = 2 << 20
		b := newBench(t, x, Config{FS: fs, KeepFree: keep, Memory: Least(4) + 48*wire.BlockSize}, "/x")
		r := rand.New(rand.NewPCG(8, 8))
		for p := range wire.Piece(x.Pieces()) {
			b.fetch(p, r)
			if err := b.read(x.Whole(p)); err != nil {
				t.Fatalf("piece %d: %v", p, err)
			}
			b.Unexpect(p)
			time.Sleep(10 * time.Millisecond)
			if free, _ := fs.Free(""); free < keep {
				t.Fatalf("only %d bytes are free", free)
			}
		}
		if b.disk.Stats().Storing {
			t.Error("a full store is said to be storing")
		}
		time.Sleep(2 * syncEvery) // until files that are whole are stamped
		stored := fs.usedNow()
		if stored < 1<<20 {
			t.Errorf("only %d bytes were stored", stored)
		}
		grow := func(size int64) {
			fs.mu.Lock()
			fs.size = size
			fs.mu.Unlock()
			time.Sleep(5 * time.Second)
		}
		grow(stored + keep + resumeMargin)
		if fs.usedNow() != stored {
			t.Error("storing went on at the very limit")
		}
		grow(stored + keep + 2*resumeMargin)
		if fs.usedNow() == stored || !b.disk.Stats().Storing {
			t.Error("storing did not go on")
		}
		b.close()
	})
}
