package engine

import (
	"sync"
	"time"
)

// progress is how fast the readers get on, all together, waits included. What
// one of them is going to need, and when, follows from it: if the swarm brings
// less than they would read, deadlines that say how fast they would like to read
// are all missed, and whoever waits for the next byte stands in line behind what
// others will read much later.
type progress struct {
	mu    sync.Mutex
	since time.Duration
	bytes int64   // since then
	rate  float64 // bytes a second, before; 0: not known
}

// progressTime is how long a sample of it is at least; longestSample is the
// longest that says anything.
const (
	progressTime  = time.Second
	longestSample = 10 * time.Second
)

// add notes that a reader has got on by n bytes.
func (p *progress) add(n int64, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += n
	switch d := now - p.since; {
	case d > longestSample: // nobody has read for a while
		p.rate, p.bytes, p.since = 0, n, now
	case d >= progressTime:
		sample := float64(p.bytes) / d.Seconds()
		if p.rate > 0 {
			sample = (sample + p.rate) / 2
		}
		p.rate, p.bytes, p.since = sample, 0, now
	}
}

// each is that of one of so many readers, in bytes a second; as long as nothing is
// known, they are taken to get on at the fastest rate together.
func (p *progress) each(readers int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := p.rate
	if rate == 0 {
		rate = fastest
	}
	return int64(rate / float64(max(1, readers)))
}
