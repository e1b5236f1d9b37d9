package handshake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// serve starts an accept loop on a listener of pipes; stop ends it and the
// world.
func (w *world) serve() (l *listener, stop func()) {
	l = newListener()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.h.Serve(ctx, l) }()
	return l, func() {
		w.t.Helper()
		cancel()
		if err := <-ended; err != context.Canceled {
			w.t.Errorf("Serve: %v", err)
		}
		w.end()
	}
}

// TestSplit sends a handshake and what follows it in two parts, cut at each
// byte, both ways, and finds every byte again.
func TestSplit(t *testing.T) {
	after := []byte("what follows the handshake in the same packet, longer than a head")
	all := append(Append(nil, Reserved, hash, greater), after...)
	for cut := 1; cut <= len(all); cut++ {
		for _, incoming := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Limits{})
				got := make([]byte, len(after))
				w.become = func(ctx context.Context, c *Conn) error {
					io.ReadFull(c.Reader, got)
					<-ctx.Done()
					return nil
				}
				talk := func(far net.Conn) {
					go io.Copy(io.Discard, far)
					far.Write(all[:cut])
					time.Sleep(time.Second)
					if cut < len(all) { // a pipe waits for a reader of nothing
						far.Write(all[cut:])
					}
				}
				l, stop := w.serve()
				if incoming {
					go talk(l.connect(addr(1)))
				} else {
					w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) {
						near, far := net.Pipe()
						go talk(far)
						return near, nil
					}
					w.h.Offer(hash, Tracker, addr(1))
					w.h.Want(hash, 1)
				}
				time.Sleep(2 * time.Second)
				if w.met() != 1 || !bytes.Equal(got, after) {
					t.Errorf("cut at %d, incoming %v: %q", cut, incoming, got)
				}
				if c := w.peers[0]; c.Incoming != incoming || c.PeerID != greater || c.Addr != addr(1) {
					t.Errorf("%+v", c)
				}
				w.h.Want(hash, 0)
				stop()
			})
		}
	}
}

// TestSplitTCP does the same over real sockets, in one packet.
func TestSplitTCP(t *testing.T) {
	after := bytes.Repeat([]byte("x"), 100)
	w := newWorld(t, Limits{})
	got := make(chan []byte, 1)
	w.become = func(ctx context.Context, c *Conn) error {
		b := make([]byte, len(after))
		_, err := io.ReadFull(c.Reader, b)
		got <- b
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- w.h.Serve(context.Background(), l) }()
	for n := range len(after) + 1 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		id := [20]byte{0: 1, 1: byte(n)}
		c.Write(append(Append(nil, Reserved, hash, id), after[:n]...))
		c.Write(after[n:])
		if b := <-got; !bytes.Equal(b, after) {
			t.Fatalf("%d bytes behind the handshake: %q", n, b)
		}
		c.Close()
	}
	w.end()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestAnswersBeforeThePeerID answers once the infohash is here: there are
// peers that send their ID only then.
func TestAnswersBeforeThePeerID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		l, stop := w.serve()
		far := l.connect(addr(1))
		hello := Append(nil, Reserved, hash, lesser)
		far.Write(hello[:48])
		got := make([]byte, HandshakeSize)
		io.ReadFull(far, got)
		if !bytes.Equal(got, Append(nil, Reserved, hash, ourID)) {
			t.Errorf("answered %q", got)
		}
		far.Write(hello[48:])
		if w.met() != 1 {
			t.Error("no peer")
		}
		stop()
	})
}

// TestReserved keeps the extension bits that both sides set, and lets a peer
// set whatever others it likes.
func TestReserved(t *testing.T) {
	all := [8]byte{255, 255, 255, 255, 255, 255, 255, 255}
	for _, c := range []struct {
		theirs         [8]byte
		fast, extended bool
	}{
		{[8]byte{}, false, false},
		{[8]byte{7: 0x04}, true, false},
		{[8]byte{5: 0x10}, false, true},
		{[8]byte{7: 0x01, 0: 0x80}, false, false},
		{all, true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{})
			l, stop := w.serve()
			far := l.connect(addr(1))
			go io.Copy(io.Discard, far)
			far.Write(Append(nil, c.theirs, hash, greater))
			if w.met() != 1 || w.peers[0].Fast() != c.fast || w.peers[0].Extended() != c.extended {
				t.Errorf("%x: %+v", c.theirs, w.peers)
			}
			stop()
		})
	}
}

