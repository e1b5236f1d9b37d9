package selection

import (
	"time"

	"bipfs/wire"
)

// A peer that owes us blocks and is silent for longer than it has been of late is
// stalled. It may go on at any moment, and if it does not it is snubbed (queue.go):
// that is too long for who waits. So what is urgent of what it owes is free
// for others too, and whoever brings it first ends the race:
//
//	owes us ──silent for stallTime──▶ stalled ──silent for patience──▶ snubbed
//	   ▲                                 │
//	   └───────── a block of it ─────────┘  what nobody else was asked for is its own again
//
// Each copy is paid for from a bucket that fills with what comes. If most of those
// that we use are silent at once it is our own link, and copies would make that
// worse.

// stallTime is how long p may be silent before it is stalled. It is more than
// answers take, with what is ahead of them, and clearly more than it has been
// silent of late, for some answer in bursts only.
func (p *peer) stallTime() time.Duration {
	if p.kind == Ranges { // an answer of many blocks, after the time that a server takes
		return p.patience()
	}
	t := max(leastStall, p.rate.roundTrip()+2*p.rate.pause)
	if p.rate.rtt == 0 {
		t = firstSilence(*p.trip, p.way)
	}
	if p.rate.rate > 0 {
		t = max(t, 3*blockTime(p.rate.rate, 1))
	}
	return min(t, p.patience())
}

// tripped takes in how long a peer took to answer first: another one of which no
// answer has been seen is stalled when it is clearly later than that.
func (m *Machine) tripped(took time.Duration) {
	if m.trip == 0 {
		m.trip = took
		for _, q := range m.peers {
			if q.rate.rtt == 0 && len(q.asked) > 0 {
				m.touch(q)
			}
		}
	}
	m.trip += (took - m.trip) / 4
}

// firstSilence is how long a peer that has not answered yet may be silent, where others
// took trip for their first answer; 0: none has answered. Who is known to be no further
// away than they are has less time.
func firstSilence(trip, way time.Duration) time.Duration {
	switch {
	case trip == 0:
		return firstStall
	case way > 0:
		return min(leastFirst+5*max(trip, way)/4, firstStall)
	}
	return min(leastFirst+3*trip, firstStall)
}

// mayStall tells whether p owes us something and is not known to be silent.
func (p *peer) mayStall() bool { return !p.stalled && !p.snubbed && len(p.asked) > 0 }

// stall has others asked for what is urgent of what p owes us.
func (m *Machine) stall(p *peer) {
	p.stalled = true
	m.touch(p)
	m.handOver(p)
}

// handOver frees what is urgent of what a stalled peer owes us, as far as copies may
// be had; what comes to be urgent later is looked at again in a while.
func (m *Machine) handOver(p *peer) {
	if m.linkSilent() {
		return
	}
	var first *piece
	n := 0
	for j := 0; j < len(p.asked) && m.copies >= wire.BlockSize; j++ {
		if r := p.asked[j]; m.pressing(r) && m.loosen(p, r.piece, int(r.block)) {
			m.copies -= wire.BlockSize
			m.free(r.piece, int(r.block))
			if n++; first == nil || before(r.piece, first) {
				first = r.piece
			}
		}
	}
	m.overtake(first, n)
	m.lookAgain(p)
}

// linkSilent tells whether more of the peers that we use are stalled than are not.
func (m *Machine) linkSilent() bool {
	stalled, others := 0, 0
	for _, q := range m.peers {
		switch {
		case q.snubbed || q.dropped:
		case q.stalled:
			stalled++
		case len(q.asked) > 0 || q.rate.rtt > 0 && !q.chokes:
			others++
		}
	}
	return stalled > 1 && stalled > others
}

// pressing tells whether others may be asked for what a request is for, and are worth
// it: somebody waits for it, or soon will.
func (m *Machine) pressing(r request) bool {
	return r.piece.blocks[r.block].state == blockAsked && (r.piece.mends || !r.piece.suspect) && r.piece.urgent(m.now)
}

// hurry has stalled peers hand over what they owe of a piece that a read waits for
// from now on.
func (m *Machine) hurry(pc *piece) {
	for i := range pc.shares {
		if s := &pc.shares[i]; s.asked > 0 && s.peer.stalled {
			m.handOver(s.peer)
		}
	}
}

