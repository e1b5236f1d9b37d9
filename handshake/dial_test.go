package handshake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestWant dials until as many connections stand as are wanted, whichever of
// Want and Offer comes first, and dials no more when fewer are.
func TestWant(t *testing.T) {
	for _, wantFirst := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{})
			w.remote = answering(byAddr)
			if wantFirst {
				w.h.Want(hash, 3)
			}
			w.h.Offer(hash, Tracker, addrs(10)...)
			w.h.Want(hash, 3)
			if n := w.met(); n != 3 {
				t.Errorf("%d peers", n)
			}
			if time.Since(w.start) != 0 {
				t.Error("not at once")
			}
			w.h.Want(hash, 0)
			w.h.Want(hash, 2)
			if s := w.h.Stats(hash); s != (Stats{Candidates: 10, Standing: 3, Want: 2}) {
				t.Errorf("%+v", s)
			}
			w.peers[0].Close()
			c := w.peers[0]
			if !c.Fast() || !c.Extended() || c.Incoming || c.Source != Tracker || c.PeerID != byAddr(c.Addr) || c.Infohash != hash {
				t.Errorf("%+v", c)
			}
			w.end()
		})
	}
}

// TestOrder dials what the user named first, then in the order of the offers.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{HalfOpen: 1})
		w.h.Offer(hash, Tracker, addr(1), addr(2), addr(3), addr(1))
		w.h.Offer(hash, User, addr(4), addr(2))
		w.h.Want(hash, 1)
		var got []netip.AddrPort
		for _, d := range w.tried() {
			got = append(got, d.addr)
		}
		if want := []netip.AddrPort{addr(2), addr(4), addr(1), addr(3)}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("dialled %v, want %v", got, want)
		}
		w.end()
	})
}

// TestHalfOpen dials as many at once as the limits allow, and each torrent
// gets its turns.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.remote = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			<-ctx.Done() // a black hole
			return nil, ctx.Err()
		}
		for i := range byte(4) {
			w.h.Offer([20]byte{i}, Tracker, addrs(100)...)
			w.h.Want([20]byte{i}, 50)
			if want := min(64, 30*(int(i)+1)); len(w.tried()) != want || w.atOnce() != want {
				t.Errorf("%d torrents: %d dials at once, want %d", i+1, w.atOnce(), want)
			}
		}
		time.Sleep(10 * time.Second) // of which none was answered
		w.tried()
		if n := w.h.Stats([20]byte{3}).HalfOpen; n < 10 {
			t.Errorf("the last torrent has %d of 64 dials", n)
		}
		time.Sleep(time.Minute)
		if n := w.atOnce(); n != 64 {
			t.Errorf("%d dials at once", n)
		}
		w.end()
	})
}

// TestTurns gives a single place to one torrent after the other.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{HalfOpen: 1})
		w.remote = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			time.Sleep(time.Second)
			return nil, io.EOF
		}
		for i := range 3 {
			w.h.Want([20]byte{byte(i)}, 10)
			for j := range 10 {
				w.h.Offer([20]byte{byte(i)}, Tracker, addr(250*i+j))
			}
		}
		time.Sleep(9 * time.Second)
		var got []byte
		for _, d := range w.tried() {
			got = append(got, '0'+d.addr.Addr().As4()[2])
		}
		// Who is first depends on who was quicker to say that it wants peers.
		turn := slices.Sorted(slices.Values(got[1:4]))
		if string(turn) != "012" || string(got[1:4]) != string(got[4:7]) {
			t.Errorf("turns: %s", got)
		}
		w.end()
	})
}

// TestBackOff looks at when a dead peer is dialled.
func TestBackOff(t *testing.T) {
	for _, c := range []struct {
		source  Source
		longest time.Duration
	}{{Tracker, 30 * time.Minute}, {User, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{})
			w.h.Offer(hash, c.source, addr(1))
			w.h.Want(hash, 1)
			time.Sleep(6 * time.Hour)
			dials := w.tried()
			pause := time.Second
			for i := 1; i < len(dials); i++ {
				got := dials[i].at - dials[i-1].at
				if got > pause || got < pause*3/4 {
					t.Fatalf("pause %d is %v, want up to %v", i, got, pause)
				}
				pause = min(2*pause, c.longest)
			}
			if len(dials) < 10 {
				t.Errorf("%d dials", len(dials))
			}
			w.end()
		})
	}
}

// TestBackOffForgives a peer that lasted.
func TestBackOffForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.remote = answering(byAddr)
		w.become = func(ctx context.Context, c *Conn) error {
			time.Sleep(lasting)
			return nil
		}
		w.h.Offer(hash, Tracker, addr(1))
		w.h.Want(hash, 1)
		time.Sleep(20 * (lasting + time.Second))
		if n := len(w.tried()); n < 20 {
			t.Errorf("%d dials", n)
		}
		w.end()
	})
}

// TestNoDescriptors does not blame the peers for what this machine lacks, and
// does not spin.
func TestNoDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		emfile := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, emfile }
		w.h.Offer(hash, Tracker, addrs(1000)...)
		w.h.Want(hash, 50)
		time.Sleep(10*time.Second - 1)
		if n := len(w.tried()); n > 10*30+30 {
			t.Errorf("%d dials in 10 s", n)
		}
		w.mu.Lock()
		w.remote = answering(byAddr)
		w.mu.Unlock()
		time.Sleep(2 * time.Second)
		if n := w.met(); n != 50 {
			t.Errorf("%d peers", n)
		}
		w.end()
	})
}

