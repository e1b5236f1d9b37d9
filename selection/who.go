package selection

import (
	"slices"

	"bipfs/wire"
)

// Who is who could bring a piece, for people who wonder why nobody does.
type Who struct {
	Peers   int // connected
	Have    int // of these, those that have it
	Choke   int // of those that have it, those that choke us
	Snubbed int // … that owe blocks and are silent
	Asked   int // … that have been asked for blocks of it
}

// Who counts the peers by what they could do about a piece. It changes nothing.
func (m *Machine) Who(n wire.Piece) (w Who) {
	for _, p := range m.peers {
		if p.dropped {
			continue
		}
		w.Peers++
		if !m.known || !m.geo.Valid(n) || !p.has.Has(n) {
			continue
		}
		w.Have++
		if p.chokes {
			w.Choke++
		}
		if p.snubbed {
			w.Snubbed++
		}
		if slices.ContainsFunc(p.asked, func(r request) bool { return r.piece.index == n }) {
			w.Asked++
		}
	}
	return w
}