// lookAgain has p looked at again in a while.
func (m *Machine) lookAgain(p *peer) {
	p.again = m.now + leastStall
	m.clock.set(p)
}

// shed takes back what p owes a waiting read and will bring so late that another
// that may be asked for it is sure to be sooner. The oldest is on its way, perhaps
// in part: it stays, and if it will take as long as a silence that makes a peer
// stalled, p is stalled now. This is looked at with each answer of p, which says how
// fast it is.
func (m *Machine) shed(p *peer) {
	rate := p.rate.shown()
	if rate == 0 || p.snubbed || p.dropped || len(p.asked) == 0 {
		return
	}
	for j := len(p.asked) - 1; j > 0; j-- {
		left := blockTime(rate, j+1)
		if left < slowQueue {
			break
		}
		if r := p.asked[j]; m.pressing(r) && m.sooner(p, r.piece, left/2) {
			m.unask(p, j, true)
		}
	}
	r := p.asked[0]
	if left := blockTime(rate, 1); left >= leastStall && m.pressing(r) && m.sooner(p, r.piece, left/2) {
		m.stall(p)
	}
}

// passes tells whether p is too slow for a piece: it would hardly be there in time, and
// another is sure to be sooner. What it would be in time for, it should be with as long
// to spare: nobody is slow evenly. It looks again in a while, as the other may not have
// been as good as its word.
func (m *Machine) passes(p *peer, pc *piece) bool {
	if pc.class == Background || pc.suspect && !pc.mends {
		return false
	}
	eta := p.eta()
	if eta < slowQueue || p.rate.shown() == 0 || pc.class != Now && pc.deadline >= m.now+2*eta || !m.sooner(p, pc, eta/2) {
		return false
	}
	m.lookAgain(p)
	return true
}

// sooner tells whether another than p could bring a block of the piece within d.
func (m *Machine) sooner(p *peer, pc *piece, d time.Duration) bool {
	for _, q := range m.peers {
		if q != p && !q.dropped && !q.stalled && !q.snubbed && q.rate.rtt > 0 && q.eta() < d && m.takes(q, pc) {
			return true
		}
	}
	return false
}

// shown is the rate as far as answers have shown it; 0 before. The first ones say
// how long the way is as much as how fast the peer is, unless they are very late.
func (r *meter) shown() int64 {
	switch {
	case r.rate > 0:
		return r.rate
	case r.delivered >= fewBlocks*wire.BlockSize || r.best < slowAnswer:
		return r.best
	}
	return 0
}

// urgent tells whether somebody waits for the piece, or will very soon.
func (pc *piece) urgent(now time.Duration) bool {
	return pc.class == Now || pc.class != Background && pc.deadline < now+soon
}

// loosen makes p one whose answer is not counted on, unless another's is. Another
// that has been given up for p before is given up for good.
func (m *Machine) loosen(p *peer, pc *piece, i int) bool {
	b := &pc.blocks[i]
	for _, a := range b.askers {
		switch {
		case a.peer == nil || a.peer == p:
		case !a.probe:
			return false
		default:
			m.unask(a.peer, a.peer.find(pc, i), true)
		}
	}
	b.slot(p).probe = true
	return true
}

// reclaim takes it that p will bring what it owes us, as it is not silent any more.
func (m *Machine) reclaim(p *peer) {
	for _, r := range p.asked {
		b := &r.piece.blocks[r.block]
		b.slot(p).probe = false
		if b.state == blockFree {
			m.taken(r.piece, b)
			b.state = blockAsked
			r.piece.asked++
			r.piece.room--
			m.place(r.piece)
		}
	}
}

// earn pays for copies by what has come.
func (m *Machine) earn(n uint32) {
	m.copies = min(m.copies+int64(n)*copyShare/100, mostCopies*wire.BlockSize)
}

// silent takes in how long a peer was silent while it owed us something. A longer
// silence counts at once; it is forgotten in some dozens of blocks. One beyond mostPause
// is no way to answer: whoever once stopped would be waited for as long the next time.
func (r *meter) silent(d time.Duration) {
	switch {
	case d > mostPause:
	case d > r.pause:
		r.pause = d
	default:
		r.pause -= (r.pause - d) / 16
	}
}
