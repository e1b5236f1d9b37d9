package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// waiting is one read in a place.
type waiting struct {
	ctx     context.Context
	release func()
	err     error
}

func take(p *places, of *waits) waiting {
	ctx, release, err := p.take(context.Background(), of)
	return waiting{ctx, release, err}
}

func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &places{most: 2, now: func() time.Duration { return time.Since(start) }}
		dead := &waits{useful: func() bool { return false }}
		live := &waits{useful: func() bool { return true }}
		a, b := take(p, dead), take(p, dead)
		if a.err != nil || b.err != nil {
			t.Fatal("there are places, and they are not given")
		}
		time.Sleep(hopeTime)
		if c := take(p, dead); c.err != ErrNoPeers {
			t.Errorf("a read of a dead torrent over the cap: %v", c.err)
		}
		c := take(p, live)
		if c.err != nil || context.Cause(a.ctx) != ErrNoPeers || b.ctx.Err() != nil {
			t.Errorf("a live read does not take the oldest place of a dead torrent: %v", c.err)
		}
		unknown := &waits{useful: func() bool { return false }}
		d := take(p, unknown)
		if d.err != nil || context.Cause(b.ctx) != ErrNoPeers {
			t.Errorf("the first read of a torrent is refused: %v", d.err)
		}
		a.release()
		b.release()
		queued := make(chan waiting)
		for range 2 {
			go func() { queued <- take(p, live) }()
		}
		synctest.Wait()
		if p.queue.Len() != 2 {
			t.Fatalf("%d reads queue", p.queue.Len())
		}
		c.release()
		e := <-queued
		d.release()
		f := <-queued
		e.release()
		e.release() // twice is once
		f.release()
		if p.taken.Len()+p.queue.Len()+dead.n+live.n+unknown.n != 0 {
			t.Error("places are left over")
		}
	})
}

// TestPlacesQueueEnds: a read that queues ends with its context, at the very
// moment in which it is given a place too.
func TestPlacesQueueEnds(t *testing.T) {
	p := &places{most: 1, now: func() time.Duration { return 0 }}
	live := &waits{useful: func() bool { return true }}
	for range 1000 {
		a := take(p, live)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, release, err := p.take(ctx, live)
			if err == nil {
				release()
			}
			done <- err
		}()
		go cancel()
		a.release()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if p.taken.Len()+p.queue.Len()+live.n != 0 {
		t.Error("places are left over")
	}
}
