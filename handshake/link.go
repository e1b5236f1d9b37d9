package handshake

import (
	"bytes"
	"context"
	"net/netip"
	"time"
)

// link is a connection that stands.
type link struct {
	peerID   [20]byte
	addr     netip.Addr
	local    netip.Addr // our end
	incoming bool
	since    time.Time
	life     context.Context
	end      context.CancelCauseFunc
}

// admit lets a connection whose handshake is done stand, or says why not. The
// lock is held.
func (h *Handshaker) admit(t *torrent, c *Conn) (*link, error) {
	if c.PeerID == c.ours {
		if !c.Incoming { // where an accepted one came from, nobody listens
			h.selves.add(c.Addr)
		}
		return nil, ErrSelf
	}
	switch {
	case h.closed:
		return nil, ErrClosed
	case h.torrents[t.infohash] != t:
		return nil, ErrForgotten
	case h.isBanned(t, c.Addr.Addr()):
		return nil, ErrBanned
	}
	now := time.Now()
	old := t.links[c.PeerID]
	if old != nil && !h.supersedes(c, old, now) {
		return nil, ErrDuplicate
	}
	if old == nil && (t.standing >= h.limits.Peers || h.standing >= h.limits.AllPeers) {
		return nil, ErrFull
	}
	if old != nil {
		old.end(ErrDuplicate)
	}
	l := &link{peerID: c.PeerID, addr: c.Addr.Addr(), local: addrOf(c.LocalAddr()).Addr(), incoming: c.Incoming, since: now}
	l.life, l.end = context.WithCancelCause(h.life)
	t.links[c.PeerID] = l
	t.standing++
	h.standing++
	return l, nil
}

// supersedes decides between two connections to one peer. Two that crossed
// must be told apart alike by both ends, or each closes the one that the other
// keeps: the one stands that the greater peer ID dialled. One that has
// stood for longer than a handshake can take did not cross, and stays: who
// knows a peer's ID must not be able to knock it out.
func (h *Handshaker) supersedes(c *Conn, old *link, now time.Time) bool {
	if c.Incoming == old.incoming || now.Sub(old.since) >= h.limits.Handshake {
		return false
	}
	theirsIsGreater := bytes.Compare(c.PeerID[:], c.ours[:]) > 0
	return c.Incoming == theirsIsGreater
}

// leave is the end of a connection that stood; l may be nil. The lock is held.
func (h *Handshaker) leave(t *torrent, l *link) {
	if l == nil {
		return
	}
	t.standing--
	h.standing--
	if t.links[l.peerID] == l {
		delete(t.links, l.peerID)
	}
}

// ban keeps an address from coming back to a torrent. The lock is held.
func (t *torrent) ban(ip netip.Addr) { t.banned.add(netip.AddrPortFrom(ip, 0)) }
