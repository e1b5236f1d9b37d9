package diskcache

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bipfs/wire"
)

func init() { poison = true }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// truth is the content of a made-up torrent.
type truth struct {
	wire.Geometry
	bytes []byte
	files []File
}

// newTruth is a torrent of so many bytes, in files of uneven lengths, one of
// them empty, with pads after every third.
func newTruth(seed uint64, length, pieceLength int64) *truth {
	r := rand.New(rand.NewPCG(seed, 99))
	x := &truth{Geometry: wire.Geometry{Length: length, PieceLength: pieceLength}, bytes: make([]byte, length)}
	for i := 0; i < len(x.bytes); i++ {
		x.bytes[i] = byte(r.Uint32())
	}
	for off, n := int64(0), 0; off < length; n++ {
		size := min(length-off, 1+r.Int64N(max(1, length/4)))
		pad := n%3 == 2
		if pad {
			size = min(size, 5000)
			clear(x.bytes[off : off+size])
		}
		x.files = append(x.files, File{Length: size, Pad: pad})
		if n == 1 {
			x.files = append(x.files, File{})
		}
		off += size
	}
	return x
}

func (x *truth) spec(dir string) Spec {
	return Spec{Dir: dir, Geometry: x.Geometry, Files: x.files, Hash: func(p wire.Piece) wire.Digest {
		return sha1.Sum(x.piece(p))
	}}
}

func (x *truth) piece(p wire.Piece) []byte {
	off := x.Offset(p, 0)
	return x.bytes[off : off+int64(x.PieceSize(p))]
}

func (x *truth) extent(e wire.Extent) []byte { return x.piece(e.Piece)[e.Begin : e.Begin+e.Length] }

// bench is a Disk and a torrent on it.
type bench struct {
	t     testing.TB
	disk  *Disk
	truth *truth
	*Torrent
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.DiscardHandler) }

func plainLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func newBench(t testing.TB, x *truth, c Config, dir string) *bench {
	t.Helper()
	return newBenchOf(t, x, c, x.spec(dir))
}

func newBenchOf(t testing.TB, x *truth, c Config, s Spec) *bench {
	t.Helper()
	if c.Connections == 0 {
		c.Connections = 4
	}
	if c.Memory == 0 {
		c.Memory = Least(c.Connections) + 64*wire.BlockSize
	}
	c.Log = testLog(t)
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	torrent, err := d.Add(s)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, disk: d, truth: x, Torrent: torrent}
}

// close ends the disk and counts every buffer.
func (b *bench) close() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.disk.Close(ctx); err != nil {
		b.t.Error("close:", err)
	}
	checkEmpty(b.t, b.disk)
}

func checkEmpty(t testing.TB, d *Disk) {
	t.Helper()
	s := d.Stats()
	if s.Taken != 0 || s.SparesOut != 0 || s.Cached != 0 || s.Leased+s.Dirty+s.Held+s.Loading != 0 {
		t.Errorf("buffers are left: %+v", s)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ledger.Check(); err != nil {
		t.Error(err)
	}
}

// next waits for the next news.
func (b *bench) next() News {
	b.t.Helper()
	for {
		b.mu.Lock()
		if len(b.news) > 0 {
			n := b.news[0]
			b.news = b.news[1:]
			b.mu.Unlock()
			return n
		}
		b.mu.Unlock()
		select {
		case <-b.Bell():
		case <-time.After(20 * time.Second):
			b.t.Fatalf("no news; %+v", b.disk.Stats())
		}
	}
}

// want waits for news of one kind about a piece, and skips what else comes.
func (b *bench) want(k NewsKind, p wire.Piece) News {
	b.t.Helper()
	for {
		if n := b.next(); n.Kind == k && n.Piece == p {
			return n
		}
	}
}

// bring swaps one block in, as a connection would, right or corrupted.
func (b *bench) bring(spare *wire.Buf, w wire.Block, corrupt bool) (*wire.Buf, wire.Lease) {
	copy(spare[:], b.truth.extent(wire.Extent(w)))
	if corrupt {
		spare[0] ^= 1
	}
	return b.Swap(1, w, spare)
}

// fetch opens a piece and brings all its blocks, in a random order.
func (b *bench) fetch(p wire.Piece, r *rand.Rand) {
	b.t.Helper()
	b.Expect(p) // or a slow store may have it dropped
	b.Open(p, 0)
	n := b.want(Granted, p)
	spare := b.Spare()
	defer func() { b.Return(spare) }()
	room := n.N
	for _, i := range r.Perm(b.truth.Blocks(p)) {
		for room == 0 {
			room += b.want(Room, p).N
		}
		room--
		var lease wire.Lease
		if spare, lease = b.bring(spare, b.truth.Block(p, i), false); lease != n.Lease {
			b.t.Fatalf("block %d of piece %d is not wanted", i, p)
		}
	}
	if v := b.want(Verified, p); !v.OK {
		b.t.Fatalf("piece %d is bad", p)
	}
}

// read compares an extent with the truth.
func (b *bench) read(e wire.Extent) error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	loans, err := b.Acquire(ctx, []wire.Extent{e})
	if err != nil {
		return err
	}
	defer releaseAll(loans)
	var got []byte
	for _, l := range loans {
		got = append(got, l.Bytes...)
	}
	if !bytes.Equal(got, b.truth.extent(e)) {
		b.t.Errorf("wrong bytes in %v", e)
	}
	return nil
}

func (b *bench) readAll(unit uint32) {
	b.t.Helper()
	for p := range wire.Piece(b.truth.Pieces()) {
		size := b.truth.PieceSize(p)
		for from := uint32(0); from < size; from += unit {
			if err := b.read(wire.Extent{Piece: p, Begin: from, Length: min(unit, size-from)}); err != nil {
				b.t.Fatalf("piece %d at %d: %v; %+v", p, from, err, b.disk.Stats())
			}
		}
	}
}

func TestFetchReadReopen(t *testing.T) {
	for _, c := range []struct{ length, piece int64 }{
		{1, 16 << 10}, {100_000, 16 << 10}, {1_000_001, 64 << 10}, {3_000_000, 100_000}, {5 << 20, 1 << 20},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			x := newTruth(1, c.length, c.piece)
			dir := t.TempDir()
			r := rand.New(rand.NewPCG(1, 2))
			b := newBench(t, x, Config{}, dir)
			for _, p := range r.Perm(x.Pieces()) {
				b.fetch(wire.Piece(p), r)
			}
			b.readAll(70_000)
			b.close()
			b = newBench(t, x, Config{}, dir)
			if n := b.Have().Count(); n != x.Pieces() {
				t.Fatalf("%d of %d pieces after reopening", n, x.Pieces())
			}
			b.readAll(33_333)
			b.readAll(1 << 20)
			b.close()
		})
	}
}

func contextAfter(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
