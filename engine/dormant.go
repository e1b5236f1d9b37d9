package engine

import (
	"context"
	"time"
)

// How a torrent goes dormant: its peers are sent away, its trackers are told,
// and its loop ends.

// sleep ends the loop when nobody has needed it for a while. It is two steps:
// the connections are closed, and when all are gone the loop ends.
func (l *loop) sleep() bool {
	if l.meta != nil || l.resolved {
		return false
	}
	if !l.ending {
		l.t.mu.Lock()
		idle := l.t.handles == 0 && time.Since(l.lastUse) >= dormantAfter && time.Since(l.t.lastClose) >= dormantAfter
		if l.t.handles > 0 {
			l.lastUse = time.Now()
		}
		l.t.mu.Unlock()
		if !idle {
			return false
		}
		l.ending = true
		l.t.c.hand.Forget(l.t.hash)
		for _, k := range l.links {
			k.conn.Close(errDormant)
		}
	}
	if len(l.links) > 0 {
		return false
	}
	if !l.t.asleep() {
		l.ending, l.lastUse = false, time.Now()
		l.t.c.hand.Want(l.t.hash, torrentConnections)
		return false
	}
	l.stopTrackersLater()
	return true
}

// stopTrackersLater says `stopped` in the background: the loop has ended.
func (l *loop) stopTrackersLater() {
	for _, trackers := range l.trackers {
		l.t.c.wg.Go(func() {
			ctx, cancel := context.WithTimeout(l.t.c.ctx, 10*time.Second)
			defer cancel()
			trackers.Stop(ctx)
		})
	}
}

// shut closes every connection; the handshaker joins them.
func (l *loop) shut() {
	for _, k := range l.links {
		k.conn.Close(ErrClosed)
	}
}
