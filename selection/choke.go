package selection

import (
	"cmp"
	"slices"
)

// Who is served. A free slot is given at once; only when there are fewer slots
// than peers that are interested are there rounds.
//
// While we want something: the four that give us most, and one by chance, for
// half a minute, so that newcomers can show what they have (BEP 3).
//
// While we seed: all in turn, whoever waits longest first. A turn ends after
// turnTime, after turnBytes, or with a round in which the peer took nothing. So
// a fast peer gets no more than a slow one gets in a minute or in its bytes, and
// one that connects again begins at the end of the line.

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
	m.give(p)
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
	m.rejectAll(p)
	m.touch(p)
}

// rejectAll drops what p waits for.
func (m *Machine) rejectAll(p *peer) {
	for _, b := range p.requests {
		m.reject(p, b)
	}
	p.requests = p.requests[:0]
}

// unshut unchokes p.
func (m *Machine) unshut(p *peer) {
	if p.choke.should {
		p.choke.should = false
		p.turn, p.turnAt = 0, m.now
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
			m.rejectAll(p) // the gifts of one that was choked already
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
	if m.missing > 0 {
		m.trade(ranked)
	} else {
		m.takeTurns(ranked)
	}
	m.tally()
}

// trade serves those that give most, and one by chance.
func (m *Machine) trade(ranked []*peer) {
	slices.SortFunc(ranked, func(a, b *peer) int {
		return cmp.Or(cmp.Compare(b.received, a.received), cmp.Compare(b.sent, a.sent),
			cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id))
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
}

// takeTurns serves those whose turn goes on, then those that wait longest.
func (m *Machine) takeTurns(line []*peer) {
	m.optimistic, m.rounds = nil, 0
	for _, p := range line {
		had := m.now - p.turnAt
		idle := p.sent == 0 && len(p.requests) == 0 && p.loads == p.mostLoads && had >= roundTime
		if !p.choke.should && (idle || p.turn >= turnBytes || had >= turnTime) {
			p.since = m.now // to the end of the line
			p.turn, p.turnAt = 0, m.now
		}
	}
	slices.SortFunc(line, func(a, b *peer) int {
		if x, y := m.served(a), m.served(b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id))
	})
	n := min(regularSlots+1, len(line))
	for _, p := range line[n:] {
		m.shut(p)
	}
	for _, p := range line[:n] {
		m.unshut(p)
	}
}

// served tells whether the turn of p goes on.
func (m *Machine) served(p *peer) bool { return !p.choke.should && p.turnAt < m.now }