// TestIncomingBad closes what is not a peer of ours, and when.
func TestIncomingBad(t *testing.T) {
	type test struct {
		name string
		send []byte
		at   time.Duration
	}
	hello := Append(nil, Reserved, hash, greater)
	tests := []test{
		{"silent", nil, 10 * time.Second},
		{"one byte", hello[:1], 10 * time.Second},
		{"no peer ID", hello[:48], 10 * time.Second},
		{"TLS", []byte{22}, 0},
		{"a length of 0", []byte{0}, 0},
		{"a length of 255", []byte{255}, 0},
		{"unknown torrent", Append(nil, Reserved, [20]byte{5}, greater)[:48], 0},
		{"our own peer ID", Append(nil, Reserved, hash, ourID), 0},
	}
	for i := range len(protocol) { // at the first wrong byte, whichever it is
		b := slices.Clone(hello[:i+1])
		b[i] ^= 1
		tests = append(tests, test{"wrong byte", b, 0})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Limits{})
				l, stop := w.serve()
				far := l.connect(addr(1))
				start := time.Now()
				go far.Write(c.send)
				io.Copy(io.Discard, far)
				if at := time.Since(start); at != c.at || w.met() != 0 {
					t.Errorf("closed after %v, want %v", at, c.at)
				}
				stop()
			})
		})
	}
}

// TestSlowIncoming closes one that sends a byte a second at the limit.
func TestSlowIncoming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		l, stop := w.serve()
		far := l.connect(addr(1))
		start := time.Now()
		go func() {
			for _, b := range Append(nil, Reserved, hash, greater) {
				far.Write([]byte{b})
				time.Sleep(time.Second)
			}
		}()
		io.Copy(io.Discard, far)
		if at := time.Since(start); at != 10*time.Second || w.met() != 0 {
			t.Errorf("closed after %v", at)
		}
		time.Sleep(time.Minute) // the sender ends
		stop()
	})
}

// TestListenerClosed ends Serve.
func TestListenerClosed(t *testing.T) {
	w := newWorld(t, Limits{})
	l := newListener()
	l.Close()
	if err := w.h.Serve(context.Background(), l); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	w.end()
}

// TestIncomingLeaves dials in the place of a peer that had come by itself.
func TestIncomingLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.become = func(ctx context.Context, c *Conn) error {
			_, err := c.Reader.ReadByte()
			return err
		}
		l, stop := w.serve()
		far := l.connect(addr(1))
		go io.Copy(io.Discard, far)
		far.Write(Append(nil, Reserved, hash, greater))
		w.met()
		w.h.Want(hash, 1)
		w.h.Offer(hash, Tracker, addr(2))
		time.Sleep(time.Hour)
		if n := len(w.tried()); n != 0 {
			t.Errorf("%d dials beside the peer that is there", n)
		}
		far.Close()
		if n := len(w.tried()); n != 1 {
			t.Errorf("%d dials after it left", n)
		}
		stop()
	})
}

// FuzzIncoming shakes hands with arbitrary bytes.
func FuzzIncoming(f *testing.F) {
	f.Add(Append(nil, Reserved, hash, greater))
	f.Add(Append(nil, Reserved, hash, ourID))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte(protocol))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := newWorld(t, Limits{})
		w.become = func(ctx context.Context, c *Conn) error { return nil }
		near, far := net.Pipe()
		w.h.accept(end1{near, addr(1)})
		go io.Copy(io.Discard, far)
		far.Write(in)
		far.Close()
		w.h.wait(t)
		w.end()
		if good := len(in) >= HandshakeSize && bytes.Equal(in[:20], []byte(protocol)) &&
			[20]byte(in[28:48]) == hash && [20]byte(in[48:68]) != ourID; (len(w.peers) == 1) != good {
			t.Errorf("%d peers of %q", len(w.peers), in)
		}
	})
}

// wait is until no accepted socket is in its handshake.
func (h *Handshaker) wait(t *testing.T) {
	for {
		h.mu.Lock()
		n := len(h.accepted) + h.standing
		h.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Microsecond)
	}
}
