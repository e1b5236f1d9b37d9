package handshake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/handshake/mse"
)

// trip is the round trip of the tests' lines.
const trip = 50 * time.Millisecond

// meeting is a world that dials another one.
type meeting struct {
	near, far *world
	calls     calls
	stop      func()
}

func newMeeting(t *testing.T, near, far Encryption) *meeting {
	m := &meeting{near: newWorldOf(t, Limits{}, ourID, near), far: newWorldOf(t, Limits{}, lesser, far)}
	l, stop := m.far.serve()
	m.near.remote = m.calls.to(l, trip/2)
	m.stop = func() {
		m.near.h.Want(hash, 0)
		m.near.end()
		time.Sleep(trip)
		stop()
	}
	return m
}

// meet has the one dial the other until d is over.
func (m *meeting) meet(d time.Duration) {
	m.near.h.Offer(hash, Tracker, addr(1))
	m.near.h.Want(hash, 1)
	time.Sleep(d)
	synctest.Wait()
}

// TestPolicies has every policy dial every policy, and again when the
// connection has ended: how they meet, after how many round trips (of which one
// connects), over how many connections, and what others see of it.
func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		near, far   Encryption
		met         bool
		method      mse.Method
		trips       int // until the first meeting
		calls, next int // connections for the first meeting, and for the second
	}{
		{Prefer, Prefer, true, mse.Plain, 3, 1, 1},
		{Prefer, Require, true, mse.RC4, 3, 1, 1},
		{Prefer, Off, true, 0, 4, 2, 1},
		{Require, Prefer, true, mse.RC4, 3, 1, 1},
		{Require, Require, true, mse.RC4, 3, 1, 1},
		{Require, Off, false, 0, 0, 1, 1},
		{Off, Prefer, true, 0, 2, 1, 1},
		{Off, Require, false, 0, 0, 1, 1},
		{Off, Off, true, 0, 2, 1, 1},
	} {
		t.Run(fmt.Sprintf("%v to %v", c.near, c.far), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMeeting(t, c.near, c.far)
				var at time.Duration // of the first meeting
				m.near.become = func(ctx context.Context, conn *Conn) error {
					m.near.mu.Lock()
					if at == 0 {
						at = time.Since(m.near.start)
					}
					m.near.mu.Unlock()
					if conn.MSE != c.method {
						t.Errorf("%v at the dialler, want %v", conn.MSE, c.method)
					}
					time.Sleep(100 * time.Millisecond)
					return nil
				}
				m.far.become = func(ctx context.Context, conn *Conn) error {
					if conn.MSE != c.method || !conn.Incoming {
						t.Errorf("%v at the other, want %v", conn.MSE, c.method)
					}
					_, err := io.Copy(io.Discard, conn.Reader)
					return err
				}
				m.meet(500 * time.Millisecond)
				if n := len(m.calls.all()); n != c.calls {
					t.Errorf("%d connections for the first meeting, want %d", n, c.calls)
				}
				if m.near.met() != m.far.met() || (m.near.met() == 1) != c.met {
					t.Fatalf("%d and %d peers", m.near.met(), m.far.met())
				}
				m.near.mu.Lock()
				if want := trip * time.Duration(c.trips); at != want {
					t.Errorf("met after %v, want %v", at, want)
				}
				m.near.mu.Unlock()
				time.Sleep(time.Second + trip) // the back-off
				if n := len(m.calls.all()) - c.calls; n != c.next {
					t.Errorf("%d connections for the second meeting, want %d", n, c.next)
				}
				for i, l := range m.calls.all() {
					seen(t, fmt.Sprint("dialler, ", i), c.near, l.out.written())
					seen(t, fmt.Sprint("other, ", i), c.far, l.in.written())
				}
				m.stop()
			})
		})
	}
}

// seen checks what one side of a policy has sent over one connection.
func seen(t *testing.T, who string, e Encryption, sent []byte) {
	t.Helper()
	opens := bytes.HasPrefix(sent, []byte(protocol))
	switch {
	case e == Off && len(sent) > 0 && !opens:
		t.Errorf("%s: %x… was sent with encryption off", who, sent[:20])
	case e == Require && bytes.Contains(sent, []byte(protocol)):
		t.Errorf("%s: a plain handshake was sent where encryption is required", who)
	}
}

// TestStreams finds every byte behind each kind of handshake, both ways, and
// the socket itself where the stream is plain.
func TestStreams(t *testing.T) {
	text := strings.Repeat("what follows the handshake in the same packet ", 1000)
	for _, policy := range []Encryption{Prefer, Require, Off} {
		synctest.Test(t, func(t *testing.T) {
			m := newMeeting(t, policy, policy)
			talk := func(ctx context.Context, c *Conn) error {
				if _, bare := c.Conn.(*line); bare != (policy != Require) {
					t.Errorf("%v: the stream is a %T", policy, c.Conn)
				}
				c.Write([]byte(text))
				got := make([]byte, len(text))
				early, _ := c.Reader.Peek(c.Reader.Buffered()) // as package peer goes on
				n := copy(got, early)
				if _, err := io.ReadFull(c.Conn, got[n:]); err != nil || string(got) != text {
					t.Errorf("%v: read %q…, %v", policy, got[:40], err)
				}
				<-ctx.Done()
				return nil
			}
			m.near.become, m.far.become = talk, talk
			m.meet(time.Second)
			if m.near.met() != 1 || m.far.met() != 1 {
				t.Errorf("%v: %d and %d peers", policy, m.near.met(), m.far.met())
			}
			m.stop()
		})
	}
}

