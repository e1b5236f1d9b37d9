package selection

import (
	"time"

	"bipfs/wire"
)

// Who owed us what somebody waits for, or soon will, has stalled or is too slow: it is
// free again, and the queues of the others are full. It does not go behind what is due
// later there:
//
//	queue of a peer   │ on its way │ later, later, later …
//	                  │ on its way │ urgent │ later, later …   taken back, and asked for again
//
// So it comes a queue's time sooner. As far as can be told nothing of what is taken back
// has been sent yet, and what comes all the same is taken in.

// overtake makes way for n blocks of a piece where they come soonest then.
func (m *Machine) overtake(pc *piece, n int) {
	for n > 0 {
		p, gain := m.overtaken(pc)
		if p == nil || gain < leastGain {
			return
		}
		for j := len(p.asked) - 1; j >= p.sending(); j-- {
			if p.asked[j].isAfter(pc) {
				m.unask(p, j, true)
			}
		}
		n -= max(1, int(p.rate.guess()*int64(leastGain)/int64(time.Second)/wire.BlockSize))
	}
}

// overtaken is the peer that would bring a block of a piece soonest if what is due
// later made way there, and how much sooner that is.
func (m *Machine) overtaken(pc *piece) (best *peer, gain time.Duration) {
	var least time.Duration
	for _, p := range m.peers {
		if p.dropped || p.stalled || p.snubbed || p.kind == Ranges || p.rate.rtt == 0 || p.muted > 0 || !m.takes(p, pc) {
			continue
		}
		left := len(p.asked)
		for _, r := range p.asked[min(p.sending(), left):] {
			if r.isAfter(pc) {
				left--
			}
		}
		eta := p.rate.roundTrip() + blockTime(p.rate.guess(), left+1)
		if best == nil || eta < least {
			best, least, gain = p, eta, p.eta()-eta
		}
	}
	return best, gain
}

// sending is how many of p's requests may be on their way already: those of a round trip.
// In nanoseconds the rate of who sends in bursts, times that of who is late, does not fit.
func (p *peer) sending() int {
	trip := int64(p.rate.roundTrip() / time.Microsecond)
	return 1 + int(p.rate.guess()*trip/int64(time.Second/time.Microsecond)/wire.BlockSize)
}

// isAfter tells whether what r asks for is due clearly later than a piece.
func (r *request) isAfter(pc *piece) bool {
	return r.piece.class != Now && r.piece.deadline > pc.deadline+leastGain
}
