package diskcache

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/wire"
)

// TestNoHoles: where no holes can be punched nothing is given up; storing ends when
// the store is full.
func TestNoHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(11, 1_000_000, 32<<10)
		fs := newSimFS()
		fs.fault = func(_ int, op, _ string) error {
			if op == "punch" {
				return unix.EOPNOTSUPP
			}
			return nil
		}
		b := newBounded(t, x, fs, 300_000)
		var log strings.Builder
		b.disk.log = plainLog(&log)
		r := rand.New(rand.NewPCG(11, 11))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
			b.checkStore(fs, 300_000)
		}
		if n := strings.Count(log.String(), "WARN"); n != 1 {
			t.Errorf("%d warnings, expected is one:\n%s", n, log.String())
		}
		if n := b.Have().Count(); n < 7 {
			t.Errorf("only %d pieces are here", n)
		}
		b.close()
	})
}

// TestKeepFreeEvicting: where others need the space, what was read long ago goes.
func TestKeepFreeEvicting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(12, 12<<20, 64<<10)
		fs := newSimFS()
		fs.size = 90 << 20
		const keep = 86 << 20
		b := newBench(t, x, Config{FS: fs, Evict: true, Most: Unbounded, KeepFree: keep, Memory: Least(4) + 48*wire.BlockSize}, "/x")
		b.disk.Bound(func() []Tenant { return nil })
		r := rand.New(rand.NewPCG(12, 12))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
			if free, _ := fs.Free(""); free < keep {
				t.Fatalf("only %d bytes are free", free)
			}
		}
		if s := b.disk.Stats(); !s.Storing || !b.stored(wire.Piece(x.Pieces()-1)) || s.Evicted == 0 {
			t.Errorf("what comes is not stored: %+v", s)
		}
		b.close()
	})
}

// TestSwept: what a kill has left of pieces that were not marked is found and given
// back, and nothing else.
func TestSwept(t *testing.T) {
	seeds := uint64(10)
	if racing { // slower by far, and the same holes
		seeds = 3
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			x := newTruth(13, 3_000_000, 300_000) // longer than memory
			fs := newSimFS()
			r := rand.New(rand.NewPCG(seed, 13))
			killed, at := make(chan *simFS, 1), 50+r.IntN(300)
			fs.fault = func(n int, _, _ string) error {
				if n == at {
					killed <- fs.killed()
				}
				return nil
			}
			b, _ := addAnyway(t, fs, x, 1<<20)
			for p := range wire.Piece(x.Pieces()) {
				b.fetch(p, r)
				b.Unexpect(p)
			}
			b.close()
			var left *simFS
			select {
			case left = <-killed:
			default:
				left = fs.killed()
			}
			b, _ = addAnyway(t, left, x, 1<<20)
			time.Sleep(2 * boundTick)
			b.checkStore(left, 1<<20)
			have := b.Have()
			for p := range wire.Piece(x.Pieces()) {
				if err := b.read(x.Whole(p)); have.Has(p) && err != nil {
					t.Errorf("piece %d: %v", p, err)
				}
			}
			b.close()
		})
	}
}

// TestQuota: what the file system says when it is full counts, whatever it says of
// free space.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(14, 1_000_000, 32<<10)
		fs := newSimFS()
		fs.fault = func(_ int, op, name string) error {
			if op == "write" && filepath.Base(name) != "journal" && dataUsed(fs) > 300_000 {
				return unix.EDQUOT
			}
			return nil
		}
		b := newBounded(t, x, fs, Unbounded)
		r := rand.New(rand.NewPCG(14, 14))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
		}
		time.Sleep(2 * pause)
		if s := b.disk.Stats(); !s.Storing || s.Evicted == 0 || !b.stored(wire.Piece(x.Pieces()-1)) {
			t.Errorf("what comes is not stored: %+v", s)
		}
		b.close()
	})
}

// TestDebrisInUse: what was written of a piece that is fetched again cannot go now, and
// other pieces go instead of it.
func TestDebrisInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		x := newTruth(18, 3_000_000, 50_000)
		fs := newSimFS()
		b := newBounded(t, x, fs, most)
		r := rand.New(rand.NewPCG(1, 18))
		p := wire.Piece(0)
		for ; b.disk.Stats().Evicted == 0; p++ {
			b.readOnce(p, r)
			time.Sleep(time.Second)
		}
		damaged := 0
		for have := b.Have(); damaged < 3; p++ {
			if n := p - 8; have.Has(n) {
				_ = b.absent(n, errors.New("damaged"))
				b.Open(n, time.Hour) // nobody brings it
				damaged++
			}
		}
		for end := p + 10; p < end; p++ {
			b.readOnce(p, r)
			time.Sleep(time.Second)
			if s := b.disk.Stats(); !s.Storing {
				t.Errorf("what comes is not stored: %+v", s)
			}
		}
		b.checkStore(fs, most)
		b.close()
	})
}