// TestRemembers dials a candidate as it was last met, and afresh when that no
// longer works.
func TestRemembers(t *testing.T) {
	for _, c := range []struct {
		first, second Encryption
		want          string // of each connection: e(ncrypted) or p(lain)
	}{
		{Off, Off, "epp"},        // to Off: plain at the second meeting
		{Off, Require, "eppee"},  // plain fails, then encrypted, again encrypted
		{Require, Off, "eeepp"},  // encrypted fails, then as if new
		{Prefer, Prefer, "eee"},  //
		{Require, Prefer, "eee"}, //
		{Off, Prefer, "epp"},     // plain works still
		{Prefer, Off, "eeepp"},   // once encrypted is over
	} {
		t.Run(fmt.Sprintf("%v, then %v", c.first, c.second), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, Limits{}, ourID, Prefer)
				first, second := newWorldOf(t, Limits{}, lesser, c.first), newWorldOf(t, Limits{}, greater, c.second)
				l1, stop1 := first.serve()
				l2, stop2 := second.serve()
				var all calls
				w.remote = all.to(l1, 0)
				w.become = func(ctx context.Context, conn *Conn) error {
					w.mu.Lock()
					if len(w.peers) == 1 {
						w.remote = all.to(l2, 0)
					}
					w.mu.Unlock()
					time.Sleep(lasting)
					return nil
				}
				w.h.Offer(hash, Tracker, addr(1))
				w.h.Want(hash, 1)
				for len(all.all()) < len(c.want) {
					time.Sleep(time.Second)
				}
				synctest.Wait()
				var got []byte
				for _, l := range all.all() {
					if how := byte('e'); bytes.HasPrefix(l.out.written(), []byte(protocol)) {
						got = append(got, 'p')
					} else {
						got = append(got, how)
					}
				}
				if string(got) != c.want {
					t.Errorf("dialled %s, want %s", got, c.want)
				}
				w.end()
				stop1()
				stop2()
			})
		})
	}
}

// TestRefused does not try again in plain where nobody listens, and counts one
// failure.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, Limits{}, ourID, Prefer)
		w.h.Offer(hash, Tracker, addr(1))
		w.h.Want(hash, 1)
		if n := len(w.tried()); n != 1 {
			t.Errorf("%d connects", n)
		}
		time.Sleep(time.Second)
		if n := len(w.tried()); n != 2 {
			t.Errorf("%d connects after the back-off", n)
		}
		w.end()
	})
}

// TestPreferIsBounded ends both attempts within the one limit, half-open once,
// whatever the peer does.
func TestPreferIsBounded(t *testing.T) {
	for what, c := range map[string]struct {
		talk  func(far net.Conn)
		at    time.Duration
		calls int
	}{
		"silent":           {func(far net.Conn) { io.Copy(io.Discard, far) }, 10 * time.Second, 2},
		"reads nothing":    {func(far net.Conn) {}, 10 * time.Second, 2},
		"hangs up":         {func(far net.Conn) { far.Close() }, 0, 2},
		"a byte a second":  {func(far net.Conn) { drip(far, make([]byte, 30)) }, 5 * time.Second, 2}, // in plain, the first is wrong
		"its plain answer": {func(far net.Conn) { drip(far, []byte(protocol)[:9]) }, 10 * time.Second, 2},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, Limits{}, ourID, Prefer)
				w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) {
					near, far := net.Pipe()
					go c.talk(far)
					return near, nil
				}
				w.h.Offer(hash, Tracker, addr(1))
				w.h.Want(hash, 1)
				time.Sleep(c.at / 2)
				if s := w.h.Stats(hash); c.at > 0 && s.HalfOpen != 1 {
					t.Errorf("%d half-open", s.HalfOpen)
				}
				time.Sleep(c.at/2 + 1)
				if s := w.h.Stats(hash); s.HalfOpen != 0 || len(w.tried()) != c.calls {
					t.Errorf("%d half-open after %d connects", s.HalfOpen, len(w.tried()))
				}
				w.h.Want(hash, 0)
				w.end()
				time.Sleep(time.Minute) // the slow one ends
			})
		})
	}
}

// drip sends a byte a second and takes in everything.
func drip(far net.Conn, b []byte) {
	go io.Copy(io.Discard, far)
	for i := range b {
		far.Write(b[i : i+1])
		time.Sleep(time.Second)
	}
}

// TestForgetBetween does not go on in plain for a torrent that was removed
// during the encrypted attempt.
func TestForgetBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, Limits{}, ourID, Prefer)
		w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			return near, nil
		}
		w.h.Offer(hash, Tracker, addr(1))
		w.h.Want(hash, 1)
		time.Sleep(time.Second)
		w.h.Forget(hash)
		time.Sleep(time.Minute)
		if n := len(w.tried()); n != 1 {
			t.Errorf("%d connects", n)
		}
		w.end()
	})
}

// TestHalfSpoken meets a peer in plain that speaks MSE and hangs up at the end
// of it, and does not try that again.
func TestHalfSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, Limits{}, ourID, Prefer)
		good := answering(byAddr)
		w.remote = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			if len(w.tried()) > 1 {
				return good(ctx, a)
			}
			near, far := net.Pipe()
			go func() {
				mse.Receiver{Find: w.h.config.Find, Accept: mse.Plain}.Handshake(far, nil)
				far.Close()
			}()
			return near, nil
		}
		w.become = func(context.Context, *Conn) error {
			time.Sleep(lasting)
			return nil
		}
		w.h.Offer(hash, Tracker, addr(1))
		w.h.Want(hash, 1)
		time.Sleep(2*lasting + lasting/2)
		if n := w.met(); n != 3 || len(w.tried()) != 4 {
			t.Errorf("met %d times over %d connections", n, len(w.tried()))
		}
		w.end()
	})
}
