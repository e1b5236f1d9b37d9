package top

import "time"

// A rate is the growth of a counter over the last looks: what a peer is said to
// deliver (Peer.Rate) is what it could, and nobody may be asking it.
const (
	mostSeen = 4               // looks that are remembered
	longest  = 5 * time.Second // ago that they count; the latest two always do
)

// meter measures a counter.
type meter struct {
	seen [mostSeen]struct {
		at    time.Time
		count int64
	}
	n int
}

// see is the counter now. One that has gone back began anew.
func (m *meter) see(at time.Time, count int64) {
	if m.n > 0 {
		last := m.seen[m.n-1]
		switch {
		case count < last.count:
			m.n = 0
		case !at.After(last.at):
			return
		}
	}
	if m.n == mostSeen {
		copy(m.seen[:], m.seen[1:])
		m.n--
	}
	m.seen[m.n].at, m.seen[m.n].count = at, count
	m.n++
}

// rate is bytes a second; 0 until there are two looks.
func (m *meter) rate() int64 {
	if m.n < 2 {
		return 0
	}
	last, first := m.seen[m.n-1], m.seen[m.n-2]
	for i := m.n - 3; i >= 0 && last.at.Sub(m.seen[i].at) <= longest; i-- {
		first = m.seen[i]
	}
	return int64(float64(last.count-first.count) / last.at.Sub(first.at).Seconds())
}
