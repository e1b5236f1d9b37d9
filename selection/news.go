package selection

import (
	"encoding/binary"
	"math/bits"

	"bipfs/wire"
)

// What peers are told of pieces that come and go.
//
//	a piece comes or goes ──▶ log ──▶ each peer walks it at its own pace, and
//	                                  is told what is news to it when it gets there
//
// Until the first piece goes a piece is in the log once, and a peer knows all
// that it has walked past. From then on what each peer believes we have is kept:
// nobody is told twice of what it knows (most clients do not speak lt_donthave,
// and go on believing in a piece that went), and whoever was late is told what is
// so now, not what was meanwhile.

// remember begins to keep what each peer knows.
func (m *Machine) remember() {
	if m.gone {
		return
	}
	m.gone = true
	for _, p := range m.peers {
		if !p.greeted {
			continue
		}
		p.knows = m.have.Clone()
		for i, b := range p.has {
			p.knows[i] &^= b // it may not have been told of what it had itself
		}
		for _, i := range m.log[p.announce:] {
			p.knows.Clear(i)
		}
	}
}

// note has peers told of a piece that came or went. A log that is longer than
// the torrent loses its older half; who has not walked past that is told by
// comparing all pieces.
func (m *Machine) note(i wire.Piece) {
	m.log = append(m.log, i)
	if cut := len(m.log) / 2; len(m.log) > m.geo.Pieces()+leastLog {
		m.log = append(m.log[:0], m.log[cut:]...)
		for _, p := range m.peers {
			if p.announce -= cut; p.announce < 0 && p.greeted {
				p.behind = true
			}
			p.announce = max(p.announce, 0)
		}
	}
	for _, p := range m.peers {
		if p.greeted && p.announce == len(m.log)-1 && p.has.Has(i) && !p.behind {
			p.announce++ // it has that itself: half of a thousand peers need no look
			continue
		}
		m.tell(p)
	}
}

// report tells p what it does not know, while there are slots.
func (m *Machine) report(p *peer) {
	if p.behind {
		m.informOfAll(p)
		if p.slots == 0 {
			return
		}
		p.behind, p.announce = false, len(m.log)
	}
	for ; p.announce < len(m.log) && p.slots > 0; p.announce++ {
		m.inform(p, m.log[p.announce])
	}
}

// informOfAll is inform of every piece. A peer can have it done as often as it likes, by
// its extended handshakes: what is as it believes goes by eight pieces at a time.
func (m *Machine) informOfAll(p *peer) {
	for at, b := range m.have {
		b ^= p.knows[at]
		if p.unsure != nil {
			b |= p.unsure[at]
		}
		for ; b != 0 && p.slots > 0; b &= 0xff >> (bits.LeadingZeros8(b) + 1) {
			i := wire.Piece(8*at + bits.LeadingZeros8(b))
			if !p.unsure.Has(i) || p.has.Has(i) {
				m.inform(p, i)
			} else {
				m.correct(p, i)
			}
			if p.unsure != nil {
				p.unsure.Clear(i)
			}
		}
	}
}

// inform tells p whether we have piece i, if that is news to it and of use.
func (m *Machine) inform(p *peer, i wire.Piece) {
	has := m.have.Has(i)
	switch {
	case p.has.Has(i), p.knows != nil && p.knows.Has(i) == has:
	case has:
		m.send(p, wire.Message{Kind: wire.Have, Piece: i})
		if p.knows != nil {
			p.knows.Set(i)
		}
	case p.knows != nil && p.dontHave != 0:
		p.knows.Clear(i)
		payload := binary.BigEndian.AppendUint32(nil, uint32(i))
		m.sendWith(p, wire.Message{Kind: wire.Extended, ID: p.dontHave, Payload: uint32(len(payload))}, payload)
	}
}

// limit takes in what p says about itself.
func (m *Machine) limit(p *peer, e Limits) {
	if e.Reqq > 0 {
		p.reqq = min(e.Reqq, mostDepth)
		p.most = p.reqq
	}
	if p.dontHave == 0 && e.DontHave != 0 && p.knows != nil {
		p.behind = true // it can be told now what has gone
	}
	p.dontHave = e.DontHave
	m.touch(p)
}

// lost takes in that p has a piece no longer (BEP 54). What it was asked for of
// it is taken back.
func (m *Machine) lost(p *peer, i wire.Piece) {
	switch {
	case !m.known:
		m.lostEarly(p, i)
		return
	case !m.geo.Valid(i):
		m.drop(p, badDontHave)
		return
	case !p.has.Has(i):
		m.noisy(p)
		return
	}
	if &p.has[0] == &m.full[0] {
		p.has = p.has.Clone() // that of all seeds
	}
	p.has.Clear(i)
	for j := len(p.asked) - 1; j >= 0; j-- {
		if p.asked[j].piece.index == i {
			m.unask(p, j, true)
		}
	}
	if pc := m.pieces[i]; pc != nil && pc.sole == p {
		m.dismiss(pc)
	}
	m.withdraws()
	if m.needed.Has(i) {
		m.look(p)
	}
	m.retell(p, i)
}

// retell has p told whether we have piece i, which it had itself until now: it
// may not have been told.
func (m *Machine) retell(p *peer, i wire.Piece) {
	m.remember()
	if p.knows == nil {
		return // not greeted yet
	}
	m.touch(p)
	if p.slots == 0 {
		if p.unsure == nil {
			p.unsure = wire.NewBitfield(m.geo.Pieces())
		}
		p.unsure.Set(i)
		p.behind = true
		return
	}
	m.correct(p, i)
	m.refresh(p)
}

// correct tells p whether we have piece i, whatever it believes.
func (m *Machine) correct(p *peer, i wire.Piece) {
	if m.have.Has(i) || p.dontHave == 0 {
		p.knows.Clear(i)
	} else {
		p.knows.Set(i)
	}
	m.inform(p, i)
}

// lostEarly is lost before the geometry is known. Of a peer that has everything
// the word goes by: it will reject what it is asked for.
func (m *Machine) lostEarly(p *peer, i wire.Piece) {
	if int64(i) >= wire.MaxPieces {
		m.drop(p, badDontHave)
		return
	}
	m.noisy(p)
	if int(i/8) < len(p.earlyField) {
		wire.Bitfield(p.earlyField).Clear(i)
	}
	for j, h := range p.earlyHaves {
		if h == i {
			p.earlyHaves = append(p.earlyHaves[:j], p.earlyHaves[j+1:]...)
			return
		}
	}
}
