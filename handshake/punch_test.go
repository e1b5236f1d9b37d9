package handshake

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// punching is a world whose Punch answers, if answers, and notes whom it was for.
func punching(t *testing.T, l Limits, answers bool) (w *world, punched func() []netip.AddrPort) {
	w = newWorld(t, l)
	var mu sync.Mutex
	var to []netip.AddrPort
	w.h.config.Punch = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		mu.Lock()
		to = append(to, a)
		mu.Unlock()
		if !answers {
			return nil, errors.New("the other one did not")
		}
		return answering(byAddr)(ctx, a)
	}
	return w, func() []netip.AddrPort {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return to
	}
}

// TestPunch: a peer that a third one brings together with us is dialled at once,
// though the torrent wants nobody, and is not dialled in another way.
func TestPunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, punched := punching(t, Limits{}, true)
		defer w.end()
		w.h.Punch(hash, addr(0)) // of a torrent that is not known
		w.h.Want(hash, 0)
		w.h.Punch(hash, netip.MustParseAddrPort("0.0.0.0:1"))
		w.h.Ban(addr(1).Addr())
		w.h.Punch(hash, addr(1))
		if n := len(punched()); n != 0 {
			t.Fatalf("%d were dialled that must not be", n)
		}
		w.h.Punch(hash, addr(2))
		w.h.Punch(hash, addr(2)) // meanwhile it is dialled
		if n, tried := w.met(), len(w.tried()); n != 1 || tried != 0 || len(punched()) != 1 {
			t.Errorf("%d peers after %d dials and %d punches", n, tried, len(punched()))
		}
		if c := w.peers[0]; c.Source != Holepunch || c.Incoming {
			t.Errorf("the peer is %v, %v", c.Source, c.Incoming)
		}
	})
}

// TestPunchBounds: no more at once than dials of one torrent, nor more peers than
// it may have.
func TestPunchBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, punched := punching(t, Limits{Peers: 3}, true)
		defer w.end()
		w.h.Want(hash, 0)
		for i := range 10 {
			w.h.Punch(hash, addr(i))
		}
		if n := w.met(); n != 3 || len(punched()) != 3 {
			t.Errorf("%d peers of %d punches, 3 are allowed", n, len(punched()))
		}
	})
}

// TestPunchOfCandidate: one that is being dialled is dialled once more in this
// way when that fails, and after that as all are.
func TestPunchOfCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, punched := punching(t, Limits{}, false)
		defer w.end()
		w.remote = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var unreached atomic.Int32
		w.h.config.Unreached = func(of [20]byte, a netip.AddrPort) {
			if of == hash && a == addr(0) {
				unreached.Add(1)
			}
		}
		w.h.Offer(hash, PEX, addr(0))
		w.h.Want(hash, 1)
		synctest.Wait()
		w.h.Punch(hash, addr(0))
		if n := len(punched()); n != 0 {
			t.Fatalf("%d dials beside the one that is under way", n)
		}
		time.Sleep(Defaults.Handshake + time.Millisecond)
		if n := len(punched()); n != 1 || unreached.Load() != 2 {
			t.Errorf("%d punches, not reached %d times", n, unreached.Load())
		}
		time.Sleep(time.Minute)
		if n := len(punched()); n != 1 || len(w.tried()) < 2 {
			t.Errorf("%d punches and %d dials after a minute", n, len(w.tried()))
		}
	})
}
