package diskcache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"bipfs/wire"
)

// stored is a file system with all of a torrent in it.
func stored(t *testing.T, x *truth) *simFS {
	t.Helper()
	fs := newSimFS()
	b := newBench(t, x, Config{FS: fs}, "/x")
	r := rand.New(rand.NewPCG(1, 1))
	for p := range wire.Piece(x.Pieces()) {
		b.fetch(p, r)
	}
	b.close()
	return fs
}

// TestDamagedFiles: whatever happens to the data behind our back, no wrong
// byte comes out, the piece is absent and told to be, and can be fetched again.
func TestDamagedFiles(t *testing.T) {
	x := newTruth(11, 500_000, 50_000)
	for name, damage := range map[string]func(fs *simFS){
		"truncated": func(fs *simFS) { f := fs.files["/x/data/0"]; f.data = f.data[:len(f.data)/2] },
		"emptied":   func(fs *simFS) { fs.files["/x/data/0"].data = nil },
		"deleted":   func(fs *simFS) { delete(fs.files, "/x/data/0") },
		"swapped": func(fs *simFS) {
			fs.files["/x/data/0"], fs.files["/x/data/1"] = fs.files["/x/data/1"], fs.files["/x/data/0"]
		},
		"a bit flipped": func(fs *simFS) { fs.files["/x/data/0"].data[7] ^= 4 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := stored(t, x)
				damage(fs)
				b := newBench(t, x, Config{FS: fs}, "/x")
				lost := 0
				for p := range wire.Piece(x.Pieces()) {
					if err := b.read(x.Whole(p)); errors.Is(err, ErrAbsent) {
						lost++
						b.want(Evicted, p)
					} else if err != nil {
						t.Error(err)
					}
				}
				if lost == 0 || b.Have().Count() != x.Pieces()-lost {
					t.Errorf("%d lost, %d here", lost, b.Have().Count())
				}
				b.refetchAll(rand.New(rand.NewPCG(2, 2)))
				b.close()
				b = newBench(t, x, Config{FS: fs}, "/x")
				if b.Have().Count() != x.Pieces() {
					t.Error("what was fetched again is not there after a restart")
				}
				b.readAll(60_000)
				b.close()
			})
		})
	}
}

// TestOtherJournals: a journal that is not ours is set aside with its data, a
// newer one is refused and left alone, a torn record is a piece less.
func TestOtherJournals(t *testing.T) {
	x := newTruth(12, 300_000, 50_000)
	for name, c := range map[string]struct {
		damage func(journal []byte) []byte
		aside  bool
		err    error
		have   int
	}{
		"ours":        {func(j []byte) []byte { return j }, false, nil, x.Pieces()},
		"empty":       {func([]byte) []byte { return nil }, true, nil, 0},
		"torn header": {func(j []byte) []byte { j[30] ^= 1; return j }, true, nil, 0},
		"no journal":  {func([]byte) []byte { return []byte("<html>") }, true, nil, 0},
		"newer":       {func(j []byte) []byte { j[8] = 3; return j }, false, ErrVersion, 0},
		"torn record": {func(j []byte) []byte { j[journalHeader+25] ^= 1; return j }, false, nil, x.Pieces() - 1},
		"cut short":   {func(j []byte) []byte { return j[:len(j)-1] }, false, nil, x.Pieces() - 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := stored(t, x)
				f := fs.files["/x/journal"]
				f.data = c.damage(f.data)
				before := bytes.Clone(f.data)
				d, err := Open(Config{FS: fs, Connections: 4, Memory: Least(4)})
				if err != nil {
					t.Fatal(err)
				}
				b := &bench{t: t, disk: d, truth: x}
				b.Torrent, err = d.Add(x.spec("/x"))
				if !errors.Is(err, c.err) {
					t.Fatal(err)
				}
				if c.err != nil && !strings.Contains(err.Error(), "/x/journal") {
					t.Errorf("%v does not name the file", err)
				}
				aside := slices.Contains(keys(fs.files), "/x/journal.aside-0") && slices.Contains(keys(fs.files), "/x/data.aside-0/0")
				if aside != c.aside {
					t.Errorf("set aside: %v, in %v", aside, keys(fs.files))
				}
				if c.err != nil {
					if !bytes.Equal(fs.data("/x", "journal"), before) {
						t.Error("it was touched")
					}
					b.close()
					return
				}
				if n := b.Have().Count(); n != c.have {
					t.Errorf("%d pieces", n)
				}
				b.refetchAll(rand.New(rand.NewPCG(2, 2)))
				b.close()
			})
		})
	}
}

