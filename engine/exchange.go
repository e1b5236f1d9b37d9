package engine

import (
	"net/netip"
	"time"

	"bipfs/handshake"
	"bipfs/wire/extension"
)

// Peers tell each other whom they are connected to (BEP 11).
//
//	handshake of BEP 10 ──▶ 50 of those we know, by chance
//	each minute         ──▶ who came and who went since
//
// Only addresses at which somebody accepts connections are told: those that we
// have dialled, and of who dialled us the port that its handshake says.
//
// Who came and who went is one list for all peers, and each is as far in it as
// it was told: among a thousand peers, what each was told is not kept a thousand
// times. Who falls behind misses something, which others will tell it.

// Bounds of the exchange.
const (
	// exchangeEvery is how often one peer is told at most (BEP 11).
	exchangeEvery = time.Minute
	// exchangeRest is the pause between two rounds of telling.
	exchangeRest = time.Second
	// exchangePatience is how soon after one message of a peer the next one is
	// taken; others send theirs each minute, as their clocks go.
	exchangePatience = 45 * time.Second
	// mostExchanged is how many peers one message names as come, and as many as
	// gone (BEP 11).
	mostExchanged = 50
	// leastPort is the lowest port that is believed to be a peer's: below it are
	// the services of others, and no peer may have us knock there.
	leastPort = 1024
	// mostMoves is how many comings and goings are kept of a torrent.
	mostMoves = 512
)

// move is a peer that came or went.
type move struct {
	extension.Exchanged
	gone bool
}

// moves is the latest of them, in order.
type moves struct {
	list []move
	past int           // how many there were before the first of list
	next extension.PEX // memory of the message that is being made
}

func (m *moves) add(e move) {
	if len(m.list) == 2*mostMoves {
		m.list = append(m.list[:0], m.list[mostMoves:]...)
		m.past += mostMoves
	}
	m.list = append(m.list, e)
}

// end is the place behind the last one.
func (m *moves) end() int { return m.past + len(m.list) }

// since is what came after a place, the last mostMoves at most.
func (m *moves) since(at int) []move {
	return m.list[max(at-m.past, len(m.list)-mostMoves, 0):]
}

// ourPEX is what we call ut_pex.
const ourPEX = 2

// exchange is what the loop keeps of one peer for this.
type exchange struct {
	id      uint8          // what the peer calls ut_pex; 0: it has none
	listens netip.AddrPort // where it accepts connections; the zero value is unknown
	seeds   bool
	due     time.Time // when it is told more
	told    int       // as far in the moves of the torrent
	begun   bool      // it was told whom we know
	heard   time.Time // when it told us
}

// exchanges reports whether peers of the torrent are talked about. Those of a
// private torrent are its tracker's business alone (BEP 27).
func (l *loop) exchanges() bool { return !l.t.c.cfg.NoPEX && !l.private() }

// introduce takes what a peer's handshake says about itself.
func (l *loop) introduce(k *link, h extension.Handshake) {
	listens := k.exchange.listens
	switch {
	case !k.hand.Incoming:
		listens = k.hand.Addr
	case h.Port != 0:
		listens = netip.AddrPortFrom(k.hand.Addr.Addr(), uint16(h.Port))
	}
	k.exchange.seeds = k.exchange.seeds || h.UploadOnly
	if id, said := h.M[extension.UTHolepunch]; said {
		k.punching.id = id
	}
	if listens != k.exchange.listens {
		l.moved(k, true)
		k.exchange.listens = listens
		l.moved(k, false)
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
	// A thousand peers are not a thousand wake-ups.
	if soon := now.Add(exchangeRest); !l.exchangeAt.IsZero() && l.exchangeAt.Before(soon) {
		l.exchangeAt = soon
	}
}

// moved notes that a peer came or went, if others may be told of it.
func (l *loop) moved(k *link, gone bool) {
	if k.exchange.listens.IsValid() {
		l.moves.add(move{extension.Exchanged{Addr: k.exchange.listens, Flags: k.flags()}, gone})
	}
}

// newsOfPeers is what a peer is to be told now, and notes that it is. It is
// valid until the next call.
func (l *loop) newsOfPeers(k *link) *extension.PEX {
	m := &l.moves.next
	m.Added, m.Dropped = m.Added[:0], m.Dropped[:0]
	begun, since := k.exchange.begun, k.exchange.told
	k.exchange.begun, k.exchange.told = true, l.moves.end()
	if !begun {
		for _, other := range l.links {
			if a := other.exchange.listens; other != k && k.hearsOf(a) && len(m.Added) < mostExchanged {
				m.Added = append(m.Added, extension.Exchanged{Addr: a, Flags: other.flags()})
			}
		}
		return m
	}
	list := l.moves.since(since)
	if len(list) == 0 {
		return m
	}
	last := make(map[netip.AddrPort]bool, len(list)) // what came after counts
	for i := len(list) - 1; i >= 0; i-- {
		e := list[i]
		if last[e.Addr] || !k.hearsOf(e.Addr) {
			continue
		}
		last[e.Addr] = true
		switch {
		case e.gone && len(m.Dropped) < mostExchanged:
			m.Dropped = append(m.Dropped, e.Addr)
		case !e.gone && len(m.Added) < mostExchanged:
			m.Added = append(m.Added, e.Exchanged)
		}
	}
	return m
}

// hearsOf tells whether k may be told of somebody at an address.
func (k *link) hearsOf(a netip.AddrPort) bool {
	return a.IsValid() && a != k.exchange.listens && credible(a, k.hand.Addr.Addr())
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
		if credible(e.Addr, k.hand.Addr.Addr()) && e.Addr.Port() >= leastPort {
			addrs = append(addrs, e.Addr)
			l.hears(k, e)
		}
	}
	for _, a := range m.Dropped {
		delete(k.punching.knows, a)
	}
	l.t.c.hand.Offer(l.t.eitherHash(), handshake.PEX, addrs...)
}
