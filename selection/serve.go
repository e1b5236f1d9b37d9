package selection

import (
	"slices"

	"bipfs/wire"
)

// request takes in a request of p. It is queued, and served as load slots
// come; what will not be served is rejected, if p knows the word (BEP 6).
func (m *Machine) request(p *peer, b wire.Block) {
	if b.Length == 0 || b.Length > longestRequest ||
		m.known && !m.geo.Within(wire.Extent(b)) && !m.geo.Padded(b) {
		m.drop(p, badRequest)
		return
	}
	switch {
	case !m.known, !m.geo.Aligned(b) && !m.geo.Padded(b), !m.have.Has(b.Piece), p.mostLoads == 0:
		m.noisy(p)
		m.reject(p, b)
	case slices.Contains(p.requests, b):
		m.noisy(p)
	case len(p.requests) >= mostRequests, p.choke.should && !m.takesGift(p, b):
		m.noisy(p)
		m.reject(p, b)
	default:
		p.requests = append(p.requests, b)
		m.touch(p)
	}
}

// reject tells p that b will not come.
func (m *Machine) reject(p *peer, b wire.Block) {
	if !p.fast || p.dropped {
		return
	}
	if len(p.rejects) >= mostRejects {
		m.drop(p, flood)
		return
	}
	p.rejects = append(p.rejects, b)
	m.touch(p)
}

// cancelled takes in a cancel of p. A block that is being loaded already is
// sent all the same. One that has been sent is no offence: a cancel and its
// block cross all the time.
func (m *Machine) cancelled(p *peer, b wire.Block) {
	i := slices.Index(p.requests, b)
	if i < 0 {
		return
	}
	p.requests = slices.Delete(p.requests, i, i+1)
	m.reject(p, b)
}

// serve has requests of p answered while there are load slots and credit.
func (m *Machine) serve(p *peer) {
	n := 0
	for ; n < len(p.requests) && p.loads > 0 && !p.dropped && m.mayPay(); n++ {
		b := p.requests[n]
		if !m.have.Has(b.Piece) { // evicted meanwhile
			m.reject(p, b)
			continue
		}
		p.loads--
		p.sent += int64(b.Length)
		p.turn += int64(b.Length)
		m.pay(int64(b.Length))
		m.gave(b.Piece)
		m.command(Load{p.id, b})
	}
	if n > 0 && !p.dropped {
		p.requests = append(p.requests[:0], p.requests[n:]...)
	}
}
