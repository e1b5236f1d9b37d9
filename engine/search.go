package engine

import (
	"net/netip"
	"slices"

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
	l.offerNamed()
	if t.onlySeeds() {
		t.c.hand.Want(t.hash, seedConnections)
		return
	}
	l.searchMore()
}

// offerNamed names the peers that the user has, and the magnet link.
func (l *loop) offerNamed() {
	t := l.t
	t.c.spawn(func() {
		l.offer(handshake.User, t.c.resolveAll(t.c.cfg.Peers))
		l.offer(handshake.Magnet, t.c.resolveAll(t.peersNamed()))
	})
}

// searchMore has as many peers dialled as fetching takes.
func (l *loop) searchMore() {
	if l.fetches || !l.searching {
		return
	}
	l.fetches = true
	l.t.c.hand.Want(l.t.hash, torrentConnections)
	l.startWebSeeds()
}

// onlySeeds reports whether t is awake for others' sake alone.
func (t *Torrent) onlySeeds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.seedingSince.IsZero() && t.handles == 0 && !t.started && !t.strives()
}

// offer names peers. Looking them up took a while: the loop may have ended, or
// the torrent have turned out to be private.
func (l *loop) offer(from handshake.Source, peers []netip.AddrPort) {
	if l.ctx.Err() == nil && !(l.private() && slices.Contains(openSources, from)) {
		l.t.c.hand.Offer(l.t.eitherHash(), from, peers...)
	}
}

// peersNamed are the peers that t's magnet link names.
func (t *Torrent) peersNamed() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.magnet == nil {
		return nil
	}
	return t.magnet.Peers
}
