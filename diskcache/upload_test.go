package diskcache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// load waits for one upload.
func (b *bench) load(w wire.Block) error {
	b.t.Helper()
	done := make(chan error)
	b.Load(w, func(l wire.Loan, err error) {
		if err == nil {
			if !bytes.Equal(l.Bytes, b.truth.extent(wire.Extent(w))) {
				b.t.Errorf("wrong bytes for %v", w)
			}
			l.Of.Release()
		}
		done <- err
	})
	return <-done
}

// TestLoad: from the table, from ristretto, from the store, and what is not
// there.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 200_000, 50_000)
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs}, "/x")
		r := rand.New(rand.NewPCG(1, 1))
		b.fetch(0, r)
		b.fetch(1, r)
		b.Unexpect(1)
		if err := errors.Join(b.load(x.Block(0, 1)), b.load(x.Block(1, 3))); err != nil {
			t.Error("from memory:", err)
		}
		if err := b.load(x.Block(2, 0)); err != ErrAbsent {
			t.Error("absent:", err)
		}
		if err := b.load(wire.Block{Piece: 0, Begin: 16000, Length: 1000}); err != ErrTooLong {
			t.Error("over two blocks:", err)
		}
		if err := b.load(wire.Block{Piece: 77, Length: 1000}); err != ErrAbsent {
			t.Error("no such piece:", err)
		}
		b.close()
		b = newBench(t, x, Config{FS: fs}, "/x")
		for _, w := range []wire.Block{x.Block(0, 0), x.Block(1, 3), {Piece: 0, Begin: 5, Length: 7}} {
			if err := b.load(w); err != nil {
				t.Errorf("%v from the store: %v", w, err)
			}
		}
		b.close()
	})
}

// TestOneRead: many who want the same blocks cost one read of the store.
func TestOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 200_000, 200_000)
		fs := stored(t, x)
		b := newBench(t, x, Config{FS: fs}, "/x")
		thaw := fs.freeze()
		done := make(chan error)
		for range 5 {
			go func() { done <- b.read(x.Whole(0)) }()
			go func() { done <- b.load(x.Block(0, 3)) }()
		}
		time.Sleep(time.Second)
		if n := b.disk.Stats().Loading; n != x.Blocks(0) {
			t.Errorf("%d blocks are being read, not %d", n, x.Blocks(0))
		}
		thaw()
		for range 10 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		b.close()
	})
}

// TestGivenUp: a reader that goes away during a read leaves nothing behind.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 200_000, 200_000)
		fs := stored(t, x)
		b := newBench(t, x, Config{FS: fs}, "/x")
		thaw := fs.freeze()
		ctx, cancel := contextAfter(t, time.Second)
		defer cancel()
		if _, err := b.Acquire(ctx, []wire.Extent{x.Whole(0)}); err != ctx.Err() || err == nil {
			t.Error(err)
		}
		thaw()
		b.readAll(1 << 20)
		b.close()
	})
}

// TestTooLong: more than the reads' share is refused, not waited for.
func TestTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 4<<20, 1<<20)
		fs := stored(t, x)
		b := newBench(t, x, Config{FS: fs}, "/x")
		if _, err := b.Acquire(t.Context(), x.Extents(nil, 0, 4<<20)); err != ErrTooLong {
			t.Error(err)
		}
		b.close()
	})
}

// TestIdleMemory: slabs that nobody uses go back to the system, and are good
// as new afterwards.
func TestIdleMemory(t *testing.T) {
	m, err := newMemory(nil, 3*slabBlocks/2)
	if err != nil {
		t.Fatal(err)
	}
	bufs := make([]*wire.Buf, 3*slabBlocks/2)
	m.take(bufs)
	for _, b := range bufs {
		b[0] = 1
	}
	m.give(time.Second, bufs[1:]...)
	m.rest(time.Second + slabIdle - 1)
	if !m.slabs[1].touched {
		t.Error("a slab went back too soon")
	}
	m.rest(time.Second + slabIdle)
	if m.slabs[1].touched || !m.slabs[0].touched {
		t.Error("the idle slab did not go back, or the one in use did")
	}
	m.take(bufs[1:])
	m.give(time.Second, bufs...)
	if m.close(); m.region != nil {
		t.Error("memory that is all free was kept")
	}
}
