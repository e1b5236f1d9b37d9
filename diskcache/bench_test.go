package diskcache

import (
	"context"
	"crypto/sha1"
	"os"
	"runtime"
	"testing"
	"time"

	"bipfs/wire"
)

// benchTorrent is a torrent of zeros in files that are not kept: what is
// measured is memory and hashing.
func benchTorrent(b *testing.B, pieceLength int64, pieces int) *bench {
	x := &truth{Geometry: wire.Geometry{Length: pieceLength * int64(pieces), PieceLength: pieceLength}}
	x.files = []File{{Length: x.Length}}
	d, err := Open(Config{FS: nullFS{}, Memory: 256 << 20, Connections: 64})
	if err != nil {
		b.Fatal(err)
	}
	zeros := wire.Digest(sha1.Sum(make([]byte, pieceLength)))
	t, err := d.Add(Spec{Dir: "/x", Geometry: x.Geometry, Files: x.files, Hash: func(wire.Piece) wire.Digest { return zeros }})
	if err != nil {
		b.Fatal(err)
	}
	return &bench{t: b, disk: d, truth: x, Torrent: t}
}

// nullFS takes everything and keeps nothing.
type nullFS struct{}

func (nullFS) MkdirAll(string) error       { return nil }
func (nullFS) Rename(string, string) error { return nil }
func (nullFS) Free(string) (int64, error)  { return 1 << 50, nil }
func (nullFS) Used(string) (int64, error)  { return 0, nil }

func (nullFS) OpenFile(_ string, flag int, _ os.FileMode) (Handle, error) {
	if flag&os.O_CREATE == 0 {
		return nil, os.ErrNotExist
	}
	return nullHandle{}, nil
}

type nullHandle struct{}

func (nullHandle) Preadv([][]byte, int64) (int, error) { return 0, nil }
func (nullHandle) Sync() error                         { return nil }
func (nullHandle) Stamp() (Stamp, error)               { return Stamp{Size: 1 << 62}, nil }
func (nullHandle) Fd() int                             { return -1 }
func (nullHandle) Punch(int64, int64) error            { return nil }
func (nullHandle) Truncate(int64) error                { return nil }
func (nullHandle) Close() error                        { return nil }

func (nullHandle) Pwritev(bufs [][]byte, _ int64) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}

func BenchmarkSwap(b *testing.B) {
	x := benchTorrent(b, 64<<20, 2)
	defer x.close()
	spare := x.Spare()
	x.Open(0, 0)
	x.want(Granted, 0)
	n := x.truth.Blocks(0)
	b.ReportAllocs()
	b.SetBytes(wire.BlockSize)
	i := n - 1 // backwards: no hasher runs along
	for b.Loop() {
		if i == 0 {
			b.StopTimer()
			x.Close(0)
			x.Open(0, 0)
			x.want(Granted, 0)
			i = n - 1
			b.StartTimer()
		}
		var lease wire.Lease
		if spare, lease = x.Swap(1, x.truth.Block(0, i), spare); lease == 0 {
			b.Fatal("not wanted")
		}
		i--
	}
	b.StopTimer()
	x.Close(0)
	x.Return(spare)
}

// BenchmarkPiece is all the way of a piece: open, swap, hash, acquire.
func BenchmarkPiece(b *testing.B) {
	for name, length := range map[string]int64{"256KiB": 256 << 10, "4MiB": 4 << 20} {
		b.Run(name, func(b *testing.B) {
			x := benchTorrent(b, length, 4096)
			defer x.close()
			ctx := context.Background()
			spare := x.Spare()
			clear(spare[:])
			b.SetBytes(length)
			p := wire.Piece(0)
			for b.Loop() {
				x.Expect(p)
				x.Open(p, 0)
				x.want(Granted, p)
				for i := range x.truth.Blocks(p) {
					clear(spare[:]) // as the socket would
					spare, _ = x.Swap(1, x.truth.Block(p, i), spare)
				}
				es := []wire.Extent{x.truth.Whole(p)}
				if err := x.Await(ctx, es, time.Minute); err != nil {
					b.Fatal(err)
				}
				loans, err := x.Acquire(ctx, es)
				if err != nil {
					b.Fatal(err)
				}
				releaseAll(loans)
				x.Unexpect(p)
				p = (p + 1) % 4096
				if x.stored(p) {
					b.StopTimer()
					x.forgetAll()
					b.StartTimer()
				}
			}
			x.Return(spare)
		})
	}
}

// forgetAll makes all pieces absent that are not being written.
func (b *bench) forgetAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range wire.Piece(b.truth.Pieces()) {
		if b.pieces[p] == nil {
			b.have.Clear(p)
		}
	}
	b.news = b.news[:0]
}

func BenchmarkAcquireMemory(b *testing.B) {
	x := benchTorrent(b, 1<<20, 4)
	defer x.close()
	spare := x.Spare()
	clear(spare[:])
	x.Open(0, 0)
	x.want(Granted, 0)
	for i := range x.truth.Blocks(0) {
		clear(spare[:])
		spare, _ = x.Swap(1, x.truth.Block(0, i), spare)
	}
	x.Return(spare)
	x.want(Verified, 0)
	for x.disk.Stats().Cached < 64 {
		runtime.Gosched()
	}
	es := []wire.Extent{{Piece: 0, Begin: 1000, Length: 128 << 10}}
	b.ReportAllocs()
	b.SetBytes(128 << 10)
	for b.Loop() {
		loans, err := x.Acquire(b.Context(), es)
		if err != nil {
			b.Fatal(err)
		}
		releaseAll(loans)
	}
}
