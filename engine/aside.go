package engine

import (
	"time"

	"bipfs/selection"
)

// asideEvery is how often at most other torrents are told that a read waits: within
// the while that they step aside for.
const asideEvery = 100 * time.Millisecond

// elbow has what is fetched for later of other torrents step aside: a read of this one
// waits, and somebody can bring what it waits for. Whoever is too busy to hear of it
// now will the next time.
func (l *loop) elbow() {
	c := l.t.c
	now, last := c.clock.now(), time.Duration(c.asideAt.Load())
	if last > 0 && now-last < asideEvery || !l.m.Useful() || !c.asideAt.CompareAndSwap(int64(last), int64(now)) {
		return
	}
	for _, o := range c.Torrents() {
		if o == l.t || !o.striving.Load() {
			continue
		}
		if other := o.running(); other != nil {
			select {
			case other.inbox <- selection.Aside{}:
			default:
			}
		}
	}
}
