package selection

import (
	"cmp"
	"slices"
)

// Who is served: of the peers that are interested, the four that give us most
// (while we want something; else the four that take most), and one by chance,
// for half a minute, so that newcomers can show what they have (BEP 3). A free
// slot is given at once; only when there are fewer slots than peers are there
// rounds.

// hear takes in whether p wants something of us.
func (m *Machine) hear(p *peer, interested bool) {
	if p.interested == interested {
		return
	}
	p.interested = interested
	if interested {
		p.since = m.now
		m.interested++
	} else {
		m.interested--
		m.shut(p)
	}
	m.appraise()
}

// shut chokes p.
func (m *Machine) shut(p *peer) {
	if m.optimistic == p {
		m.optimistic = nil
	}
	if p.choke.should {
		return
	}
	p.choke.should = true
	for _, b := range p.requests {
		m.reject(p, b)
	}
	p.requests = p.requests[:0]
	m.touch(p)
}

// unshut unchokes p.
func (m *Machine) unshut(p *peer) {
	if p.choke.should {
		p.choke.should = false
		m.touch(p)
	}
}

// appraise gives free slots to peers that wait, longest first, and decides
// whether rounds are needed.
func (m *Machine) appraise() {
	const slots = regularSlots + 1
	if !m.upload {
		for _, p := range m.peers {
			m.shut(p)
		}
		m.roundAt = never
		return
	}
	open := 0
	var waiting []*peer
	for _, p := range m.peers {
		switch {
		case !p.choke.should:
			open++
		case p.interested:
			waiting = append(waiting, p)
		}
	}
	if open < slots && len(waiting) > 0 {
		slices.SortFunc(waiting, func(a, b *peer) int {
			return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id))
		})
		for _, p := range waiting[:min(len(waiting), slots-open)] {
			m.unshut(p)
		}
	}
	switch {
	case m.interested <= slots:
		m.roundAt = never
	case m.roundAt == never:
		m.roundAt, m.rounds = m.now+roundTime, 0
		m.tally()
	}
}

// tally begins the counts of a round.
func (m *Machine) tally() {
	for _, p := range m.peers {
		p.received, p.sent = 0, 0
	}
}

// round chooses anew who is served.
func (m *Machine) round() {
	m.roundAt = m.now + roundTime
	var ranked []*peer
	for _, p := range m.peers {
		if p.interested {
			ranked = append(ranked, p)
		}
	}
	fetching := m.missing > 0
	slices.SortFunc(ranked, func(a, b *peer) int {
		if fetching && a.received != b.received {
			return cmp.Compare(b.received, a.received)
		}
		return cmp.Or(cmp.Compare(b.sent, a.sent), cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id))
	})
	n := min(regularSlots, len(ranked))
	rest := ranked[n:]
	if m.rounds%optimisticTurn == 0 || !slices.Contains(rest, m.optimistic) {
		m.optimistic = nil
		if len(rest) > 0 {
			m.optimistic = rest[m.chance.IntN(len(rest))]
		}
	}
	m.rounds++
	for _, p := range rest {
		if p != m.optimistic {
			m.shut(p)
		}
	}
	for _, p := range ranked[:n] {
		m.unshut(p)
	}
	if m.optimistic != nil {
		m.unshut(m.optimistic)
	}
	m.tally()
}
