package handshake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTwice decides between two connections to one peer.
func TestTwice(t *testing.T) {
	for _, c := range []struct {
		name     string
		id       [20]byte
		incoming [2]bool // of the first and of the second
		later    time.Duration
		keeps    int
	}{
		{"dialled twice", greater, [2]bool{false, false}, 0, 0},
		{"came twice", greater, [2]bool{true, true}, 0, 0},
		{"ours, then that of the greater", greater, [2]bool{false, true}, 0, 1},
		{"that of the greater, then ours", greater, [2]bool{true, false}, 0, 0},
		{"ours, then that of the lesser", lesser, [2]bool{false, true}, 0, 0},
		{"that of the lesser, then ours", lesser, [2]bool{true, false}, 0, 1},
		{"ours, and long after it that of the greater", greater, [2]bool{false, true}, 10 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Limits{})
				w.remote = answering(func(netip.AddrPort) [20]byte { return c.id })
				l, stop := w.serve()
				for i, incoming := range c.incoming {
					if incoming {
						far := l.connect(addr(i))
						go io.Copy(io.Discard, far)
						far.Write(Append(nil, Reserved, hash, c.id))
					} else {
						w.h.Offer(hash, Tracker, addr(i))
						w.h.Want(hash, 3)
					}
					synctest.Wait()
					w.h.Want(hash, 0)
					time.Sleep(c.later)
				}
				if s := w.h.Stats(hash); s.Standing != 1 {
					t.Errorf("%+v", s)
				}
				if w.met() != 1+c.keeps {
					t.Errorf("%d peers were there", w.met())
				}
				far := l.connect(addr(9)) // the survivor is still known as one
				go far.Write(Append(nil, Reserved, hash, c.id))
				if c.incoming[c.keeps] && !isClosed(far) {
					t.Error("a third connection was let in")
				}
				far.Close()
				if c.keeps == 1 && (len(w.ended) != 1 || w.ended[0] != ErrDuplicate) {
					t.Errorf("ended: %v", w.ended)
				}
				stop()
			})
		})
	}
}

// TestCrossing has two clients dial each other at about the same time, and
// looks at them later: both must have kept the same connection, and kept it.
func TestCrossing(t *testing.T) {
	policies := [][2]Encryption{{Off, Off}, {Prefer, Prefer}, {Prefer, Off}, {Require, Prefer}, {Require, Require}}
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crossing(t, rand.New(rand.NewPCG(seed, 0)), policies[seed%5])
			})
		})
	}
}

// buffered is an end of a pipe whose writes do not wait for the other end, as
// those to a socket do not: both sides of a handshake write before they have
// read it all.
type buffered struct {
	net.Conn
	queue chan []byte
	once  sync.Once
	done  chan struct{}
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, queue: make(chan []byte, 16), done: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.queue:
				b.Conn.Write(p)
			case <-b.done:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.queue <- bytes.Clone(p):
		return len(p), nil
	case <-b.done:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Conn.Close()
}

func crossing(t *testing.T, r *rand.Rand, policies [2]Encryption) {
	var clients [2]*Handshaker
	at := [2]netip.AddrPort{addr(1), addr(2)}
	var delays [2][]time.Duration
	for i := range delays {
		for range 20 {
			delays[i] = append(delays[i], time.Duration(r.IntN(300))*time.Millisecond)
		}
	}
	for i := range clients {
		dials := 0
		clients[i] = New(Config{
			PeerID: [20]byte{byte(i + 1)}, Reserved: Reserved, Seed: uint64(i),
			Encryption: policies[i],
			Find:       func([20]byte) ([20]byte, bool) { return hash, true },
			Known:      func([20]byte) bool { return true },
			Dial: func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
				if a != at[1-i] {
					t.Errorf("dialled %v", a)
				}
				time.Sleep(delays[i][dials%20])
				dials++
				near, far := net.Pipe()
				clients[1-i].accept(end1{newBuffered(far), netip.AddrPortFrom(at[i].Addr(), uint16(40000+dials))})
				return newBuffered(near), nil
			},
			Become: func(ctx context.Context, c *Conn) error {
				go func() {
					<-ctx.Done()
					c.Close()
				}()
				_, err := c.Reader.ReadByte() // until either end closes
				return err
			},
		})
	}
	for i, h := range clients {
		time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
		h.Offer(hash, Tracker, at[1-i])
		h.Want(hash, 5)
	}
	standing := func(h *Handshaker) (l *link) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if n := h.torrents[hash].standing; n != 1 {
			t.Fatalf("%d connections stand", n)
		}
		for _, l = range h.torrents[hash].links {
		}
		return l
	}
	time.Sleep(20 * time.Second)
	a, b := standing(clients[0]), standing(clients[1])
	if a.incoming == b.incoming {
		t.Errorf("they kept different ones: incoming %v, %v", a.incoming, b.incoming)
	}
	time.Sleep(time.Hour)
	if standing(clients[0]) != a || standing(clients[1]) != b {
		t.Error("the connection did not last")
	}
	for _, h := range clients {
		h.Close()
	}
}

// TestAllPeers bounds the connections of all torrents together.
func TestAllPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{AllPeers: 3})
		w.remote = answering(byAddr)
		w.h.Offer(hash, Tracker, addrs(10)...)
		w.h.Want(hash, 2)
		w.met()
		other := [20]byte{7}
		w.h.Offer(other, Tracker, addrs(10)...)
		w.h.Want(other, 10)
		if n := len(w.tried()); n != 3 {
			t.Errorf("%d dials", n)
		}
		w.h.Want(hash, 3)
		l, stop := w.serve()
		if w.met() != 3 {
			t.Errorf("%d peers", w.met())
		}
		far := l.connect(addr(50))
		go far.Write(Append(nil, Reserved, hash, byAddr(addr(50))))
		if !isClosed(far) {
			t.Error("one more was let in")
		}
		stop()
	})
}