// TestRecordTwice: of a piece that has two records, as a power cut may leave it, there is
// one from then on; or it would be here after it was evicted.
func TestRecordTwice(t *testing.T) {
	x := newTruth(17, 300_000, 50_000)
	synctest.Test(t, func(t *testing.T) {
		fs := stored(t, x)
		f := fs.files["/x/journal"]
		size := recordLength(x.Geometry)
		first, second := f.data[journalHeader:][:size], f.data[journalHeader+size:][:size]
		copy(second, first)
		b := newBench(t, x, Config{FS: fs}, "/x")
		if n := b.Have().Count(); n != x.Pieces()-1 {
			t.Errorf("%d pieces", n)
		}
		journal := fs.data("/x", "journal")[journalHeader:]
		if second := journal[size:][:size]; !bytes.Equal(second, make([]byte, size)) {
			t.Error("the second record stands")
		}
		b.refetchAll(rand.New(rand.NewPCG(2, 2)))
		b.close()
	})
}

// TestDamageFoundLate: a read of what was damaged that ends when the piece has been
// fetched again, and is being written, says nothing of the new one.
func TestDamageFoundLate(t *testing.T) {
	x := newTruth(16, 200_000, 50_000)
	synctest.Test(t, func(t *testing.T) {
		fs := stored(t, x)
		for name, f := range fs.files {
			if strings.Contains(name, "/data/") {
				clear(f.data)
			}
		}
		b := newBench(t, x, Config{FS: fs}, "/x")
		late, writing := make(chan struct{}), make(chan struct{})
		var reads atomic.Int32
		fs.fault = func(_ int, op, name string) error {
			switch {
			case !strings.Contains(name, "/data/"):
			case op == "read":
				if reads.Add(1) == 1 {
					<-late
				}
			case op == "write":
				<-writing
			}
			return nil
		}
		e := wire.Extent{Begin: wire.BlockSize, Length: wire.BlockSize}
		ended := make(chan error)
		go func() { ended <- b.read(e) }()
		synctest.Wait()
		if err := b.read(wire.Extent{Length: wire.BlockSize}); !errors.Is(err, ErrAbsent) {
			t.Fatal(err)
		}
		b.want(Evicted, 0)
		b.fetch(0, rand.New(rand.NewPCG(2, 2)))
		close(late)
		if err := <-ended; !errors.Is(err, ErrAbsent) {
			t.Error(err)
		}
		if !b.Have().Has(0) {
			t.Error("the piece that was fetched again is not here")
		}
		if err := b.read(e); err != nil {
			t.Error(err)
		}
		close(writing)
		b.close()
	})
}

// TestForeignGeometry: a torrent of another shape in the folder.
func TestForeignGeometry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := stored(t, newTruth(1, 300_000, 50_000))
		b := newBench(t, newTruth(2, 300_000, 50_000), Config{FS: fs}, "/x")
		if b.Have().Count() != 0 {
			t.Error("pieces of another torrent")
		}
		b.refetchAll(rand.New(rand.NewPCG(2, 2)))
		b.close()
	})
}

