package diskcache

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// dataUsed is what the data files take of a simFS.
func dataUsed(fs *simFS) (n int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for name, f := range fs.files {
		if filepath.Base(filepath.Dir(name)) == "data" {
			n += int64(len(f.pages)) * Page
		}
	}
	return n
}

// newBounded is a bench whose store takes most bytes, with all of what there is
// beside it.
func newBounded(t *testing.T, x *truth, fs *simFS, most int64, tenants ...Tenant) *bench {
	t.Helper()
	b := newBench(t, x, Config{FS: fs, Evict: true, Most: most, Memory: Least(4) + 32*wire.BlockSize}, "/x")
	b.disk.Bound(func() []Tenant { return tenants })
	return b
}

// readOnce fetches a piece if it has to, reads it, and wants it no more.
func (b *bench) readOnce(p wire.Piece, r *rand.Rand) {
	b.t.Helper()
	b.Expect(p)
	if b.read(b.truth.Whole(p)) != nil {
		b.fetch(p, r)
		if err := b.read(b.truth.Whole(p)); err != nil {
			b.t.Fatalf("piece %d: %v", p, err)
		}
		b.Unexpect(p)
	}
	b.Unexpect(p)
	time.Sleep(100 * time.Millisecond) // until it is stored
}

// checkStore compares what is counted with what there is.
func (b *bench) checkStore(fs *simFS, most int64) {
	b.t.Helper()
	if n := dataUsed(fs); n > most {
		b.t.Fatalf("the store takes %d bytes, %d are allowed", n, most)
	}
	if n := b.disk.Stats().Stored; n > most || n < dataUsed(fs) {
		b.t.Fatalf("%d bytes are counted, %d are there, %d are allowed", n, dataUsed(fs), most)
	}
}

// TestBound: pieces of any length come and go, at no time is more stored than may
// be, and what was read last is still here.
func TestBound(t *testing.T) {
	for _, pieceLength := range []int64{10_000, 50_000, 64 << 10} {
		synctest.Test(t, func(t *testing.T) {
			const most = 300_000
			x := newTruth(3, 1_500_000, pieceLength)
			fs := newSimFS()
			fs.fault = func(int, string, string) error {
				if n := dataUsed(fs); n > most {
					t.Errorf("the store takes %d bytes, %d are allowed", n, most)
				}
				return nil
			}
			b := newBounded(t, x, fs, most)
			r := rand.New(rand.NewPCG(3, 3))
			for range 3 {
				for p := range wire.Piece(x.Pieces()) {
					b.readOnce(p, r)
					b.checkStore(fs, most)
				}
			}
			have := b.Have()
			if !have.Has(wire.Piece(x.Pieces() - 1)) {
				t.Error("what was read last is gone")
			}
			if n := int64(have.Count()) * pieceLength; n < most/3 {
				t.Errorf("only %d bytes are here", n)
			}
			b.close()
			b = newBounded(t, x, fs, most) // and all that is marked is right
			b.checkStore(fs, most)
			for p := range wire.Piece(x.Pieces()) {
				if have.Has(p) && b.read(x.Whole(p)) != nil {
					t.Errorf("piece %d was here, and is not", p)
				}
			}
			b.close()
		})
	}
}

// TestEvictionIsWhole: when all is gone, no page is left.
func TestEvictionIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(4, 900_000, 10_000)
		fs := newSimFS()
		b := newBounded(t, x, fs, Unbounded)
		r := rand.New(rand.NewPCG(4, 4))
		for _, p := range r.Perm(x.Pieces()) {
			b.readOnce(wire.Piece(p), r)
		}
		all := b.disk.Stats().Stored
		for b.disk.evict(30_000) > 0 {
		}
		if n := dataUsed(fs); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
		if s := b.disk.Stats(); s.Stored != 0 || s.Evicted != all {
			t.Errorf("%d bytes are counted, %d of %d are evicted", s.Stored, s.Evicted, all)
		}
		if n := b.Have().Count(); n != 0 {
			t.Errorf("%d pieces are here", n)
		}
		b.readOnce(7, r)
		b.close()
	})
}

