package selection

import (
	"slices"
	"time"

	"bipfs/wire"
)

// request is one outstanding request of a peer, oldest first.
type request struct {
	piece  *piece
	block  int32
	alone  bool // the queue was empty: its answer tells the round trip
	double bool // another peer was asked for the block before
	at     time.Duration
	before int64 // bytes that the peer had delivered then
	paid   bill
}

// depth is how many requests may be outstanding with p: what it delivers in a
// round trip and queueTime. At first the queue grows with every block that
// comes, up to twice that, until the rate stops growing with it.
//
//	too short: the peer idles      too long: a seek waits for what is queued
func (p *peer) depth() int {
	switch {
	case p.snubbed:
		return 1
	case p.owed > 0 && p.rate.rtt == 0: // it was stalled, and has never answered
		return leastDepth
	}
	bytes := float64(p.rate.guess()) * (p.rate.roundTrip() + queueTime).Seconds()
	if p.kind == Ranges {
		bytes *= 2 // half of it is one answer
	}
	need := max(int(bytes/wire.BlockSize)+1, leastDepth)
	if !p.rate.steady {
		need = min(p.rate.depth, max(2*need, firstDepth))
	}
	return min(need, p.most)
}

// capacity is how many requests p could be sent now.
func (m *Machine) capacity(p *peer) int {
	if p.dropped || p.stalled || !m.known || p.chokes && len(p.allowed) == 0 && !m.isEager(p) || p.muted > 0 || !p.interest.does {
		return 0
	}
	if p.kind == Ranges && !p.filling {
		return 0
	}
	depth := p.depth()
	if m.onTrial(p) {
		depth = p.trial()
	}
	return max(0, min(depth-len(p.asked), p.slots))
}

// refresh brings what is counted about p up to date.
func (m *Machine) refresh(p *peer) {
	p.fills()
	n := m.afford(p, m.capacity(p))
	switch {
	case n > 0 && p.hungryAt < 0:
		p.hungryAt = len(m.hungry)
		m.hungry = append(m.hungry, p)
	case n == 0 && p.hungryAt >= 0:
		last := m.hungry[len(m.hungry)-1]
		m.hungry[p.hungryAt], last.hungryAt = last, p.hungryAt
		m.hungry = m.hungry[:len(m.hungry)-1]
		p.hungryAt = -1
	}
	m.hunger += n - p.hunger
	p.hunger = n
	if fresh := p.streak == 0 && !p.chokes && !p.dropped && !p.snubbed; fresh != p.countsFresh {
		p.countsFresh = fresh
		if fresh {
			m.fresh++
		} else {
			m.fresh--
		}
	}
	m.clock.set(p)
}

// eta is how long p will take to bring one more block.
func (p *peer) eta() time.Duration {
	t := p.rate.roundTrip() + blockTime(p.rate.guess(), len(p.asked)+1)
	if p.snubbed {
		t += mostSilence
	}
	return t
}

// patience is how long p may be silent while it owes us something.
func (p *peer) patience() time.Duration {
	t := 4 * p.rate.roundTrip()
	if p.rate.rate > 0 {
		t = max(t, 3*blockTime(p.rate.rate, 1))
	}
	return min(max(t, leastSilence), mostSilence)
}

// ask sends p a request for block i of an open piece.
func (m *Machine) ask(p *peer, pc *piece, i int) {
	b := &pc.blocks[i]
	s := &pc.shares[pc.join(p)]
	if !s.live() {
		p.exposed++
	}
	s.asked++
	if pc.begun == 0 {
		pc.begun = max(m.now, 1)
	}
	r := request{piece: pc, block: int32(i), at: m.now, alone: len(p.asked) == 0, before: p.rate.delivered}
	b.slot(nil).peer = p
	if b.state == blockFree {
		m.taken(pc, b)
		b.state = blockAsked
		pc.asked++
		pc.room--
	} else {
		r.double = true
		m.doubles++
	}
	if r.alone {
		p.quiet = m.now - p.owed
	}
	w := m.geo.Block(pc.index, i)
	r.paid = m.spend(pc, int64(w.Length))
	p.asked = append(p.asked, r)
	if c := slices.Index(p.cancels, w); c >= 0 { // it still has the request
		p.cancels = slices.Delete(p.cancels, c, c+1)
	} else {
		m.send(p, wire.Of(wire.Request, w))
	}
	if p.snubbed { // a try, which nobody waits for
		b.slot(p).probe = true
		m.free(pc, i)
	}
	m.place(pc)
	m.refresh(p)
}

// unask takes request j of p back: the block came, or will not, or is not to.
func (m *Machine) unask(p *peer, j int, cancel bool) {
	r := p.asked[j]
	p.asked = slices.Delete(p.asked, j, j+1)
	if p.stalled && len(p.asked) == 0 {
		p.stalled, p.owed = false, m.now-p.quiet
	}
	m.refund(r.paid)
	pc := r.piece
	b := &pc.blocks[r.block]
	*b.slot(p) = asker{}
	if r.double {
		m.doubles--
	}
	s := &pc.shares[pc.share(p)]
	s.asked--
	m.lessen(s)
	if b.state == blockAsked && !b.expected() {
		m.free(pc, int(r.block))
	}
	if pc.free > 0 && s.asked == 0 && pc.where == inReady {
		m.changed(pc) // others kept away for p's sake
	}
	if cancel && !p.dropped {
		p.cancels = append(p.cancels, m.geo.Block(pc.index, int(r.block)))
	}
	m.touch(p)
}

