package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// TestClose ends a connection in each state that it can be in.
func TestClose(t *testing.T) {
	reason := errors.New("the reason")
	have := message(wire.Message{Kind: wire.Have})
	for _, c := range []struct {
		name string
		do   func(w *world)
	}{
		{"idle", func(w *world) { w.run() }},
		{"waiting for a block", func(w *world) {
			w.run().drain()
			w.do("ask 0:0")
		}},
		{"inside a block", func(w *world) {
			w.run().drain()
			w.do("ask 0:0")
			w.send(pieceBlock(block(0, 0))[:100]...)
		}},
		{"the loop takes no message", func(w *world) {
			w.gate = make(chan struct{})
			w.run()
			w.send(have...)
		}},
		{"the loop takes no block", func(w *world) {
			w.run().drain()
			w.do("ask 0:0")
			w.gate = make(chan struct{})
			w.send(pieceBlock(block(0, 0))...)
		}},
		{"the loop takes no slots back", func(w *world) {
			w.gate = make(chan struct{})
			w.conn.Send(request(block(0, 0)))
			w.run().drain()
		}},
		{"the socket takes nothing", func(w *world) {
			for i := range uint32(100) {
				w.conn.Deliver(block(0, i), w.lend(block(0, i)))
			}
			w.conn.Send(request(block(0, 0)))
			w.run()
		}},
		{"before Run", func(w *world) {
			w.conn.Deliver(block(0, 0), w.lend(block(0, 0)))
			w.conn.Close(reason)
			w.run()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Fast: true})
				c.do(w)
				synctest.Wait()
				start := time.Now()
				w.conn.Close(reason)
				w.conn.Close(errors.New("another"))
				w.end(reason)
				if d := time.Since(start); d != 0 {
					t.Errorf("took %v", d)
				}
				w.conn.Deliver(block(0, 1), w.lend(block(0, 1)))
				w.conn.Send(request(block(0, 1)))
				w.conn.Extend(Outgoing{})
				w.counted()
			})
		})
	}
}

// TestContext ends a connection with the cause of its context.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("the torrent stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		w := newWorld(t, Config{})
		go func() { w.ended <- w.conn.Run(ctx) }()
		synctest.Wait()
		cancel(stop)
		w.end(stop)
	})
}

// TestPanic ends the peer, and only the peer, wherever a bug of ours shows.
func TestPanic(t *testing.T) {
	for _, where := range []string{"received", "stored", "written", "swap"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Fast: true})
				w.explode = where
				for i := range uint32(20) {
					w.conn.Deliver(block(0, i), w.lend(block(0, i)))
				}
				w.conn.Send(request(block(0, 0)))
				w.run().drain()
				synctest.Wait()
				w.send0(pieceBlock(block(0, 0)))
				w.send0(message(wire.Message{Kind: wire.Have}))
				w.end(ErrPanic)
			})
		})
	}
}

// pair is two ends of a TCP connection on loopback.
func pair(t testing.TB) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// seeder answers each request at once, from the reader's own goroutine: no
// peer is faster. lent is the bytes of every block.
type seeder struct {
	still
	conn *Conn
	lent wire.Loan
	free chan struct{} // slots of loaded
}

func (s *seeder) Release() {}

