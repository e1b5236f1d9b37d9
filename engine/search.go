package engine

import (
	"net/netip"

	"bipfs/handshake"
)

// search looks for peers, unless it does already. A torrent that a peer has
// woken, and that nobody reads, serves that peer and looks for no others.
func (l *loop) search() {
	if l.searching || l.ending {
		return
	}
	l.searching = true
	t := l.t
	t.mu.Lock()
	tiers := t.trackers
	t.mu.Unlock()
	l.announceTo(tiers)
	l.searchOpenly()
	t.c.mapPorts()
	t.c.spawn(func() { l.offer(t.peersGiven()) })
	t.c.hand.Want(t.hash, torrentConnections)
	l.startWebSeeds()
}

// offer names peers that the user gave. Looking them up took a while: the loop
// may have ended.
func (l *loop) offer(given []netip.AddrPort) {
	if l.ctx.Err() == nil {
		l.t.c.hand.Offer(l.t.hash, handshake.User, given...)
	}
}