// TestBad are peers that do not get through the handshake.
func TestBad(t *testing.T) {
	other := [20]byte{9}
	hello := Append(nil, Reserved, hash, greater)
	for _, c := range []struct {
		name string
		talk func(far net.Conn)
		at   time.Duration
	}{
		{"closes at once", func(far net.Conn) { far.Close() }, 0},
		{"closes after our handshake", func(far net.Conn) {
			io.ReadFull(far, make([]byte, HandshakeSize))
			far.Close()
		}, 0},
		{"silent", func(far net.Conn) { io.Copy(io.Discard, far) }, 10 * time.Second},
		{"reads nothing", func(far net.Conn) {}, 10 * time.Second},
		{"a byte a second", func(far net.Conn) {
			go io.Copy(io.Discard, far)
			for _, b := range hello {
				far.Write([]byte{b})
				time.Sleep(time.Second)
			}
		}, 10 * time.Second},
		{"another torrent", func(far net.Conn) {
			go io.Copy(io.Discard, far)
			far.Write(Append(nil, Reserved, other, greater)[:48])
		}, 0},
		{"HTTP", func(far net.Conn) {
			go io.Copy(io.Discard, far)
			far.Write([]byte("H"))
		}, 0},
		{"another name of the same length", func(far net.Conn) {
			go io.Copy(io.Discard, far)
			far.Write([]byte("\x13BitTorrent Protocol")[:13])
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Limits{})
				w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) {
					near, far := net.Pipe()
					go c.talk(far)
					return near, nil
				}
				w.h.Offer(hash, Tracker, addr(1))
				w.h.Want(hash, 1)
				time.Sleep(c.at + 700*time.Millisecond)
				if s := w.h.Stats(hash); s.HalfOpen != 0 || w.met() != 0 {
					t.Errorf("%+v", s)
				}
				w.h.Want(hash, 0)
				w.end()
				time.Sleep(2 * time.Minute) // the slow one ends
			})
		})
	}
}

// TestSelf never dials our own address twice.
func TestSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.remote = answering(func(netip.AddrPort) [20]byte { return ourID })
		w.h.Offer(hash, Tracker, addr(1))
		w.h.Offer([20]byte{7}, Tracker, addr(1))
		w.h.Want(hash, 1)
		w.met()
		w.h.Offer(hash, User, addr(1))
		w.h.Want([20]byte{7}, 1)
		time.Sleep(time.Hour)
		if n := len(w.tried()); n != 1 || w.met() != 0 {
			t.Errorf("%d dials", n)
		}
		w.end()
	})
}

// TestBan keeps an address away, for one torrent or for all.
func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.remote = answering(byAddr)
		w.become = func(ctx context.Context, c *Conn) error { return fmt.Errorf("lied: %w", ErrBanned) }
		sibling := netip.AddrPortFrom(addr(1).Addr(), 7000)
		w.h.Offer(hash, Tracker, addr(1), sibling, addr(2))
		w.h.Ban(addr(2).Addr())
		w.h.Want(hash, 1)
		time.Sleep(time.Hour)
		w.h.Offer(hash, User, addr(1), sibling, addr(2))
		time.Sleep(time.Hour)
		if n := len(w.tried()); n != 1 {
			t.Errorf("%d dials", n)
		}
		if s := w.h.Stats(hash); s.Candidates != 0 {
			t.Errorf("%+v", s)
		}
		w.h.Offer([20]byte{7}, User, addr(1), addr(2))
		if s := w.h.Stats([20]byte{7}); s.Candidates != 1 {
			t.Errorf("another torrent: %+v", s)
		}
		w.end()
	})
}

// TestForget ends what was under way and dials no more.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.remote = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			return near, nil
		}
		w.h.Offer(hash, Tracker, addrs(5)...)
		w.h.Want(hash, 2)
		w.tried()
		w.h.Forget(hash)
		w.h.Forget([20]byte{8})
		synctest.Wait()
		w.h.mu.Lock()
		if w.h.halfOpen != 0 || len(w.h.hungry) != 0 {
			t.Errorf("%d half-open, %d hungry", w.h.halfOpen, len(w.h.hungry))
		}
		w.h.mu.Unlock()
		time.Sleep(time.Hour)
		if n := len(w.tried()); n != 2 {
			t.Errorf("%d dials", n)
		}
		w.end()
	})
}

// TestPanic in a peer, or in a dial, ends that peer.
func TestPanic(t *testing.T) {
	for _, dial := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{})
			w.remote = answering(byAddr)
			if dial {
				w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) { panic("a bug") }
			}
			w.become = func(ctx context.Context, c *Conn) error { panic("a bug") }
			w.h.Offer(hash, Tracker, addr(1))
			w.h.Want(hash, 1)
			if (w.met() == 0) != dial || w.h.Stats(hash).Standing+w.h.Stats(hash).HalfOpen != 0 {
				t.Errorf("%+v", w.h.Stats(hash))
			}
			w.end()
		})
	}
}

// TestCloseAnywhere closes the handshaker while it dials, greets and lives.
func TestCloseAnywhere(t *testing.T) {
	for i := range 3 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{})
			w.remote = []func(context.Context, netip.AddrPort) (net.Conn, error){
				answering(byAddr),
				func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				},
				func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					near, _ := net.Pipe()
					return near, nil
				},
			}[i]
			w.h.Offer(hash, Tracker, addrs(50)...)
			w.h.Want(hash, 50)
			w.tried()
			w.end()
			w.h.Offer(hash, Tracker, addr(99))
			w.h.Want(hash, 99)
			if time.Since(w.start) != 0 {
				t.Error("Close took its time")
			}
			for _, err := range w.ended {
				if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
}
