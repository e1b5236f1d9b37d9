package diskcache

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

const remainSize = 640_000

// left is a torrent of which everything is stored in the folder dir, and nobody has it
// open.
func left(t *testing.T, fs *simFS, seed uint64, dir string) *truth {
	t.Helper()
	x := newTruth(seed, remainSize, 32<<10)
	b := newBench(t, x, Config{FS: fs}, dir)
	r := rand.New(rand.NewPCG(seed, 1))
	for p := range wire.Piece(x.Pieces()) {
		b.fetch(p, r)
	}
	b.close()
	return x
}

// taken is how much of the folders is left.
func taken(fs *simFS, dirs ...string) (n int64) {
	for _, dir := range dirs {
		k, _ := fs.Used(dir + "/data")
		n += k
	}
	return n
}

// openRemaining is a Disk with remains of which the first was removed first.
func openRemaining(t *testing.T, c Config, dirs []string, all map[string]*truth) *Disk {
	t.Helper()
	c.Connections, c.Memory, c.Evict = 2, Least(2)+16*wire.BlockSize, true
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	var list []Remains
	for i, dir := range dirs {
		list = append(list, Remains{dir, time.Unix(int64(1000+i), 0)})
	}
	d.Remain(list, func(dir string) (Spec, error) {
		if all[dir] == nil {
			return Spec{}, errors.New("no metadata")
		}
		return all[dir].spec(dir), nil
	})
	return d
}

func closeDisk(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	checkEmpty(t, d)
}

// TestRemains: what removed torrents have left counts after a restart, and goes before
// what any torrent has, that first which was removed first; what is left is used again.
func TestRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newSimFS()
		all := map[string]*truth{}
		for i, dir := range []string{"/a", "/b", "/c", "/live"} {
			all[dir] = left(t, fs, uint64(i), dir)
		}
		fs.files["/b/data/notes.txt"] = &simFile{data: []byte("mine"), pages: map[int]int{0: 1}}
		begin, live := taken(fs, "/a", "/b", "/c", "/live"), taken(fs, "/live")
		third := taken(fs, "/c")
		var most int64 = 3*remainSize - 200_000
		d := openRemaining(t, Config{FS: fs, Most: most}, []string{"/a", "/b", "/c"}, all)
		spec := all["/live"].spec("/live")
		d.Bound(func() []Tenant {
			return []Tenant{{Used: time.Unix(0, 0), Kept: func() bool { return false }, Spec: func() Spec { return spec }, Open: func() (*Torrent, error) {
				t.Error("a torrent is evicted before what is removed")
				return d.Add(spec)
			}}}
		})
		time.Sleep(2 * boundTick)
		synctest.Wait()
		if n := d.Stats().Stored; n > most || n < taken(fs, "/a", "/b", "/c", "/live") || begin <= most {
			t.Errorf("%d bytes are counted, there are %d, %d are allowed, before there were %d", n, taken(fs, "/a", "/b", "/c", "/live"), most, begin)
		}
		if n := d.Remaining(); n < taken(fs, "/b", "/c") || n > d.Stats().Stored-live {
			t.Errorf("%d bytes of removed torrents, %d in all", n, d.Stats().Stored)
		}
		if taken(fs, "/a") != 0 || taken(fs, "/b") == 0 || taken(fs, "/c") != third || taken(fs, "/live") != live {
			t.Errorf("left are %d, %d, %d, %d", taken(fs, "/a"), taken(fs, "/b"), taken(fs, "/c"), taken(fs, "/live"))
		}
		if len(d.dirs) != 0 {
			t.Errorf("%d torrents are open", len(d.dirs))
		}
		d.Restored("/b")
		again, err := d.Add(all["/b"].spec("/b"))
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, disk: d, truth: all["/b"], Torrent: again}
		whole := 0
		for p := range wire.Piece(b.truth.Pieces()) {
			if b.Have().Has(p) {
				whole++
				if err := b.read(b.truth.Whole(p)); err != nil {
					t.Errorf("piece %d: %v", p, err)
				}
			}
		}
		if whole == 0 || whole == b.truth.Pieces() {
			t.Errorf("%d pieces of %d are left", whole, b.truth.Pieces())
		}
		if n := d.Remaining(); n < taken(fs, "/c") || n > taken(fs, "/c")+2*Page*20 {
			t.Errorf("%d bytes of the last removed torrent, there are %d", n, taken(fs, "/c"))
		}
		b.close()
		if string(fs.data("/b/data", "notes.txt")) != "mine" {
			t.Error("a file that is not ours is gone")
		}
	})
}

