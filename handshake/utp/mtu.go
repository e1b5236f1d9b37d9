package utp

import "time"

// mtu finds how long a datagram may be on the way to the peer (as RFC 8899
// does). It climbs a ladder; a probe is an ordinary packet of data, padded to
// the length of the next rung with an extension that says nothing, and sent so
// that nobody may fragment it. A lost probe is sent again without its padding
// and is no sign of congestion.
//
//	1232 ──> 1452 ──> 1472 ──> 8952 ──> 16404       bytes of UDP payload
//	 IPv6     ethernet   IPv4    └ near addresses only ┘
//
// The lowest rung is what every IPv6 path carries. The two highest (jumbo
// frames; the loopback device) are tried with loopback, private and link-local
// addresses only, for a path through the world has them nowhere; and only with
// peers who said that they take them (extensionLongest): libtorrent stops
// reading when a datagram is longer than its buffer of 1,500 bytes.
type mtu struct {
	near    bool
	rung    int
	ceiling int           // the rungs below it may be tried
	lost    int           // probes of the next rung that were lost
	probing bool          // one is on its way
	again   time.Duration // when a rung that failed may be tried anew
}

var rungs = [...]int{1232, 1452, 1472, 8952, headerSize + blockSize}

const (
	worldRungs  = 3                // that are tried on paths through the world
	probeTries  = 2                // losses of probes that say that a rung does not hold
	raiseTime   = 10 * time.Minute // RFC 8899 §5.1.1 PMTU_RAISE_TIMER
	blackTrials = 2                // time-outs in a row that make us doubt a rung
)

func newMTU(near bool) mtu { return mtu{near: near, ceiling: worldRungs} }

// able takes in how long a datagram the peer takes.
func (m *mtu) able(longest int) {
	for m.near && m.ceiling < len(rungs) && rungs[m.ceiling] <= longest {
		m.ceiling++
	}
}

// size is how long a datagram may be.
func (m *mtu) size() int { return rungs[m.rung] }

// payload is how many bytes of payload a packet may carry.
func (m *mtu) payload() int { return rungs[m.rung] - headerSize }

// probe is how long a probe should be that is sent now; 0: none is due.
func (m *mtu) probe(now time.Duration) int {
	if m.probing || m.rung+1 >= m.ceiling || m.lost >= probeTries && now < m.again {
		return 0
	}
	if m.lost >= probeTries {
		m.lost = 0
	}
	return rungs[m.rung+1]
}

func (m *mtu) sent() { m.probing = true }

func (m *mtu) arrived() {
	m.probing, m.lost = false, 0
	m.rung++
}

func (m *mtu) failed(now time.Duration) {
	m.probing = false
	if m.lost++; m.lost >= probeTries {
		m.again = now + raiseTime
	}
}

// timedOut goes back to the lowest rung when packets have not come through for
// so long that the path may have changed: routers that drop long packets need
// not say so.
func (m *mtu) timedOut(now time.Duration, inRow int) {
	if inRow >= blackTrials && m.rung > 0 {
		m.rung, m.lost, m.again = 0, probeTries, now+raiseTime
	}
}

// probeSize is how long the probe is that is on its way.
func (m *mtu) probeSize() int { return rungs[min(m.rung+1, len(rungs)-1)] }
