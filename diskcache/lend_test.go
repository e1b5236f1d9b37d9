package diskcache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// long is a torrent with a file that may be lent, and its number.
func long() (*truth, int) {
	x := newTruth(31, 5<<20, 100_000)
	for i, f := range x.files {
		if f.Length >= leastLent && !f.Pad {
			return x, i
		}
	}
	panic("no file is long enough")
}

// lends lends a file, compares it with the truth and gives it back.
func (b *bench) lends(number int) bool {
	b.t.Helper()
	l, ok := b.Lend(number)
	if !ok {
		return false
	}
	defer l.Close()
	got := make([]byte, b.truth.files[number].Length)
	if _, err := readFull(l.handle, got, 0); err != nil {
		b.t.Error(err)
	}
	if !bytes.Equal(got, b.truth.bytes[b.starts[number]:][:len(got)]) {
		b.t.Error("a file with a wrong byte was lent")
	}
	return true
}

func (b *bench) fetchAll() {
	r := rand.New(rand.NewPCG(5, 5))
	for p := range wire.Piece(b.truth.Pieces()) {
		if !b.Have().Has(p) {
			b.fetch(p, r)
			if err := b.Flush(b.t.Context()); err != nil {
				b.t.Fatal(err)
			}
		}
		b.Unexpect(p)
	}
	b.settle()
}

// settle waits until everything is written, synced and stamped.
func (b *bench) settle() {
	b.t.Helper()
	if err := b.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(2 * syncEvery)
}

// TestLend: a file is lent when the last piece of it is stored, and after a
// restart at once.
func TestLend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, number := long()
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs}, "/x")
		r := rand.New(rand.NewPCG(5, 5))
		var pieces []wire.Piece
		for p := range b.piecesOf(number) {
			pieces = append(pieces, p)
		}
		for i, p := range pieces {
			if b.lends(number) {
				t.Fatalf("lent with %d of %d pieces", i, len(pieces))
			}
			b.fetch(p, r)
		}
		if err := b.Flush(t.Context()); err != nil || !b.lends(number) {
			t.Fatalf("not lent when it is whole: %v", err)
		}
		b.settle()
		b.close()
		b = newBench(t, x, Config{FS: fs}, "/x")
		if !b.lends(number) {
			t.Error("not lent after a restart")
		}
		b.close()
		for i, f := range x.files {
			if f.Length < leastLent && b.lends(i) {
				t.Errorf("file %d of %d bytes was lent", i, f.Length)
			}
		}
	})
}

// TestLendAfterReading: what was not stamped, or was touched by others, is lent
// when each byte of it has been read and found right; what was damaged, never.
func TestLendAfterReading(t *testing.T) {
	x, number := long()
	for name, c := range map[string]struct {
		change func(fs *simFS, f *simFile)
		lost   bool // a piece is damaged
	}{
		"no stamps":     {func(fs *simFS, _ *simFile) { delete(fs.files, "/x/stamps") }, false},
		"torn stamps":   {func(fs *simFS, _ *simFile) { fs.files["/x/stamps"].data[stampsHeader+stampLength*number+3] ^= 1 }, false},
		"other stamps":  {func(fs *simFS, _ *simFile) { fs.files["/x/stamps"].data[0] ^= 1 }, false},
		"short stamps":  {func(fs *simFS, _ *simFile) { fs.files["/x/stamps"].data = []byte("bipf") }, false},
		"touched":       {func(_ *simFS, f *simFile) { f.changes++ }, false},
		"a bit flipped": {func(_ *simFS, f *simFile) { f.changes++; f.data[77_777] ^= 1 }, true},
		"truncated":     {func(_ *simFS, f *simFile) { f.changes++; f.data = f.data[:len(f.data)-1] }, true},
		"grown":         {func(_ *simFS, f *simFile) { f.changes++; f.grow(int64(len(f.data)) + 1) }, false},
	} {
		for _, running := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fs := newSimFS()
					b := newBench(t, x, Config{FS: fs}, "/x")
					b.fetchAll()
					if !running {
						b.close()
					}
					fs.mu.Lock()
					c.change(fs, fs.files[b.dataFile(number)])
					fs.mu.Unlock()
					if !running {
						b = newBench(t, x, Config{FS: fs}, "/x")
					}
					stamps := name != "touched" && !c.lost && name != "grown"
					if b.lends(number) && !(running && stamps) {
						t.Error("lent at once")
					}
					if running { // what is in memory need not be read back
						b.close()
						return
					}
					b.refetchAll(rand.New(rand.NewPCG(6, 6)))
					b.settle()
					if b.lends(number) == (name == "grown") {
						t.Error("all of it was read: lent at a length that is not its own, or not lent at its own")
					}
					b.close()
				})
			})
		}
	}
}

