package handshake

import (
	"container/heap"
	"net/netip"
	"time"
)

// Punch dials a peer of a torrent at once, by Config.Punch: the peer is doing the
// same at this moment, so that the routers of both take what comes for an answer
// (BEP 55). Whether the torrent wants peers does not matter, since the other one
// does. Nothing happens if the address is not welcome, if it is connected to, or
// where a bound is reached. A dial to it that is under way goes on; if that
// fails, it is dialled once more in this way.
func (h *Handshaker) Punch(infohash [20]byte, a netip.AddrPort) {
	if h.config.Punch == nil {
		return
	}
	us := h.us()
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.torrents[infohash]
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if t == nil || !dialable(a) || h.selves.has(a) || h.isBanned(t, a.Addr()) {
		return
	}
	c := t.candidates[a]
	if c == nil && t.offer(candidate{addr: a, source: Holepunch, due: time.Now(), rank: us.rank(a)}, h.limits.Candidates) {
		c = t.candidates[a]
	}
	if c == nil {
		return
	}
	c.punch = true
	if c.place < 0 || !h.hasRoom() || t.halfOpen >= h.limits.PerTorrent || t.standing+t.halfOpen >= h.limits.Peers {
		return
	}
	heap.Remove(&t.waiting, c.place)
	h.start(t, c)
}

// start dials a candidate that has been taken from those that wait. The lock is
// held.
func (h *Handshaker) start(t *torrent, c *candidate) {
	t.halfOpen++
	h.halfOpen++
	life := t.life
	conn := &Conn{Addr: c.addr, Source: c.source, byV2: c.byV2, redial: h.config.Redial != nil && c.failures%2 == 1}
	if c.punch {
		conn.Source, conn.punch = Holepunch, true
	}
	c.punch = false
	h.spawn(func() { h.dial(life, t, c, conn) })
}
