package utp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A wire is a network of sockets in one process: datagrams arrive after delay,
// but for those that are lost.
type wire struct {
	delay time.Duration
	loss  float64
	mu    sync.Mutex
	rand  *rand.Rand
	ends  map[netip.AddrPort]*plug
	wg    sync.WaitGroup
}

// A plug is one address of it: the Packets of a socket.
type plug struct {
	w      *wire
	addr   netip.AddrPort
	socket *Socket
	in     chan sentAt
	out    int // bytes sent
	quiet  bool
}

type sentAt struct {
	at    time.Time
	grams []Datagram
}

func newWire(delay time.Duration, loss float64) *wire {
	return &wire{delay: delay, loss: loss, rand: rand.New(rand.NewPCG(1, 1)), ends: map[netip.AddrPort]*plug{}}
}

// socket plugs in a socket with an address; end unplugs all.
func (w *wire) socket(addr string, c Config) (*Socket, netip.AddrPort) {
	p := &plug{w: w, addr: netip.MustParseAddrPort(addr), in: make(chan sentAt, 1<<16)}
	p.socket = New(p, c)
	w.mu.Lock()
	w.ends[p.addr] = p
	w.mu.Unlock()
	w.wg.Go(func() {
		for s := range p.in {
			time.Sleep(time.Until(s.at))
			p.socket.Deliver(s.grams)
		}
	})
	return p.socket, p.addr
}

func (w *wire) end() {
	for _, p := range w.ends {
		p.socket.Close()
	}
	w.mu.Lock()
	for _, p := range w.ends {
		close(p.in)
	}
	w.ends = nil
	w.mu.Unlock()
	w.wg.Wait()
}

func (p *plug) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.addr) }

func (p *plug) WriteBatch(list []Datagram) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	to := map[*plug][]Datagram{}
	for _, d := range list {
		p.out += len(d.Payload)
		q := p.w.ends[d.Addr]
		if q == nil || q.quiet || p.w.rand.Float64() < p.w.loss || len(d.Payload) > 65507 {
			continue
		}
		to[q] = append(to[q], Datagram{Addr: p.addr, Payload: bytes.Clone(d.Payload)})
	}
	for q, grams := range to {
		select {
		case q.in <- sentAt{time.Now().Add(p.w.delay), grams}:
		default:
		}
	}
}

// pair is two connected ends.
func pair(t *testing.T, w *wire) (dialled, accepted *Conn) {
	t.Helper()
	a, _ := w.socket("10.0.0.1:1", Config{})
	b, at := w.socket("10.0.0.2:2", Config{})
	return joined(t, a, b.Listen(), at)
}

func joined(t *testing.T, a *Socket, l net.Listener, at netip.AddrPort) (dialled, accepted *Conn) {
	t.Helper()
	c, err := a.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), d.(*Conn)
}

// in runs a test in false time with a wire.
func in(t *testing.T, loss float64, f func(t *testing.T, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(25*time.Millisecond, loss)
		defer w.end()
		f(t, w)
	})
}

func (s *Socket) sizes() (conns, halfOpen, heap int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), len(s.halfOpen), len(s.heap)
}

func pattern64(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(i)
	}
	return b
}

