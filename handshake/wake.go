package handshake

import (
	"container/heap"
	"context"
	"fmt"
	"net/netip"
	"time"
)

// errWoken is the end of what a sleep or another network has made useless: no
// fault of the peer's.
var errWoken = fmt.Errorf("the network is another one: %w", ErrIdle)

// Wake is for the moment after the machine has slept, or its network has
// changed: the connections whose end here has one of the addresses that are
// gone are closed, dials under way are begun anew, and every candidate is due
// at once, whatever it failed at before.
func (h *Handshaker) Wake(gone func(local netip.Addr) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resume = time.Time{}
	for _, t := range h.torrents {
		for _, l := range t.links {
			if gone(l.local) {
				l.end(errWoken)
			}
		}
		t.end(errWoken)
		t.life, t.end = context.WithCancelCause(h.life)
		for _, c := range t.candidates {
			c.failures = 0
			if c.place >= 0 {
				c.due = time.Time{}
			}
		}
		heap.Init(&t.waiting)
		h.feed(t)
	}
}