// free lets others be asked for a block that was asked for.
func (m *Machine) free(pc *piece, i int) {
	pc.blocks[i].state = blockFree
	pc.asked--
	m.freed(pc, i)
	pc.room++
	m.place(pc)
	if pc.where == inReady {
		m.changed(pc)
	}
}

// slot is the entry of p among the askers; of nil, an empty one.
func (b *block) slot(p *peer) *asker {
	for i := range b.askers {
		if b.askers[i].peer == p {
			return &b.askers[i]
		}
	}
	return nil
}

// expected tells whether anyone is expected to bring the block.
func (b *block) expected() bool {
	for _, a := range b.askers {
		if a.peer != nil && !a.probe {
			return true
		}
	}
	return false
}

// store takes in the arrival of an asked block.
func (m *Machine) store(e Stored) {
	if !m.known || !m.geo.Aligned(e.Block) {
		return
	}
	p, pc, i := m.index[e.Peer], m.pieces[e.Block.Piece], m.geo.Index(e.Block)
	if pc != nil && e.Lease > pc.lease && (pc.state == opening || pc.state == open) {
		pc.await(p, i, e.Lease)
	}
	j := -1
	if p != nil {
		j = m.arrived(p, pc, i, e.Block)
	}
	m.settleBill(p, pc, j, int64(e.Block.Length))
	took := pc != nil && pc.state == open && e.Lease == pc.lease && pc.blocks[i].state != blockStored &&
		!pc.wasSpoilt(e.Peer, i)
	if took {
		m.keep(p, pc, i)
		if p != nil && p.streak == 0 && pc.where == inReady {
			m.changed(pc) // it may be slower than was thought: see joins
		}
	}
	if j >= 0 {
		m.unask(p, j, false)
	}
	if p != nil {
		m.shed(p)
	}
	switch {
	case took:
		m.complete(pc)
	case e.Lease == 0:
		m.wasted += int64(e.Block.Length)
	case p != nil:
		m.late(p, e.Lease)
		m.lateSender(p, e.Lease, i)
	}
}

// arrived notes that p brought a block, and finds its request.
func (m *Machine) arrived(p *peer, pc *piece, i int, b wire.Block) (j int) {
	if len(p.asked) > 0 {
		p.rate.silent(m.now - p.quiet)
	}
	m.earn(b.Length)
	p.quiet, p.late = m.now, false
	p.most = min(p.most+1, p.reqq)
	p.received += int64(b.Length)
	m.tried(p)
	switch {
	case p.snubbed:
		m.unsnub(p)
	case p.stalled:
		m.reclaim(p)
	}
	p.stalled, p.owed = false, 0
	m.touch(p)
	j = slices.IndexFunc(p.asked, func(r request) bool { return r.piece == pc && int(r.block) == i })
	if j < 0 {
		p.rate.block(b.Length)
		p.exorcise(b)
		return j
	}
	known := p.rate.rtt > 0
	p.rate.answer(m.now, b.Length, p.asked[j], len(p.asked) < p.depth()/2)
	if !known && p.rate.rtt > 0 {
		m.tripped(p.rate.rtt)
	}
	return j
}

// keep notes that block i of an open piece is in the disk cache now, from p.
// Others who were asked for it are told not to send it.
func (m *Machine) keep(p *peer, pc *piece, i int) {
	b := &pc.blocks[i]
	if b.state == blockAsked {
		pc.asked--
	} else {
		m.taken(pc, b)
		pc.room--
	}
	b.state, b.sender, b.proven = blockStored, -1, false
	pc.stored++
	if p != nil {
		b.sender = int16(pc.join(p))
		s := &pc.shares[b.sender]
		if !s.live() {
			p.exposed++
		}
		s.stored++
	}
	for _, a := range b.askers {
		if q := a.peer; q != nil && q != p {
			m.unask(q, q.find(pc, i), true)
		}
	}
	m.place(pc)
}

// find is the number of p's request for block i of a piece.
func (p *peer) find(pc *piece, i int) int {
	return slices.IndexFunc(p.asked, func(r request) bool { return r.piece == pc && int(r.block) == i })
}

// snub gives what a silent peer owes us to others, but for its oldest request:
// if that is answered after all, the peer is back. Meanwhile it is left alone,
// for longer each time.
func (m *Machine) snub(p *peer) {
	p.snubbed, p.stalled, p.owed = true, false, 0
	p.mute = min(max(2*p.mute, firstMute), mostMute)
	p.muted = m.now + p.mute
	m.yield(p)
	for j := len(p.asked) - 1; j > 0; j-- {
		m.unask(p, j, true)
	}
	r := p.asked[0]
	b := &r.piece.blocks[r.block]
	for _, a := range b.askers {
		if a.peer != nil && a.peer != p { // somebody else is asked already
			m.unask(p, 0, true)
			return
		}
	}
	b.slot(p).probe = true
	if b.state == blockAsked {
		m.free(r.piece, int(r.block))
	}
}

// unsnub takes a peer back that is not silent any more. What it still owes us
// is expected of it again.
func (m *Machine) unsnub(p *peer) {
	p.snubbed, p.mute, p.muted = false, 0, 0
	m.reclaim(p)
}

// unmute gives a snubbed peer one more try: a block that others are asked for as well.
func (m *Machine) unmute(p *peer) {
	p.muted = 0
	for j := len(p.asked) - 1; j >= 0; j-- {
		m.unask(p, j, true)
	}
}