// TestWhatGoesFirst: what was read longest ago, the ends of films last, and what is
// expected not at all. Who listens hears of each.
func TestWhatGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10
		x := newTruth(5, n*wire.BlockSize, wire.BlockSize)
		x.files = []File{{Length: x.Length, Ends: 100}}
		b := newBounded(t, x, newSimFS(), Unbounded)
		r := rand.New(rand.NewPCG(5, 5))
		for _, p := range []wire.Piece{0, 9, 3, 4, 5, 6, 7, 8, 1, 2} {
			b.readOnce(p, r)
			time.Sleep(readTick)
		}
		b.readOnce(3, r) // read again
		b.Expect(5)
		b.News(nil)
		var gone []wire.Piece
		for b.disk.evict(1) > 0 {
			for _, e := range b.News(nil) {
				if e.Kind != Evicted {
					t.Errorf("%+v", e)
				}
				gone = append(gone, e.Piece)
			}
		}
		if got, want := gone, []wire.Piece{4, 6, 7, 8, 1, 2, 3, 0, 9}; len(got) != len(want) {
			t.Errorf("%v went, expected are %v", got, want)
		} else {
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%v went, expected are %v", got, want)
					break
				}
			}
		}
		if !b.stored(5) {
			t.Error("what a reader expects is gone")
		}
		b.Unexpect(5)
		b.close()
	})
}

// TestTenants: torrents that nobody has opened count, and go before what is read;
// one that is kept stays.
func TestTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newSimFS()
		r := rand.New(rand.NewPCG(6, 6))
		const size = 160_000
		for i, dir := range []string{"/kept", "/old", "/new"} {
			x := newTruth(uint64(i), size, 32<<10)
			b := newBench(t, x, Config{FS: fs}, dir)
			for p := range wire.Piece(x.Pieces()) {
				b.fetch(p, r)
			}
			b.close()
		}
		begin := dataUsed(fs)
		x := newTruth(9, 500_000, 32<<10)
		b := newBench(t, x, Config{FS: fs, Evict: true, Most: begin + 64<<10, Memory: Least(4) + 32*wire.BlockSize}, "/x")
		opened := map[string]*Torrent{}
		tenant := func(i int, dir string, used time.Duration, kept bool) Tenant {
			s := newTruth(uint64(i), size, 32<<10).spec(dir)
			s.Used, s.Kept = time.Now().Add(-used), func() bool { return kept }
			return Tenant{Used: s.Used, Kept: s.Kept, Spec: func() Spec { return s }, Open: func() (*Torrent, error) {
				t, err := b.disk.Add(s)
				opened[dir] = t
				return t, err
			}}
		}
		b.disk.Bound(func() (all []Tenant) {
			for _, x := range []Tenant{tenant(0, "/kept", 3*time.Hour, true), tenant(1, "/old", 2*time.Hour, false), tenant(2, "/new", time.Hour, false)} {
				if opened[x.Spec().Dir] == nil {
					all = append(all, x)
				}
			}
			return all
		})
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
			if n := dataUsed(fs); n > begin+64<<10 {
				t.Fatalf("the store takes %d bytes, %d are allowed", n, begin+64<<10)
			}
			if p == 4 && (opened["/old"] == nil || opened["/new"] != nil) {
				t.Error("it was not what was read longest ago that went")
			}
		}
		if opened["/kept"] != nil || opened["/new"] == nil {
			t.Error("it was not what may go that went")
		}
		b.close()
	})
}