// TestBothWays: both ends write and read at once, in pieces of all sizes, over
// a wire that loses packets; each closes when it has written.
func TestBothWays(t *testing.T) {
	in(t, 0.02, func(t *testing.T, w *wire) {
		a, b := pair(t, w)
		want := pattern64(700_000)
		var wg sync.WaitGroup
		for _, c := range []*Conn{a, b} {
			wg.Go(func() {
				for rest := want; len(rest) > 0; {
					n := min(1+len(rest)*7919%50_000, len(rest))
					v := net.Buffers{rest[:n/3], nil, rest[n/3 : n]}
					if m, err := c.WriteBuffers(&v); err != nil || m != int64(n) || len(v) != 0 {
						t.Errorf("wrote %d of %d: %v", m, n, err)
						return
					}
					rest = rest[n:]
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
				if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("written after CloseWrite: %v", err)
				}
			})
			wg.Go(func() {
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		a.Close()
		b.Close()
		time.Sleep(lingerTime + time.Second)
		for _, p := range w.ends {
			if conns, _, heap := p.socket.sizes(); conns+heap != 0 || p.socket.memory.used.Load() != 0 {
				t.Errorf("left: %d connections, %d in the heap, %d bytes", conns, heap, p.socket.memory.used.Load())
			}
		}
	})
}

// TestCloseDelivers: what was written before Close arrives; Close does not wait.
func TestCloseDelivers(t *testing.T) {
	in(t, 0.05, func(t *testing.T, w *wire) {
		a, b := pair(t, w)
		want := pattern64(60_000)
		began := time.Now()
		if _, err := a.Write(want); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("Write and Close took %v", took)
		}
		if _, err := a.Write(want); !errors.Is(err, net.ErrClosed) {
			t.Errorf("written after Close: %v", err)
		}
		if _, err := a.Read(want); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, pattern64(60_000)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		// Who goes on writing to one that has closed is told.
		for err == nil {
			_, err = b.Write(want)
			time.Sleep(10 * time.Millisecond)
		}
		if !errors.Is(err, ErrReset) {
			t.Errorf("writing to a closed end: %v", err)
		}
	})
}

// TestDeadlines: they hold for calls under way, and pass.
func TestDeadlines(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, b := pair(t, w)
		one := make([]byte, 1)
		a.SetReadDeadline(time.Now().Add(3 * time.Second))
		began := time.Now()
		if _, err := a.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		a.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			a.SetReadDeadline(time.Now())
		}()
		if _, err := a.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		a.SetDeadline(time.Now().Add(5 * time.Second))
		n, err := a.Write(make([]byte, 8<<20)) // nobody reads
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n > 3<<20 {
			t.Errorf("wrote %d, %v", n, err)
		}
		a.SetDeadline(time.Time{})
		go b.Write([]byte("x"))
		if _, err := a.Read(one); err != nil || one[0] != 'x' {
			t.Error(err)
		}
		go func() {
			time.Sleep(time.Second)
			a.Close()
		}()
		if _, err := a.Read(one); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a Read whose connection is closed: %v", err)
		}
	})
}

// TestDialEnds: with ctx, after 15 s, and with the socket.
func TestDialEnds(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, _ := w.socket("10.0.0.1:1", Config{})
		deaf, at := w.socket("10.0.0.2:2", Config{}) // which does not listen
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := a.Dial(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		began := time.Now()
		if _, err := a.Dial(t.Context(), at); !errors.Is(err, ErrUnanswered) || time.Since(began) != 15*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		for _, bad := range []string{"0.0.0.0:5", "10.0.0.1:0", "224.0.0.1:5"} {
			if _, err := a.Dial(t.Context(), netip.MustParseAddrPort(bad)); err == nil {
				t.Errorf("dialled %s", bad)
			}
		}
		l := deaf.Listen()
		go func() {
			time.Sleep(500 * time.Millisecond)
			deaf.Close()
			a.Close()
		}()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := a.Dial(t.Context(), at); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestSocketClose ends what is under way, here and at the other end.
func TestSocketClose(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, b := pair(t, w)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("ours: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := b.Read(make([]byte, 1)); !errors.Is(err, ErrReset) {
				t.Errorf("theirs: %v", err)
			}
		})
		synctest.Wait()
		a.socket.Close()
		wg.Wait()
	})
}

// TestListenerClose: what was accepted outlives the listener, and nobody else
// gets in.
func TestListenerClose(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, _ := w.socket("10.0.0.1:1", Config{})
		b, at := w.socket("10.0.0.2:2", Config{})
		l := b.Listen()
		c, d := joined(t, a, l, at)
		l.Close()
		go c.Write([]byte("hello"))
		got := make([]byte, 5)
		if _, err := io.ReadFull(d, got); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Dial(ctx, at); err == nil {
			t.Error("connected to nobody")
		}
	})
}