// TestRereadFromMemory: what was read once comes from memory the second time,
// up to half of the memory, whether it was fetched or loaded.
func TestRereadFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := Least(4) + 1024*wire.BlockSize
		x := newTruth(13, memory/4, 128<<10)
		fs := stored(t, x)
		b := newBench(t, x, Config{FS: fs, Memory: memory}, "/x")
		b.readAll(128 << 10)
		synctest.Wait()
		before := b.disk.Stats()
		b.readAll(128 << 10)
		after := b.disk.Stats()
		hits, misses := after.Hits-before.Hits, after.Misses-before.Misses
		if hits*100 < 95*(hits+misses) {
			t.Errorf("%d from memory, %d from the store", hits, misses)
		}
		b.close()
	})
}

// TestManyFiles: more files than are kept open, and few descriptors.
func TestManyFiles(t *testing.T) {
	for name, most := range map[string]int{"bound": mostFiles, "descriptors": 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := &truth{Geometry: wire.Geometry{Length: 300_000, PieceLength: 32 << 10}, bytes: make([]byte, 300_000)}
				for range 300 {
					x.files = append(x.files, File{Length: 1000})
				}
				fs := newSimFS()
				fs.descriptors = most + 1 // the journal has one, too
				b := newBench(t, x, Config{FS: fs}, "/x")
				r := rand.New(rand.NewPCG(1, 1))
				for p := range wire.Piece(x.Pieces()) {
					b.fetch(p, r)
				}
				b.close()
				b = newBench(t, x, Config{FS: fs}, "/x")
				b.readAll(1 << 20)
				b.close()
				if fs.open != 0 || fs.mostOpen > most+1 {
					t.Errorf("%d files are open, %d at most", fs.open, fs.mostOpen)
				}
			})
		})
	}
}

// TestProbe: a real file system can do everything.
func TestProbe(t *testing.T) {
	warnings, err := Probe(t.TempDir())
	if err != nil || len(warnings) > 0 {
		t.Skip("this one cannot:", warnings, err)
	}
	if _, err := Probe("/nonexistent/dir"); err == nil {
		t.Error("a directory that is not there is fine")
	}
}

// FuzzRecord: no bytes make a record panic or claim more blocks than it has.
func FuzzRecord(f *testing.F) {
	g := wire.Geometry{Length: 1 << 20, PieceLength: 100_000}
	j := &journal{geo: g}
	f.Add(j.record(1, durable, make([]uint32, 7)), 7)
	f.Add(j.record(0, none, nil), 7)
	f.Add([]byte{1}, 1)
	f.Fuzz(func(t *testing.T, b []byte, blocks int) {
		if blocks < 1 || blocks > 1<<15 {
			return
		}
		m, crcs := parseRecord(b, recordHead, blocks, nil)
		if (m == none) != (len(crcs) == 0) || m != none && len(crcs) != blocks {
			t.Fatalf("mark %d with %d CRCs", m, len(crcs))
		}
	})
}

// FuzzJournal: no file of this name makes Add panic, or have a piece that reads
// wrong.
func FuzzJournal(f *testing.F) {
	x := newTruth(14, 100_000, 30_000)
	j := &journal{geo: x.Geometry, fingerprint: fingerprint(x.spec(""))}
	good := slices.Concat(j.header(), j.record(1, written, []uint32{1, 2}), j.record(0, durable, []uint32{3, 4}))
	f.Add(good)
	f.Add(good[:journalHeader+3])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := newSimFS()
		fs.files["/x/journal"] = &simFile{data: b, pages: map[int]int{}}
		k := &journal{files: newFiles(fs), name: "/x/journal", geo: x.Geometry, fingerprint: j.fingerprint, turn: make(chan struct{}, 1)}
		have, err := k.load()
		if err == nil && !have.Fits(x.Pieces()) {
			t.Fatal("pieces that the torrent has not")
		}
		for p := range wire.Piece(x.Pieces()) {
			if crcs, err := k.crcs(p); err == nil && have.Has(p) && len(crcs) != x.Blocks(p) {
				t.Fatal("a piece without its CRCs")
			}
		}
		k.close()
	})
}
