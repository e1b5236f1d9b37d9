package peer

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// tape is a socket that writes down each write to it.
type tape struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
}

func (s *tape) written() [][]byte {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *tape) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, bytes.Clone(b[:n]))
	return n, err
}

// TestBurst writes what selection, the engine and the disk cache left in their
// lanes: the bitfield first, all small messages in one write.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := &tape{Conn: near}
		w := newWorld(t, Config{Conn: s, Fast: true})
		w.remote = far
		var want []byte
		w.conn.Deliver(block(4, 0), w.lend(block(4, 0)))
		w.conn.Extend(Outgoing{Message: wire.Message{Kind: wire.Extended, ID: 5}, Payload: []byte("de")})
		w.conn.Send(Outgoing{Message: wire.Message{Kind: wire.HaveBitfield}, Payload: []byte{0xf0}})
		want = append(want, message(wire.Message{Kind: wire.HaveBitfield}, 0xf0)...)
		for i := range uint32(200) {
			w.conn.Send(request(block(0, i)))
			want = append(want, message(wire.Of(wire.Request, block(0, i)))...)
		}
		want = append(want, message(wire.Message{Kind: wire.Extended, ID: 5}, 'd', 'e')...)
		want = append(want, pieceBlock(block(4, 0))...)
		w.run()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("wrote %x (%v)", got[:40], err)
		}
		// A vector, which a pipe takes part by part: head and payload of the
		// bitfield, the run of all requests, and so on.
		if n := len(s.written()); n != 6 {
			t.Errorf("%d parts", n)
		}
		if got := w.news(); got != "spare; written 201/1/1" {
			t.Errorf("got %q", got)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestSlotComesBackFromTheSocket gives a slot back when the peer has taken the
// message in, not when it left the lane; and one lane is as long as its slots.
func TestSlotComesBackFromTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Slots: Slots{2, 1, 1}}).run()
		have := Outgoing{Message: wire.Message{Kind: wire.Have}}
		ext := Outgoing{Message: wire.Message{Kind: wire.Extended}}
		full := func(lane string, f func()) {
			defer func() {
				if recover() == nil {
					t.Errorf("lane %s took one more than it has slots", lane)
				}
			}()
			f()
		}
		w.conn.Send(have)
		synctest.Wait() // it left the lane and is stuck at the socket
		w.conn.Send(have)
		w.conn.Extend(ext)
		w.conn.Deliver(block(0, 0), w.lend(block(0, 0)))
		full("messages", func() { w.conn.Send(have) })
		full("extended", func() { w.conn.Extend(ext) })
		full("loaded", func() { w.conn.Deliver(block(0, 1), wire.Loan{}) })
		if got := w.news(); got != "" {
			t.Errorf("before the socket: %s", got)
		}
		w.drain()
		if got := w.news(); got != "written 1/0/0; written 1/1/1" {
			t.Errorf("after it: %s", got)
		}
		w.conn.Send(have)
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestVectors writes no more than maxVector blocks at once, so that messages
// get through between them.
func TestVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for i := range uint32(2*maxVector + 1) {
			w.conn.Deliver(block(0, i), w.lend(block(0, i)))
		}
		w.run().drain()
		if got := w.news(); got != "written 0/0/8; written 0/0/8; written 0/0/1" {
			t.Errorf("got %q", got)
		}
		want := int64((2*maxVector + 1) * wire.BlockSize)
		if c := w.conn.Counters(); c.UploadedPayload != want || c.Uploaded != want+(2*maxVector+1)*13 {
			t.Errorf("counted %+v", c)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestKeepAlive is sent after our own silence only.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := &tape{Conn: near}
		w := newWorld(t, Config{Conn: s})
		w.remote = far
		w.run().drain()
		time.Sleep(60 * time.Second)
		w.conn.Send(Outgoing{Message: wire.Message{Kind: wire.Interested}})
		w.send(0, 0, 0, 0)
		time.Sleep(KeepAliveAfter - time.Nanosecond)
		if n := len(s.written()); n != 1 {
			t.Fatalf("%d writes too early", n)
		}
		time.Sleep(time.Nanosecond)
		if ws := s.written(); len(ws) != 2 || !bytes.Equal(ws[1], make([]byte, 4)) {
			t.Errorf("writes: %x", ws)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// blocksEach is a peer that takes in a block in time, again and again.
var blocksEach = func() (n [maxVector]int) {
	for i := range n {
		n[i] = wire.BlockSize
	}
	return n
}()

// TestStalled closes a peer that takes in less than a block in WriteLimit, and
// goes on with one that is merely slow.
func TestStalled(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes [maxVector]int // bytes, every 25 s
		end   error
		at    time.Duration
	}{
		{"nothing", [maxVector]int{}, ErrStalled, WriteLimit},
		{"a byte at a time", [maxVector]int{1, 1, 1, 1, 1, 1, 1, 1}, ErrStalled, WriteLimit},
		{"all but a block", [maxVector]int{wire.BlockSize - 1}, ErrStalled, WriteLimit},
		{"a block, then nothing", [maxVector]int{wire.BlockSize}, ErrStalled, 2 * WriteLimit},
		{"a block at a time", blocksEach, ErrClosed, maxVector * 25 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				for i := range uint32(maxVector) {
					w.conn.Deliver(block(0, i), w.lend(block(0, i)))
				}
				time.Sleep(time.Hour)
				start := time.Now()
				w.run()
				done := make(chan struct{})
				go func() {
					defer close(done)
					for _, n := range c.takes {
						time.Sleep(25 * time.Second)
						w.send0(message(wire.Message{Kind: wire.KeepAlive}))
						io.ReadFull(w.remote, make([]byte, n))
					}
					w.conn.Close(nil)
				}()
				w.end(c.end)
				if at := time.Since(start); at != c.at {
					t.Errorf("ended after %v", at)
				}
				<-done
			})
		})
	}
}

// send0 is send for a peer whose connection may be gone.
func (w *world) send0(b []byte) { w.remote.Write(b) }

// TestDeadlineInsideVector lets the socket's deadline pass in the middle of a
// vector on a real socket: what was written is not written again, and a peer
// that is not late yet gets the rest.
func TestDeadlineInsideVector(t *testing.T) {
	near, far := pair(t)
	defer near.Close()
	defer far.Close()
	var n, wrote atomic.Int64
	s := sink{conn: near, written: &n, wrote: &wrote}
	var want []byte
	for i := range uint32(512) {
		b := block(i, i)
		s.head(wire.Of(wire.PieceBlock, b))
		s.payload(content(b))
		want = append(want, pieceBlock(b)...)
	}
	s.armed = time.Now().Add(WriteLimit)
	near.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	flushed := make(chan error)
	go func() { flushed <- s.flush() }()
	time.Sleep(50 * time.Millisecond)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the stream is not what was sent (%v)", err)
	}
	if err := <-flushed; err != nil || n.Load() != int64(len(want)) {
		t.Errorf("%v, %d bytes", err, n.Load())
	}
}
