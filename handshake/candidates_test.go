package handshake

import (
	"container/heap"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestDialable(t *testing.T) {
	for s, want := range map[string]bool{
		"10.0.0.1:6881": true, "127.0.0.1:1": true, "[2001:db8::1]:6881": true, "[::1]:80": true,
		"10.0.0.1:0": false, "0.0.0.0:6881": false, "[::]:6881": false, "224.0.0.1:6881": false,
		"239.255.255.250:1900": false, "[ff02::1]:6881": false, "255.255.255.255:6881": false,
	} {
		if got := dialable(netip.MustParseAddrPort(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	if dialable(netip.AddrPort{}) {
		t.Error("the zero address")
	}
}

// TestOfferUnmaps takes an IPv4 address for the same however it is written.
func TestOfferUnmaps(t *testing.T) {
	w := newWorld(t, Limits{})
	w.h.Offer(hash, Tracker, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("[::ffff:10.0.0.1]:1"),
		netip.MustParseAddrPort("[::ffff:0.0.0.0]:1"))
	if n := w.h.Stats(hash).Candidates; n != 1 {
		t.Errorf("%d candidates", n)
	}
	w.end()
}

// TestCandidates keeps no more than the limit: what failed makes room, what is
// as good as the new stays.
func TestCandidates(t *testing.T) {
	w := newWorld(t, Limits{Candidates: 5})
	defer w.end()
	w.h.Offer(hash, Tracker, addrs(20)...)
	tt := w.h.torrents[hash]
	has := func(i int) bool { return tt.candidates[addr(i)] != nil }
	if len(tt.candidates) != 5 || !has(4) || has(5) {
		t.Errorf("%d candidates", len(tt.candidates))
	}
	tt.candidates[addr(2)].failures = 1
	tt.candidates[addr(3)].failures = 3
	w.h.Offer(hash, Tracker, addr(20))
	if has(3) || !has(20) {
		t.Error("not the one that failed most made room")
	}
	w.h.Offer(hash, User, addr(21))
	if has(2) || !has(21) {
		t.Error("not the other one that failed made room")
	}
	w.h.Offer(hash, User, addr(22))
	w.h.Offer(hash, Tracker, addr(23))
	if !has(22) || has(23) || len(tt.candidates) != 5 || len(tt.waiting) != 5 {
		t.Error("the user's address did not get the place of a tracker's")
	}
}

// TestBans forgets the oldest.
func TestBans(t *testing.T) {
	b := newBans(3)
	for i := range 5 {
		b.add(addr(i))
		b.add(addr(i))
	}
	for i := range 5 {
		if b.has(addr(i)) != (i >= 2) {
			t.Errorf("address %d: %v", i, b.has(addr(i)))
		}
	}
	if len(b.in) != 3 || len(b.order) != 3 {
		t.Errorf("%d, %d", len(b.in), len(b.order))
	}
}

// BenchmarkOffer is a tracker's answer of 200 addresses to a full torrent.
func BenchmarkOffer(b *testing.B) {
	h := New(Config{})
	defer h.Close()
	h.Offer(hash, Tracker, addrs(2000)...)
	as := addrs(4000)[3000:3200]
	for b.Loop() {
		h.Offer(hash, Tracker, as...)
	}
}

// TestWithdraw: only what no better source named goes, and nothing that is in
// use.
func TestWithdraw(t *testing.T) {
	w := newWorld(t, Limits{})
	defer w.end()
	w.h.Withdraw(hash, DHT) // nothing is known yet
	w.h.Offer(hash, DHT, addrs(4)...)
	w.h.Offer(hash, Tracker, addr(1))
	tt := w.h.torrents[hash]
	w.h.mu.Lock()
	used := tt.candidates[addr(2)]
	heap.Remove(&tt.waiting, used.place)
	w.h.mu.Unlock()
	w.h.Withdraw(hash, DHT)
	if len(tt.candidates) != 2 || tt.candidates[addr(1)] == nil || tt.candidates[addr(2)] == nil || len(tt.waiting) != 1 {
		t.Errorf("%d candidates are left", len(tt.candidates))
	}
	for named := range 2 { // again, while it was in use; then by nobody
		w.h.mu.Lock()
		if named == 0 {
			tt.improve(used, PEX)
		}
		w.h.retire(tt, used, 0, ErrIdle)
		left := tt.candidates[addr(2)]
		if left != nil {
			heap.Remove(&tt.waiting, used.place)
		}
		w.h.mu.Unlock()
		if (left != nil) != (named == 0) {
			t.Errorf("named again is %v: %+v is left", named == 0, left)
		}
		w.h.Withdraw(hash, PEX)
	}
}

// TestIdentity: a torrent may have a peer ID of its own, by which we know
// ourselves and the lesser of two connections.
func TestIdentity(t *testing.T) {
	mine := [20]byte{'m', 'i', 'n', 'e'}
	h := New(Config{
		PeerID: ourID, Encryption: Off, Identity: func(infohash [20]byte) [20]byte {
			if infohash == hash {
				return mine
			}
			return ourID
		},
		Dial:  func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, net.ErrClosed },
		Known: func([20]byte) bool { return true },
	})
	defer h.Close()
	for _, infohash := range [][20]byte{hash, {1}} {
		end, other := net.Pipe()
		defer end.Close()
		defer other.Close()
		c := &Conn{Conn: end, Addr: addr(1)}
		said := h.hello(c, infohash)
		if ours := [20]byte(said[HandshakeSize-20:]); ours != c.ours || (ours == mine) != (infohash == hash) {
			t.Errorf("%x: we are %q", infohash[:1], ours)
		}
		c.PeerID = mine
		h.mu.Lock()
		_, err := h.admit(h.torrent(infohash), c)
		h.mu.Unlock()
		if errors.Is(err, ErrSelf) != (infohash == hash) {
			t.Errorf("%x: met ourselves: %v", infohash[:1], err)
		}
	}
}