// TestLowered: a store that is over its bound when it is opened is brought down.
func TestLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(7, 1_000_000, 32<<10)
		fs := newSimFS()
		b := newBounded(t, x, fs, Unbounded)
		r := rand.New(rand.NewPCG(7, 7))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
		}
		b.close()
		b = newBounded(t, x, fs, 200_000)
		time.Sleep(2 * boundTick)
		b.checkStore(fs, 200_000)
		if n := b.Have().Count(); n < 3 {
			t.Errorf("only %d pieces are left", n)
		}
		b.close()
	})
}

// TestTooSmall: with a bound of nothing, or less than what is being read, everything
// can be read, a piece longer than memory, too.
func TestTooSmall(t *testing.T) {
	for _, most := range []int64{0, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			fs := newSimFS()
			x := newTruth(8, 2_000_000, 64<<10)
			b := newBounded(t, x, fs, most)
			r := rand.New(rand.NewPCG(8, 8))
			for p := range wire.Piece(x.Pieces()) {
				b.fetch(p, r) // and go on expecting it
				if err := b.read(x.Whole(p)); err != nil {
					t.Fatal(err)
				}
				if p > 3 {
					b.Unexpect(p - 4)
				}
				b.checkStore(fs, most)
			}
			if w := b.Wasted(); w.Dropped == 0 {
				t.Error("nothing was dropped: the test tests nothing")
			}
			b.close()
			y := newTruth(9, 4<<20, 2<<20)
			b = newBounded(t, y, fs, most)
			for p := range wire.Piece(y.Pieces()) {
				done := make(chan error, 1)
				go func() { done <- b.Await(t.Context(), []wire.Extent{y.Whole(p)}, 0) }()
				synctest.Wait()
				b.fetch(p, r)
				if err := <-done; err != nil {
					t.Error(err)
				}
				for from := uint32(0); from < y.PieceSize(p); from += 1 << 20 {
					if err := b.read(wire.Extent{Piece: p, Begin: from, Length: 1 << 20}); err != nil {
						t.Fatal(err)
					}
				}
				b.Unexpect(p)
				b.checkStore(fs, most+2<<20+16*Page)
				time.Sleep(2 * boundTick)
				b.checkStore(fs, most)
			}
			b.close()
		})
	}
}

// TestLentIsKept: a file that the kernel reads by itself is not evicted, and no more
// than half of the store is lent.
func TestLentIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(10, 3<<20, 64<<10)
		x.files = []File{{Length: 1 << 20}, {Length: 2 << 20}}
		fs := newSimFS()
		r := rand.New(rand.NewPCG(10, 10))
		fill := func(most int64) *bench {
			b := newBounded(t, x, fs, most)
			for p := range wire.Piece(x.Pieces()) {
				b.readOnce(p, r)
			}
			b.readAll(1 << 20)
			return b
		}
		b := fill(3 << 20)
		lent, ok := b.Lend(0)
		if !ok {
			t.Fatal("the first file is not lent")
		}
		if b.lends(1) {
			t.Error("more than half of the store is lent")
		}
		for b.disk.evict(1<<20) > 0 {
		}
		if n := b.Have().Count(); n != 16 {
			t.Errorf("%d pieces are left, 16 are lent", n)
		}
		lent.Close()
		if b.disk.evict(1) == 0 || b.lends(0) {
			t.Error("what is lent no more stays")
		}
		b.close()
		b = fill(4 << 20)
		if !b.lends(1) {
			t.Error("half of the store is not lent")
		}
		b.close()
	})
}

// TestEverybodyAndEviction: everybody at once, in a store that is too small. Nothing
// that was written is found damaged, and the sums are right.
func TestEverybodyAndEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		fs := newSimFS()
		fs.fault = func(int, string, string) error {
			if n := dataUsed(fs); n > most {
				t.Errorf("the store takes %d bytes, %d are allowed", n, most)
			}
			return nil
		}
		everybodyAtOnce(t, fs, Config{Evict: true, Most: most})
		if dataUsed(fs) < most/2 {
			t.Errorf("only %d bytes are stored", dataUsed(fs))
		}
	})
}
