package engine

import (
	"net/netip"
	"time"
)

// A machine that has slept, or has moved to another network, has sockets that
// nobody at the other end knows, and an address that no tracker knows.
//
//	clock jumps ───────┐                 ┌─▶ connections: closed, candidates due
//	                   ├─▶ watch ─▶ wake ┼─▶ trackers, the router: told at once
//	addresses change ──┘                 └─▶ waiting reads: time anew
//
// It is looked for while a torrent has a loop: dormant ones have nothing to
// lose.

// Bounds of the watch.
const (
	// watchEvery is how often the clock and the addresses are looked at.
	watchEvery = 2 * time.Second
	// leap is how much further than the monotonic clock, which stands still in
	// a sleep, the wall clock must have gone.
	leap = 10 * time.Second
)

// surroundings is what the watch compares.
type surroundings struct {
	wall  time.Time     // without its monotonic part
	clock time.Duration // monotonic
	addrs map[netip.Addr]bool
}

// look is how things are now. Addresses of the loopback device, which come and
// go with nothing, are left out; so are all, if they cannot be had.
func (c *Client) look() surroundings {
	s := surroundings{wall: c.cfg.wall(), clock: c.clock.now(), addrs: map[netip.Addr]bool{}}
	addrs, err := c.cfg.addrs()
	if err != nil {
		return s
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			s.addrs[p.Addr().Unmap().WithZone("")] = true
		}
	}
	return s
}

// since tells whether the machine has slept since it looked like before, and
// which of the addresses it had then are gone. Others than before are news,
// too.
func (s surroundings) since(before surroundings) (slept, moved bool) {
	jumped := s.wall.Sub(before.wall) - (s.clock - before.clock)
	slept = jumped > leap || jumped < -leap
	moved = len(s.addrs) != len(before.addrs)
	for a := range before.addrs {
		moved = moved || !s.addrs[a]
	}
	return slept, moved
}

// watch looks for a sleep and for another network until the client ends.
func (c *Client) watch() {
	stores := true
	for {
		select {
		case <-c.stirred:
		case <-c.ctx.Done():
			return
		}
		before := c.look()
		ticker := time.NewTicker(c.cfg.watchEvery)
		for c.loops() > 0 && c.ctx.Err() == nil {
			select {
			case <-ticker.C:
			case <-c.ctx.Done():
				continue
			}
			stores = c.lookAtDisk(stores)
			now := c.look()
			if slept, moved := now.since(before); slept || moved {
				c.log.Info("the machine has slept, or its network has changed", "slept", slept, "moved", moved)
				c.wake(func(local netip.Addr) bool { return slept || !local.IsLoopback() && !now.addrs[local.WithZone("")] })
			}
			before = now
		}
		ticker.Stop()
	}
}

// loops is how many torrents have one.
func (c *Client) loops() (n int) {
	for _, t := range c.Torrents() {
		if t.running() != nil {
			n++
		}
	}
	return n
}

// stir has the watch look: a torrent has a loop.
func (c *Client) stir() {
	select {
	case c.stirred <- struct{}{}:
	default:
	}
}

// woken is that the network may be another one.
type woken struct{}

// wake begins anew with all that is not dormant. gone are the addresses of ours
// whose connections are dead.
func (c *Client) wake(gone func(local netip.Addr) bool) {
	c.hand.Wake(gone)
	if m := c.mapping.Load(); m != nil {
		m.Wake()
	}
	for _, t := range c.Torrents() {
		if l := t.running(); l != nil {
			l.put(c.ctx, woken{})
		}
	}
}

// rouse is the loop's part of that.
func (l *loop) rouse() {
	for _, t := range l.trackers {
		t.Moved()
	}
	if l.leaveOpen != nil { // the DHT and the local networks are told and asked anew
		l.leaveOpen()
		l.leaveOpen = nil
		l.searchOpenly()
	}
	if store := l.disk.get(); store != nil {
		store.Excuse()
	}
	l.t.broken.Store(false)
}
