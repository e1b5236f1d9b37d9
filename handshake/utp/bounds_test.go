package utp

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestLittleMemory: with next to none for all, a connection goes on with what
// it may always hold.
func TestLittleMemory(t *testing.T) {
	w := newWorld(t, 1, 0, ethernet(), ethernet())
	for _, e := range w.ends {
		e.memory.limit = 1
	}
	a, b := w.ends[0], w.ends[1]
	a.toWrite, b.toWrite = 1<<20, 1<<20
	most := int64(0)
	if !w.run(time.Minute, func() bool {
		most = max(most, a.memory.used.Load(), b.memory.used.Load())
		return a.read == 1<<20 && b.read == 1<<20
	}) {
		t.Fatalf("read %d and %d: %s", a.read, b.read, describe(a.m))
	}
	// Written and received, each in blocks that need not be full.
	if most > 3*leastBuffer+4*blockSize {
		t.Errorf("%d bytes were held", most)
	}
}

// TestConns: one connection more than there may be is refused, at either end,
// and a place that becomes free is taken.
func TestConns(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, _ := w.socket("10.0.0.1:1", Config{Conns: 3})
		b, at := w.socket("10.0.0.2:2", Config{Conns: 5})
		l := b.Listen()
		c, d := joined(t, a, l, at)
		joined(t, a, l, at)
		joined(t, a, l, at)
		if _, err := a.Dial(t.Context(), at); !errors.Is(err, ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		c.Close()
		d.Close()
		time.Sleep(2 * timeWait)
		joined(t, a, l, at)
	})
}

// TestBacklog: who is not accepted waits, up to a bound; more are not answered,
// and come in when there is room.
func TestBacklog(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, _ := w.socket("10.0.0.1:1", Config{})
		b, at := w.socket("10.0.0.2:2", Config{Backlog: 2})
		l := b.Listen()
		for range 2 {
			if _, err := a.Dial(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := a.Dial(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past the backlog: %v", err)
		}
		l.Accept()
		if _, err := a.Dial(t.Context(), at); err != nil {
			t.Error(err)
		}
	})
}