func (s *seeder) Received(ctx context.Context, _ wire.Peer, m wire.Message, _ []byte) error {
	if m.Kind != wire.Request {
		return nil
	}
	select {
	case s.free <- struct{}{}:
		s.conn.Deliver(m.Block(), s.lent)
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (s *seeder) Written(_ context.Context, _ wire.Peer, n Written) error {
	for range n.Loaded {
		<-s.free
	}
	return nil
}

func (s *seeder) Starved(context.Context, wire.Peer, wire.Block) error { return nil }

// leech keeps queue requests on their way until todo blocks were asked for,
// and closes done when they have all come.
type leech struct {
	conn  *Conn
	check func(*wire.Buf)

	mu          sync.Mutex
	asked, come int
	todo        int
	done        chan struct{}
}

func (l *leech) Spare() *wire.Buf { return new(wire.Buf) }
func (l *leech) Return(*wire.Buf) {}
func (l *leech) Swap(_ wire.Peer, _ wire.Block, full *wire.Buf) (*wire.Buf, wire.Lease) {
	if l.check != nil {
		l.check(full)
	}
	return full, 1
}
func (l *leech) Received(context.Context, wire.Peer, wire.Message, []byte) error { return nil }
func (l *leech) Written(context.Context, wire.Peer, Written) error               { return nil }
func (l *leech) Starved(context.Context, wire.Peer, wire.Block) error            { return nil }

func (l *leech) Arrived(_ context.Context, _ wire.Peer, all []Arrival) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range all {
		if l.come++; l.come == l.todo {
			close(l.done)
		}
		l.ask(1)
	}
	return nil
}

func (l *leech) ask(n int) {
	for ; n > 0 && l.asked < l.todo; n-- {
		l.conn.Send(request(wire.Block{Piece: wire.Piece(l.asked), Length: wire.BlockSize}))
		l.asked++
	}
}

// transfer moves blocks from a seeder to a leech over TCP.
func transfer(t testing.TB, blocks, queue int, check func(*wire.Buf)) (seed, leeched Counters) {
	near, far := pair(t)
	return transferOver(t, near, far, blocks, queue, check)
}

// transferOver is transfer over any connection.
func transferOver(t testing.TB, near, far net.Conn, blocks, queue int, check func(*wire.Buf)) (seed, leeched Counters) {
	const loads = 64
	slots := Slots{Messages: MaxAsked, Extended: 1, Loaded: loads}
	s := &seeder{still: still{new(wire.Buf)}, free: make(chan struct{}, loads)}
	s.lent = wire.Loan{Bytes: content(block(1, 2)), Of: s}
	s.conn = New(Config{Conn: far, Disk: s, Torrent: s, Slots: slots, Fast: true})
	l := &leech{todo: blocks, done: make(chan struct{}), check: check}
	l.conn = New(Config{Conn: near, Disk: l, Torrent: l, Slots: slots, Fast: true})
	ended := make(chan error, 2)
	go func() { ended <- s.conn.Run(t.Context()) }()
	go func() { ended <- l.conn.Run(t.Context()) }()
	l.mu.Lock()
	l.ask(queue)
	l.mu.Unlock()
	select {
	case <-l.done:
	case err := <-ended:
		t.Fatal(err)
	}
	l.conn.Close(io.EOF)
	<-ended
	<-ended
	return s.conn.Counters(), l.conn.Counters()
}

// TestTransfer moves blocks as fast as it can, many at a time and one at a
// time: the second would stop at a lost wake-up of either writer.
func TestTransfer(t *testing.T) {
	want := wire.Buf(content(block(1, 2)))
	check := func(b *wire.Buf) {
		if *b != want {
			t.Error("wrong bytes")
		}
		*b = wire.Buf{}
	}
	for _, c := range []struct{ blocks, queue int }{{4000, 128}, {8000, 1}, {4000, 2}} {
		s, l := transfer(t, c.blocks, c.queue, check)
		if payload := int64(c.blocks) * wire.BlockSize; s.UploadedPayload != payload || l.DownloadedPayload != payload || l.Wasted != 0 {
			t.Errorf("%v: %+v, %+v", c, s, l)
		}
	}
}

// TestIdleMemory bounds what a peer costs that says nothing: thousands of them
// stand on a busy machine.
func TestIdleMemory(t *testing.T) {
	const peers = 500
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	synctest.Test(t, func(t *testing.T) {
		before := used()
		var worlds []*world
		for range peers {
			worlds = append(worlds, newWorld(t, Config{}).run())
		}
		synctest.Wait()
		if each := int64(used()-before) / peers; each > 20_000 {
			t.Errorf("%d bytes each", each)
		} else {
			t.Logf("%d bytes each", each)
		}
		for _, w := range worlds {
			w.conn.Close(nil)
			w.end(ErrClosed)
		}
	})
}
