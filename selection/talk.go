package selection

import (
	"bipfs/wire"
)

// What a peer is told. Control first, for requests are of no use to a peer
// that does not know of our interest; then requests (pick.go); then the rest.

// send puts a message into the lane of p, which must have a slot.
func (m *Machine) send(p *peer, w wire.Message) {
	m.sendWith(p, w, nil)
}

func (m *Machine) sendWith(p *peer, w wire.Message, payload []byte) {
	if p.slots <= 0 || p.dropped {
		panic("selection: a message without a slot")
	}
	p.slots--
	m.command(Send{p.id, w, payload})
}

// greet sends the first message: what we have. Before the geometry is known
// only a BEP 6 peer can be told, and must be.
func (m *Machine) greet(p *peer) {
	if p.greeted || p.slots == 0 {
		return
	}
	switch {
	case !m.known && !p.fast:
		return
	case p.fast && m.held == 0:
		m.send(p, wire.Message{Kind: wire.HaveNone})
	case p.fast && m.held == m.geo.Pieces():
		m.send(p, wire.Message{Kind: wire.HaveAll})
	case m.held > 0:
		field := m.have.Clone()
		m.sendWith(p, wire.Message{Kind: wire.HaveBitfield, Payload: uint32(len(field))}, field)
	}
	p.greeted = true
	p.announce = len(m.log)
	if m.gone {
		p.knows = m.have.Clone()
	}
}

// control tells p what comes before everything else, as far as slots allow.
func (m *Machine) control(p *peer) {
	if p.dropped {
		return
	}
	m.greet(p)
	if !p.greeted {
		return
	}
	if p.choke.should != p.choke.does && p.slots > 0 {
		p.choke.does = p.choke.should
		kind := wire.Unchoke
		if p.choke.does {
			kind = wire.Choke
		} else {
			m.advise(p)
		}
		m.send(p, wire.Message{Kind: kind})
	}
	if p.interest.should != p.interest.does && p.slots > 0 {
		p.interest.does = p.interest.should
		kind := wire.NotInterested
		if p.interest.does {
			kind = wire.Interested
			m.presume(p)
		}
		m.send(p, wire.Message{Kind: kind})
	}
	n := 0
	for ; n < len(p.cancels) && p.slots > 0; n++ {
		b := p.cancels[n]
		m.send(p, wire.Of(wire.Cancel, b))
		if !p.fast || p.forgets {
			p.forgive(1)
			continue
		}
		if len(p.ghosts) == mostGhosts {
			p.ghosts = append(p.ghosts[:0], p.ghosts[1:]...)
		}
		until := m.now + min(max(leastGhostTime, p.eta()), mostGhostTime)
		if n := len(p.ghosts); n > 0 {
			until = max(until, p.ghosts[n-1].until)
		}
		p.ghosts = append(p.ghosts, ghost{b, until, m.lacks(b)})
	}
	p.cancels = append(p.cancels[:0], p.cancels[n:]...)
}

// tell tells p the rest: rejects, and haves that it does not have itself.
func (m *Machine) tell(p *peer) {
	if p.dropped || !p.greeted {
		return
	}
	n := 0
	for ; n < len(p.rejects) && p.slots > 0; n++ {
		m.send(p, wire.Of(wire.Reject, p.rejects[n]))
	}
	p.rejects = append(p.rejects[:0], p.rejects[n:]...)
	m.report(p)
	m.grant(p)
	m.suggest(p)
	m.refresh(p)
}
