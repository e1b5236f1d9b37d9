package utp

import "time"

// transmission is one packet that was sent and is not acknowledged.
type transmission struct {
	size    int // bytes of payload, which lie in machine.out
	at      time.Duration
	number  uint32 // of its last transmission
	times   uint8  // it was sent
	kind    kind   // data, fin or syn
	arrived bool   // by a selective acknowledgement
	lost    bool   // and not sent again
	probe   bool   // its last transmission was padded to the next rung of the MTU
}

// flight is the packets first … end-1, in a ring that grows as needed, up to
// mostFlight.
type flight struct {
	ring       []transmission // its length is 0 or a power of two
	first, end uint16
}

const firstRing = 16

func (f *flight) len() int { return int(f.end - f.first) }

func (f *flight) at(seq uint16) *transmission { return &f.ring[int(seq)&(len(f.ring)-1)] }

func (f *flight) push(t transmission) *transmission {
	if f.len() == mostFlight+1 {
		panic("utp: more packets in flight than there may be")
	}
	if f.len() == len(f.ring) {
		bigger := make([]transmission, max(2*len(f.ring), firstRing))
		for seq := f.first; seq != f.end; seq++ {
			bigger[int(seq)&(len(bigger)-1)] = *f.at(seq)
		}
		f.ring = bigger
	}
	f.end++
	*f.at(f.end - 1) = t
	return f.at(f.end - 1)
}

func (f *flight) pop() { f.first++ }

// drop forgets all packets and gives the ring back.
func (f *flight) drop() { f.ring, f.first = nil, f.end }
