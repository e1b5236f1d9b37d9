package diskcache

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/wire"
)

// TestWriteCalls: a piece costs one call at most, and its records next to none,
// whatever the order in which pieces come.
func TestWriteCalls(t *testing.T) {
	x := newTruth(21, 16<<20, 64<<10)
	r := rand.New(rand.NewPCG(21, 21))
	inOrder := make([]int, x.Pieces())
	for i := range inOrder {
		inOrder[i] = i
	}
	for name, c := range map[string]struct {
		order []int
		most  float64 // calls a piece
	}{"in order": {inOrder, 0.3}, "at random": {r.Perm(x.Pieces()), 1.2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs, writes := newSimFS(), atomic.Int64{}
				fs.fault = func(_ int, op, _ string) error {
					if op == "write" {
						writes.Add(1)
					}
					return nil
				}
				b := newBench(t, x, Config{FS: fs, Memory: Least(4) + 4*x.Length}, "/x")
				for _, p := range c.order {
					b.fetch(wire.Piece(p), r)
					b.Unexpect(wire.Piece(p))
				}
				time.Sleep(3 * syncEvery) // until all is durable
				if n := durables(fs.data("/x", "journal"), x); n != x.Pieces() {
					t.Errorf("%d of %d pieces are durable", n, x.Pieces())
				}
				each := float64(writes.Load()) / float64(x.Pieces())
				t.Logf("%.2f calls a piece", each)
				if each > c.most {
					t.Errorf("allowed are %.1f", c.most)
				}
				b.close()
				b = newBench(t, x, Config{FS: fs}, "/x")
				b.readAll(60_000)
				b.close()
			})
		})
	}
}

// TestLotIsLate: a piece that comes alone is stored all the same, soon.
func TestLotIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(22, 100_000, 50_000)
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs}, "/x")
		b.fetch(0, rand.New(rand.NewPCG(1, 1)))
		time.Sleep(gatherTime + time.Millisecond)
		synctest.Wait()
		if markOf(fs.data("/x", "journal"), x, 0) != written {
			t.Error("it is not stored")
		}
		b.close()
	})
}

// TestBadPieceAlone: a piece that cannot be written keeps no other from it.
func TestBadPieceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(23, 400_000, 50_000)
		x.files = []File{{Length: 100_000}, {Length: 50_000}, {Length: 250_000}}
		fs := newSimFS()
		fs.fault = func(_ int, op, name string) error {
			if op == "write" && filepath.Base(name) == "1" {
				return unix.EIO
			}
			return nil
		}
		b := newBench(t, x, Config{FS: fs}, "/x")
		for p := range wire.Piece(x.Pieces()) {
			b.fetch(p, rand.New(rand.NewPCG(1, 1)))
		}
		time.Sleep(5 * time.Second)
		for p := range wire.Piece(x.Pieces()) {
			if stored := markOf(fs.data("/x", "journal"), x, p) != none; stored != (p != 2) {
				t.Errorf("piece %d: stored is %v", p, stored)
			}
		}
		fs.mu.Lock()
		fs.fault = nil
		fs.mu.Unlock()
		time.Sleep(time.Minute)
		b.close()
	})
}

// TestPlacesAreUsedAgain: a journal does not grow, however often pieces go and come.
func TestPlacesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(24, 300_000, 50_000)
		fs := stored(t, x)
		before := len(fs.data("/x", "journal"))
		for round := range 3 {
			for name, f := range fs.files {
				for i := range f.data {
					if filepath.Dir(name) == "/x/data" {
						f.data[i] ^= 1
					}
				}
			}
			b := newBench(t, x, Config{FS: fs}, "/x")
			for p := range wire.Piece(x.Pieces()) {
				if err := b.read(x.Whole(p)); err == nil {
					t.Error("a damaged piece is read")
				}
			}
			b.refetchAll(rand.New(rand.NewPCG(uint64(round), 2)))
			b.close()
		}
		if after := len(fs.data("/x", "journal")); after != before {
			t.Errorf("%d bytes, %d before", after, before)
		}
	})
}

// older is a journal as version 1 wrote it.
func older(fresh []byte, x *truth) []byte {
	j := &journal{geo: x.Geometry, fingerprint: fingerprint(x.spec(""))}
	out := make([]byte, journalHeader+x.Pieces()*olderLength(x.Geometry))
	copy(out, j.olderHeader())
	size := recordLength(x.Geometry)
	for at := journalHeader; at+size <= len(fresh); at += size {
		b := fresh[at : at+size]
		p := recordPiece(b)
		b = slices.Concat(b[:4], b[8:size-4])
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		copy(out[journalHeader+int(p)*len(b):], b)
	}
	return out
}

// TestOlderJournal: a journal of version 1 is written anew, and nothing of it is
// lost, whatever fails meanwhile.
func TestOlderJournal(t *testing.T) {
	x := newTruth(25, 300_000, 50_000)
	for torn, have := range map[bool]int{false: x.Pieces(), true: x.Pieces() - 1} {
		for n := range 20 {
			synctest.Test(t, func(t *testing.T) {
				fs := stored(t, x)
				f := fs.files["/x/journal"]
				f.data = older(f.data, x)
				if torn {
					f.data[journalHeader+olderLength(x.Geometry)+25] ^= 1
				}
				fs.ops = 0
				fs.fault = func(op int, _, _ string) error {
					if op == n {
						return unix.EIO
					}
					return nil
				}
				b, _ := addAnyway(t, fs, x)
				b.close()
				fs.fault = nil
				b = newBench(t, x, Config{FS: fs}, "/x")
				if got := b.Have().Count(); got != have {
					t.Errorf("%d pieces of %d, with a fault at %d", got, have, n)
				}
				if v := fs.data("/x", "journal")[8]; v != journalVersion {
					t.Errorf("version %d", v)
				}
				b.refetchAll(rand.New(rand.NewPCG(2, 2)))
				b.close()
			})
		}
	}
}

// TestLongPiece: a call writes a MiB, however long a piece is.
func TestLongPiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(26, 8<<20, 4<<20)
		x.files = []File{{Length: x.Length}}
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs, Memory: Least(4) + 4*x.Length}, "/x")
		for p := range wire.Piece(2) {
			b.fetch(p, rand.New(rand.NewPCG(1, 1)))
		}
		time.Sleep(gatherTime + time.Millisecond)
		synctest.Wait()
		fs.mu.Lock()
		writes := fs.files["/x/data/0"].writes
		for _, w := range writes {
			if len(w.data) != mostRow*wire.BlockSize {
				t.Errorf("%d bytes at %d", len(w.data), w.off)
			}
		}
		if len(writes) != 8 {
			t.Errorf("%d calls", len(writes))
		}
		fs.mu.Unlock()
		b.close()
	})
}