// TestRemoved: a torrent that is removed while it is open, and one that is not, go
// first from then on; one that is added again does not.
func TestRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newSimFS()
		all := map[string]*truth{"/a": left(t, fs, 1, "/a"), "/b": left(t, fs, 2, "/b"), "/x": left(t, fs, 3, "/x")}
		before := fs.killed()
		whole := func(dir string) bool { return taken(fs, dir) == taken(before, dir) }
		d := openRemaining(t, Config{FS: fs, Most: Unbounded}, nil, all)
		d.Bound(func() []Tenant { return nil })
		open := map[string]*Torrent{}
		for _, dir := range []string{"/a", "/x"} {
			s := all[dir].spec(dir)
			s.Used = time.Unix(1, 0)
			torrent, err := d.Add(s)
			if err != nil {
				t.Fatal(err)
			}
			open[dir] = torrent
		}
		d.Removed("/a", time.Unix(2000, 0))
		open["/a"].Leave()
		<-open["/a"].Left()
		d.Removed("/b", time.Unix(1000, 0)) // nobody has had it open
		if n := d.Remaining(); n < taken(fs, "/a", "/b") {
			t.Errorf("%d bytes may go", n)
		}
		d.evict(10_000)
		if taken(fs, "/b") != 0 || !whole("/a") {
			t.Errorf("left are %d, %d", taken(fs, "/a"), taken(fs, "/b"))
		}
		d.Restored("/a")
		d.evict(10_000)
		if !whole("/a") || whole("/x") {
			t.Errorf("left are %d of what was added again, %d of what is open", taken(fs, "/a"), taken(fs, "/x"))
		}
		closeDisk(t, d)
	})
}

// TestRemainsKilled: a kill at any moment of evicting leaves nothing that is marked and
// gone, and the next start knows what is there.
func TestRemainsKilled(t *testing.T) {
	seeds := uint64(40)
	if racing {
		seeds = 8
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			fs := newSimFS()
			all := map[string]*truth{"/a": left(t, fs, seed, "/a"), "/b": left(t, fs, seed+100, "/b")}
			const most = 700_000
			r := rand.New(rand.NewPCG(seed, 21))
			begin, at := fs.ops, 1+r.IntN(60)
			var killed *simFS
			fs.fault = func(n int, _, _ string) error {
				if n == begin+at {
					killed = fs.killed()
				}
				return nil
			}
			d := openRemaining(t, Config{FS: fs, Most: most}, []string{"/a", "/b"}, all)
			d.Bound(func() []Tenant { return nil })
			time.Sleep(3 * boundTick)
			closeDisk(t, d)
			if killed == nil {
				killed = fs.killed()
			}
			d = openRemaining(t, Config{FS: killed, Most: most}, []string{"/a", "/b"}, all)
			d.Bound(func() []Tenant { return nil })
			time.Sleep(3 * boundTick)
			synctest.Wait()
			if n, there := d.Stats().Stored, taken(killed, "/a", "/b"); n > most || n < there {
				t.Errorf("seed %d: %d bytes are counted, there are %d, %d are allowed", seed, n, there, most)
			}
			for _, dir := range []string{"/a", "/b"} {
				d.Restored(dir)
				torrent, err := d.Add(all[dir].spec(dir))
				if err != nil {
					t.Fatal(err)
				}
				b := &bench{t: t, disk: d, truth: all[dir], Torrent: torrent}
				have := b.Have()
				for p := range wire.Piece(b.truth.Pieces()) {
					if have.Has(p) && b.read(b.truth.Whole(p)) != nil {
						t.Errorf("seed %d: piece %d of %s is marked and gone", seed, p, dir)
					}
				}
			}
			closeDisk(t, d)
		})
	}
}

