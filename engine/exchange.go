package engine

import (
	"net/netip"
	"time"

	"bipfs/handshake"
	"bipfs/wire/extension"
)

// Peers tell each other whom they are connected to (BEP 11).
//
//	handshake of BEP 10 ──▶ everybody we know, 50 at most
//	each minute         ──▶ who came and who went since
//
// Only addresses at which somebody accepts connections are told: those that we
// have dialled, and of who dialled us the port that its handshake says.

// Bounds of the exchange.
const (
	// exchangeEvery is how often one peer is told at most (BEP 11).
	exchangeEvery = time.Minute
	// exchangePatience is how soon after one message of a peer the next one is
	// taken; others send theirs each minute, as their clocks go.
	exchangePatience = 45 * time.Second
	// mostExchanged is how many peers one message names as come, and as many as
	// gone (BEP 11).
	mostExchanged = 50
)

// ourPEX is what we call ut_pex.
const ourPEX = 2

// exchange is what the loop keeps of one peer for this.
type exchange struct {
	id      uint8          // what the peer calls ut_pex; 0: it has none
	listens netip.AddrPort // where it accepts connections; the zero value is unknown
	seeds   bool
	told    map[netip.AddrPort]bool // whom it was told of
	due     time.Time               // when it is told more
	heard   time.Time               // when it told us
}

// exchanges reports whether peers of the torrent are talked about. Those of a
// private torrent are its tracker's business alone (BEP 27).
func (l *loop) exchanges() bool { return !l.t.c.cfg.NoPEX && !l.private() }

// introduce takes what a peer's handshake says about itself.
func (l *loop) introduce(k *link, h extension.Handshake) {
	switch {
	case !k.hand.Incoming:
		k.exchange.listens = k.hand.Addr
	case h.Port != 0:
		k.exchange.listens = netip.AddrPortFrom(k.hand.Addr.Addr(), uint16(h.Port))
	}
	k.exchange.seeds = k.exchange.seeds || h.UploadOnly
	if id, said := h.M[extension.UTHolepunch]; said {
		k.punching.id = id
	}
	id, said := h.M[extension.UTPex]
	if !said {
		return
	}
	if k.exchange.id = id; id != 0 && k.exchange.due.IsZero() {
		k.exchange.due = time.Now()
		l.exchangeAt = k.exchange.due
	}
}

// tellPeers tells those peers of the others that are due.
func (l *loop) tellPeers() {
	now := time.Now()
	if l.exchangeAt.IsZero() || now.Before(l.exchangeAt) {
		return
	}
	l.exchangeAt = time.Time{}
	for _, k := range l.links {
		if k.exchange.id == 0 || !l.exchanges() {
			continue
		}
		if !now.Before(k.exchange.due) {
			k.exchange.due = now.Add(exchangeEvery)
			if m := l.newsOfPeers(k); len(m.Added)+len(m.Dropped) > 0 {
				k.extend(k.exchange.id, m.Append(nil))
			}
		}
		if l.exchangeAt.IsZero() || k.exchange.due.Before(l.exchangeAt) {
			l.exchangeAt = k.exchange.due
		}
	}
}

// newsOfPeers is what a peer is to be told now, and notes that it is.
func (l *loop) newsOfPeers(k *link) (m extension.PEX) {
	connected := map[netip.AddrPort]bool{}
	for _, other := range l.links {
		a := other.exchange.listens
		if other == k || !a.IsValid() || !credible(a, k.hand.Addr.Addr()) {
			continue
		}
		connected[a] = true
		if !k.exchange.told[a] && len(m.Added) < mostExchanged {
			m.Added = append(m.Added, extension.Exchanged{Addr: a, Flags: other.flags()})
		}
	}
	for a := range k.exchange.told {
		if !connected[a] && len(m.Dropped) < mostExchanged {
			m.Dropped = append(m.Dropped, a)
			delete(k.exchange.told, a)
		}
	}
	if k.exchange.told == nil {
		k.exchange.told = map[netip.AddrPort]bool{}
	}
	for _, e := range m.Added {
		k.exchange.told[e.Addr] = true
	}
	return m
}

// flags are what others are told of a peer.
func (k *link) flags() (f extension.PeerFlags) {
	if !k.hand.Incoming {
		f |= extension.Reachable
	}
	if k.exchange.seeds {
		f |= extension.Seeds
	}
	if k.hand.UTP() {
		f |= extension.SpeaksUTP
	}
	if k.punching.id != 0 {
		f |= extension.SpeaksHolepunch
	}
	return f
}

// hearPeers takes what a peer says about others.
func (l *loop) hearPeers(k *link, payload []byte) {
	now := time.Now()
	if !l.exchanges() || !k.exchange.heard.IsZero() && now.Sub(k.exchange.heard) < exchangePatience {
		return
	}
	k.exchange.heard = now
	m, err := extension.ParsePEX(payload)
	if err != nil {
		k.conn.Close(err)
		return
	}
	var addrs []netip.AddrPort
	for _, e := range m.Added {
		if credible(e.Addr, k.hand.Addr.Addr()) {
			addrs = append(addrs, e.Addr)
			l.hears(k, e)
		}
	}
	for _, a := range m.Dropped {
		delete(k.punching.knows, a)
	}
	l.t.c.hand.Offer(l.t.hash, handshake.PEX, addrs...)
}