// TestDamagedWhileLent: a piece of a file that is lent is not fetched again; it is
// when the file has been given back.
func TestDamagedWhileLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, number := long()
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs}, "/x")
		b.fetchAll()
		b.close()
		b = newBench(t, x, Config{FS: fs}, "/x")
		l, ok := b.Lend(number)
		if !ok {
			t.Fatal("not lent")
		}
		fs.mu.Lock()
		fs.files[b.dataFile(number)].data[500_000] ^= 1 // without a trace
		fs.mu.Unlock()
		p := wire.Piece((b.starts[number] + 500_000) / x.PieceLength)
		if err := b.read(x.Whole(p)); err == nil || errors.Is(err, ErrAbsent) || !b.Have().Has(p) {
			t.Errorf("while it is lent: %v, here is %v", err, b.Have().Has(p))
		}
		l.Close()
		if b.lends(number) {
			t.Error("lent in spite of the damage")
		}
		if err := b.read(x.Whole(p)); !errors.Is(err, ErrAbsent) {
			t.Errorf("when it was given back: %v", err)
		}
		b.refetchAll(rand.New(rand.NewPCG(6, 6)))
		b.settle()
		if !b.lends(number) {
			t.Error("not lent when it was mended")
		}
		b.close()
	})
}

// TestPowerCutAndLending: whatever a power cut leaves, what is lent is right.
func TestPowerCutAndLending(t *testing.T) {
	x, number := long()
	lent, cuts := 0, uint64(30)
	if testing.Short() {
		cuts = 10
	}
	for seed := range cuts {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 8))
			fs := newSimFS()
			b := newBench(t, x, Config{FS: fs}, "/x")
			for p := range wire.Piece(x.Pieces()) {
				b.fetch(p, r)
			}
			time.Sleep(time.Duration(r.Int64N(int64(2 * syncEvery))))
			after := fs.powerCut(r)
			b.close()
			if b = newBench(t, x, Config{FS: after}, "/x"); b.lends(number) {
				lent++
			}
			b.refetchAll(r)
			b.settle()
			if !b.lends(number) {
				t.Error("not lent in the end")
			}
			b.close()
		})
	}
	if lent == 0 || lent == int(cuts) {
		t.Errorf("lent after %d of %d power cuts: the test shows nothing", lent, cuts)
	}
}

// TestLendRealFile: stamps of the file system of this machine.
func TestLendRealFile(t *testing.T) {
	x, number := long()
	dir := t.TempDir()
	b := newBench(t, x, Config{}, dir)
	r := rand.New(rand.NewPCG(5, 5))
	for p := range wire.Piece(x.Pieces()) {
		b.fetch(p, r)
	}
	if err := b.Flush(t.Context()); err != nil || !b.lends(number) {
		t.Fatalf("not lent: %v", err)
	}
	name := b.dataFile(number)
	if err := os.Chtimes(name, time.Time{}, time.Unix(7, 7)); err != nil {
		t.Fatal(err)
	}
	if b.lends(number) {
		t.Error("lent after it was touched")
	}
	os.Rename(name, filepath.Join(dir, "gone"))
	if b.lends(number) {
		t.Error("lent when it is gone")
	}
	b.close()
}