// lendOne is a store that has all of a torrent of two files; the first is lent.
func lendOne(t *testing.T, seed uint64, fs *simFS) (*bench, *Lent) {
	t.Helper()
	x := newTruth(seed, 3<<20, 64<<10)
	x.files = []File{{Length: 1 << 20}, {Length: 2 << 20}}
	b := newBench(t, x, Config{FS: fs, Evict: true, Most: Unbounded, Memory: Least(4) + 32*wire.BlockSize}, "/x")
	b.disk.Remain(nil, func(dir string) (Spec, error) { return x.spec(dir), nil })
	b.disk.Bound(func() []Tenant { return nil })
	r := rand.New(rand.NewPCG(seed, seed))
	for p := range wire.Piece(x.Pieces()) {
		b.readOnce(p, r)
	}
	b.readAll(1 << 20)
	lent, ok := b.Lend(0)
	if !ok {
		t.Fatal("the file is not lent")
	}
	return b, lent
}

// TestRemainsLent: what the kernel still reads of a removed torrent by itself stays,
// whoever comes into its folder, until it is given back.
func TestRemainsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newSimFS()
		b, lent := lendOne(t, 5, fs)
		for range 3 {
			b.disk.Removed("/x", time.Now())
			b.Leave()
			<-b.Left()
			for b.disk.evict(16<<20) > 0 {
			}
			if n := taken(fs, "/x"); n != 1<<20 {
				t.Fatalf("%d bytes are left, 1 MiB is lent", n)
			}
			time.Sleep(2 * tenantsAge)
			again, err := b.disk.Add(b.truth.spec("/x"))
			if err != nil {
				t.Fatal(err)
			}
			for b.disk.evict(16<<20) > 0 {
			}
			if n := again.Have().Count(); n != 16 {
				t.Fatalf("%d pieces are left, 16 are lent", n)
			}
			b.Torrent = again
		}
		lent.Close()
		if n := len(b.disk.lenders); n != 0 {
			t.Errorf("%d torrents that have left are remembered", n)
		}
		if b.disk.evict(1) == 0 {
			t.Error("what is lent no more stays")
		}
		b.close()
	})
}

// TestRemainsUnmarked: what no journal speaks of is given back, but for a file that the
// kernel reads by itself.
func TestRemainsUnmarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newSimFS()
		b, lent := lendOne(t, 6, fs)
		b.disk.Removed("/x", time.Now())
		b.Leave()
		<-b.Left()
		fs.mu.Lock()
		delete(fs.files, "/x/journal")
		fs.mu.Unlock()
		b.disk.evict(1)
		if n := taken(fs, "/x"); n != 1<<20 {
			t.Errorf("%d bytes are left, 1 MiB is lent", n)
		}
		lent.Close()
		closeDisk(t, b.disk)
	})
}

// TestRemainsUnusable: what cannot be opened counts and stays, is said once, and holds
// nothing up; no more does what is not known to be removed.
func TestRemainsUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newSimFS()
		left(t, fs, 1, "/broken")
		before := taken(fs, "/broken")
		left(t, fs, 2, "/alone")
		all := map[string]*truth{"/a": left(t, fs, 3, "/a")}
		d := openRemaining(t, Config{FS: fs, Most: 1_500_000}, []string{"/broken", "/a"}, all)
		d.bound.remain.list = append(d.bound.remain.list, Remains{Dir: "/alone"})
		var log strings.Builder
		d.log = plainLog(&log)
		d.Bound(func() []Tenant { return nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if taken(fs, "/broken") != before || taken(fs, "/alone") == 0 || taken(fs, "/a") > 1_500_000-before {
			t.Errorf("left are %d, %d, %d", taken(fs, "/broken"), taken(fs, "/alone"), taken(fs, "/a"))
		}
		if n := d.Stats().Stored; n > 1_500_000 || n < taken(fs, "/broken", "/alone", "/a") {
			t.Errorf("%d bytes are counted", n)
		}
		if n := strings.Count(log.String(), "WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		closeDisk(t, d)
	})
}
