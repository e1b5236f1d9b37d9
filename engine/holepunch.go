package engine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"bipfs/wire/extension"
)

// Two peers whose routers let nobody in meet by the word of a third one that
// both are connected to (BEP 55):
//
//	initiator ──Rendezvous(target)──▶ relay ──Connect(initiator)──▶ target
//	    ▲◀────────Connect(target)───────┘                              │
//	    └──────────────── uTP, both at once ───────────────────────────┘
//
// The first packet that each of them sends opens its own router to those of the
// other. We are any of the three. As initiator we ask who told us of a peer in
// ut_pex and said that it speaks this, at once if the teller has not dialled that
// peer itself, else when we could not reach it.
//
// Nobody gets more than he puts in: a Rendezvous is answered by two messages of
// its own length, over connections that stand. A Connect makes us send a few SYNs
// to an address, as one of the hundred addresses of a ut_pex message does, and
// only to such an address as its teller could name there.

// Bounds of what one peer has us do, and of what we ask of one.
const (
	// punchBurst is how many messages of one kind are acted on at once.
	punchBurst = 16
	// punchEvery is how soon after that there is place for one more.
	punchEvery = 4 * time.Second
	// mostIntroduced is how many addresses, of those that one peer says speak
	// this, are kept; later ones are left out.
	mostIntroduced = 200
)

// ourHolepunch is what we call ut_holepunch.
const ourHolepunch = 4

// punching is what the loop keeps of one peer for this.
type punching struct {
	id       uint8                   // what the peer calls ut_holepunch; 0: it has none
	knows    map[netip.AddrPort]bool // who it says speaks this
	asked    allowance               // of ours, that it bring us together with others
	relayed  allowance               // of its, that we bring it together with others
	told     allowance               // of what it is told as the target of others
	summoned allowance               // of its word that we dial somebody
}

// An allowance is punchBurst at first, and one more each punchEvery.
type allowance struct {
	spent int // of punchBurst
	since time.Time
}

// take reports whether there is some left, and takes it.
func (a *allowance) take(now time.Time) bool {
	if back := int(now.Sub(a.since) / punchEvery); back >= a.spent {
		a.spent, a.since = 0, now
	} else if back > 0 {
		a.spent -= back
		a.since = a.since.Add(time.Duration(back) * punchEvery)
	}
	if a.spent >= punchBurst {
		return false
	}
	a.spent++
	return true
}

// punches reports whether we take part for this torrent: who is connected to
// whom is told, so not where peers are not exchanged, and there has to be uTP.
func (l *loop) punches() bool { return l.t.c.utp != nil && l.exchanges() }

// punch is handshake.Config.Punch: over uTP alone.
func (c *Client) punch(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if c.net.Blocked(addr.Addr()) {
		return nil, fmt.Errorf("%s: %w", addr, ErrBlocked)
	}
	return c.utp.Dial(ctx, addr)
}

// unreachable is the address of a peer that could not be connected to.
type unreachable struct{ addr netip.AddrPort }

// unreached is handshake.Config.Unreached.
func (c *Client) unreached(hash [20]byte, addr netip.AddrPort) {
	c.mu.Lock()
	t := c.torrents[hash]
	c.mu.Unlock()
	if t == nil || c.utp == nil {
		return
	}
	if l := t.running(); l != nil {
		l.put(c.ctx, unreachable{addr}) // the loop that has ended needs no peers
	}
}

// hears notes of a peer's word on another that the two may be brought together.
func (l *loop) hears(k *link, e extension.Exchanged) {
	if k.punching.id == 0 || e.Flags&extension.SpeaksHolepunch == 0 || !l.punches() {
		return
	}
	if k.punching.knows == nil {
		k.punching.knows = map[netip.AddrPort]bool{}
	}
	if len(k.punching.knows) >= mostIntroduced && !k.punching.knows[e.Addr] {
		return
	}
	k.punching.knows[e.Addr] = true
	if e.Flags&extension.Reachable == 0 && l.searching && !l.complete && l.at(e.Addr) == nil {
		l.rendezvous(k, e.Addr)
	}
}

// unreached asks one who knows a peer that we could not reach to bring us
// together.
func (l *loop) unreached(addr netip.AddrPort) {
	if !l.punches() || l.ending || l.complete || l.at(addr) != nil {
		return
	}
	for _, k := range l.links {
		if k.punching.knows[addr] && l.rendezvous(k, addr) {
			return
		}
	}
}

// rendezvous asks k to bring us together with a peer, unless it was asked too
// much.
func (l *loop) rendezvous(k *link, addr netip.AddrPort) bool {
	if k.punching.id == 0 || !k.punching.asked.take(time.Now()) {
		return false
	}
	k.punched(extension.Holepunch{Kind: extension.Rendezvous, Addr: addr})
	return true
}

// punched sends k a message of ut_holepunch.
func (k *link) punched(m extension.Holepunch) { k.extend(k.punching.id, m.Append(nil)) }

// at is the peer that accepts connections at an address, or that we are
// connected to there.
func (l *loop) at(addr netip.AddrPort) *link {
	for _, k := range l.links {
		if k.hand != nil && (k.hand.Addr == addr || k.exchange.listens == addr) {
			return k
		}
	}
	return nil
}

// endpoint is where a peer's router lets the answer to a packet in: where it
// sends its own uTP from, if we know that, else where it says that it listens.
func (k *link) endpoint() netip.AddrPort {
	if k.hand.UTP() {
		return k.hand.Addr
	}
	return k.exchange.listens
}

// holepunch takes a message of ut_holepunch.
func (l *loop) holepunch(k *link, payload []byte) {
	m, err := extension.ParseHolepunch(payload)
	if err != nil {
		k.conn.Close(err)
		return
	}
	if !l.punches() {
		return
	}
	switch m.Kind {
	case extension.Rendezvous:
		l.relay(k, m.Addr)
	case extension.Connect:
		if credible(m.Addr, k.hand.Addr.Addr()) && m.Addr.Port() >= leastPort && !l.ending && k.punching.summoned.take(time.Now()) {
			l.t.c.hand.Punch(l.t.hash, m.Addr)
		}
	case extension.PunchFailed:
		delete(k.punching.knows, m.Addr) // whatever the reason, it will be the same again
		l.log.Debug("no hole can be punched", "peer", m.Addr, "relay", k.hand.Addr, "reason", m.Error.String())
	}
}

// relay brings k together with the peer at an address.
func (l *loop) relay(k *link, addr netip.AddrPort) {
	now := time.Now()
	if k.punching.id == 0 || !k.punching.relayed.take(now) {
		return
	}
	target, here := l.at(addr), k.endpoint()
	reason := extension.PunchError(0)
	switch {
	case !credible(addr, k.hand.Addr.Addr()):
		reason = extension.NoSuchPeer
	case target == nil:
		reason = extension.NotConnected
	case target == k:
		reason = extension.NoSelf
	case target.punching.id == 0:
		reason = extension.NoSupport
	}
	if reason != 0 {
		k.punched(extension.Holepunch{Kind: extension.PunchFailed, Addr: addr, Error: reason})
		return
	}
	there := target.endpoint()
	if !credible(here, target.hand.Addr.Addr()) || !credible(there, k.hand.Addr.Addr()) || !target.punching.told.take(now) {
		return
	}
	target.punched(extension.Holepunch{Kind: extension.Connect, Addr: here})
	k.punched(extension.Holepunch{Kind: extension.Connect, Addr: there})
}
