package engine

import "time"

// How a torrent goes dormant: its peers are sent away, its trackers are told,
// and its loop ends.

// needed is when the torrent was last needed: now, while a file is open, it seeds
// or the metadata is missing; never again, once that is known to be unusable. One
// that has given enough is not needed by those who take.
func (l *loop) needed() time.Time {
	switch {
	case l.t.unusable() != nil || l.t.refusal() != nil:
		return time.Time{}
	case l.meta != nil || l.resolved:
		return time.Now()
	}
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	switch {
	case l.t.strives(), l.t.handles > 0 || !l.t.seedingSince.IsZero():
		return time.Now()
	case l.spent || l.t.lastClose.After(l.lastUse):
		return l.t.lastClose
	}
	return l.lastUse
}

// sleepy is how long until the torrent may go dormant.
func (l *loop) sleepy() time.Duration {
	return time.Until(l.needed().Add(l.t.c.cfg.dormantAfter))
}

// sleep ends the loop when nobody has needed it for a while. It is two steps:
// the connections are closed, and when all are gone the loop ends. Somebody may
// need it again in between: then the peers, who are not forgotten before the
// end, are dialled again.
func (l *loop) sleep() bool {
	if !l.ending {
		if l.sleepy() > 0 {
			return false
		}
		l.ending, l.searching, l.fetches = true, false, false
		l.t.c.hand.Want(l.t.hash, 0)
		l.stopWebSeeds()
		for _, k := range l.links {
			k.conn.Close(errDormant)
		}
	}
	if len(l.links) > 0 {
		return false
	}
	if l.t.asleep() {
		return true
	}
	l.ending, l.lastUse = false, time.Now()
	l.search()
	return false
}

// shut closes every connection; the handshaker joins them.
func (l *loop) shut() {
	for _, k := range l.links {
		k.conn.Close(ErrClosed)
	}
}
