package handshake

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFlood lets honest peers in while others only connect.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{Accepting: 64})
		l, stop := w.serve()
		var same []net.Conn
		for i := range 100 { // one address, many ports
			same = append(same, l.connect(netip.AddrPortFrom(addr(1).Addr(), uint16(1000+i))))
		}
		open := 0
		for _, far := range same {
			if !isClosed(far) {
				open++
			}
		}
		if open != 16 {
			t.Errorf("%d sockets of one address are open", open)
		}
		var strangers []net.Conn
		for i := range 300 { // many addresses, and among them an honest one
			strangers = append(strangers, l.connect(addr(10+i)))
			if i%50 == 0 {
				far := l.connect(addr(1000 + i))
				go io.Copy(io.Discard, far)
				far.Write(Append(nil, Reserved, hash, byAddr(addr(i))))
			}
			w.h.mu.Lock()
			if n := len(w.h.accepted); n > 64 {
				t.Errorf("%d handshakes of accepted sockets", n)
			}
			w.h.mu.Unlock()
		}
		if n := w.met(); n != 6 {
			t.Errorf("%d honest peers got in", n)
		}
		for i, far := range strangers {
			if oldest := i < 300-64; isClosed(far) != oldest {
				t.Fatalf("stranger %d: closed %v", i, !oldest)
			}
		}
		stop()
	})
}

// TestHome counts a network of IPv6 as one subscriber.
func TestHome(t *testing.T) {
	ip := netip.MustParseAddr
	if home(ip("2001:db8::1")) != home(ip("2001:db8::ffff:1")) || home(ip("2001:db8::1")) == home(ip("2001:db8:0:1::1")) {
		t.Error("IPv6")
	}
	if home(ip("10.0.0.1")) == home(ip("10.0.0.2")) {
		t.Error("IPv4")
	}
}

// TestAcceptFails waits when the machine has no descriptor, longer each time,
// and accepts again.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		l, stop := w.serve()
		emfile := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		n := 0
		for end := time.After(10 * time.Second); end != nil; {
			select {
			case l.errs <- emfile:
				n++
			case <-end:
				end = nil
			}
		}
		if n > 20 || n < 10 {
			t.Errorf("%d attempts in 10 s", n)
		}
		far := l.connect(addr(1))
		go io.Copy(io.Discard, far)
		far.Write(Append(nil, Reserved, hash, greater))
		if w.met() != 1 {
			t.Error("no peer")
		}
		stop()
	})
}

// TestIncomingLimits lets no more in than may stand, and no banned ones.
func TestIncomingLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{Peers: 2})
		w.become = func(ctx context.Context, c *Conn) error {
			if c.Addr == addr(9) {
				return ErrBanned
			}
			<-ctx.Done()
			return nil
		}
		l, stop := w.serve()
		in := func(i int) net.Conn {
			far := l.connect(addr(i))
			far.SetWriteDeadline(time.Now().Add(time.Second))
			go far.Write(Append(nil, Reserved, hash, byAddr(addr(i))))
			return far
		}
		w.h.Ban(addr(5).Addr())
		for _, c := range []struct {
			i      int
			closed bool
		}{{9, true}, {9, true}, {5, true}, {1, false}, {2, false}, {3, true}} {
			if got := isClosed(in(c.i)); got != c.closed {
				t.Errorf("peer %d: closed %v", c.i, got)
			}
		}
		if n := w.met(); n != 3 { // 9 once, 1, 2
			t.Errorf("%d peers", n)
		}
		stop()
	})
}
