package engine

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// places are where reads wait for the swarm. There are fewer than the kernel
// has requests, so that dead torrents never keep reads of what is here, and
// listings, from being answered. When all are taken
//
//	a read of a torrent without a useful peer    fails at once: ErrNoPeers
//	any other                                    takes the place of such a read,
//	                                             or queues for one that comes free
//
// A torrent whose reads have only just begun to wait may yet find its peers:
// it counts as useful for a moment.
type places struct {
	most int
	now  func() time.Duration

	mu    sync.Mutex
	taken list.List // of *place, the oldest first
	queue list.List // of *place
}

// place is one read that waits, or queues for a place to wait at.
type place struct {
	of    *waits
	at    *list.Element           // in taken or queue; nil once it is in neither
	given chan struct{}           // closed when the place is taken
	lost  context.CancelCauseFunc // ends the wait
}

// waits are the places of one torrent.
type waits struct {
	useful func() bool
	n      int           // places taken; guarded by places.mu
	since  time.Duration // since when there are any
}

// hopeTime is how long the reads of a torrent wait before it counts as one
// without a useful peer: peers have to be dialled, and to unchoke us.
const hopeTime = 2 * time.Second

// count is how many places a torrent has taken.
func (p *places) count(of *waits) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return of.n
}

// take takes a place. The context that it returns ends with ctx, or with the
// cause ErrNoPeers when the place is lost to somebody else; release gives the
// place back.
func (p *places) take(ctx context.Context, of *waits) (_ context.Context, release func(), err error) {
	own := &place{of: of, given: make(chan struct{})}
	ctx, own.lost = context.WithCancelCause(ctx)
	release = func() {
		own.lost(nil)
		p.release(own)
	}
	if err := p.ask(own); err != nil {
		release()
		return nil, nil, err
	}
	select {
	case <-own.given:
		return ctx, release, nil
	case <-ctx.Done():
		err := ctx.Err()
		if why := context.Cause(ctx); isOurs(why) {
			err = why
		}
		release()
		return nil, nil, err
	}
}

// ask gives a place, or puts the read into the queue for one.
func (p *places) ask(own *place) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.taken.Len() < p.most:
		p.give(own)
	case p.idle(own.of):
		return ErrNoPeers
	case p.displace():
		p.give(own)
	default:
		own.at = p.queue.PushBack(own)
	}
	return nil
}

// idle tells whether a torrent's reads wait in vain. The lock is held.
func (p *places) idle(w *waits) bool {
	return w.n > 0 && p.now()-w.since >= hopeTime && !w.useful()
}

// displace ends the oldest read that waits in vain. The lock is held.
func (p *places) displace() bool {
	for e := p.taken.Front(); e != nil; e = e.Next() {
		if other := e.Value.(*place); p.idle(other.of) {
			p.leave(other)
			other.lost(ErrNoPeers)
			return true
		}
	}
	return false
}

// give gives a place. The lock is held.
func (p *places) give(own *place) {
	own.at = p.taken.PushBack(own)
	if own.of.n++; own.of.n == 1 {
		own.of.since = p.now()
	}
	close(own.given)
}

// leave takes a place back. The lock is held.
func (p *places) leave(own *place) {
	p.taken.Remove(own.at)
	own.at = nil
	own.of.n--
}

// release ends a read's wait, wherever it is.
func (p *places) release(own *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-own.given:
	default:
		if own.at != nil {
			p.queue.Remove(own.at)
		}
		return
	}
	if own.at == nil { // lost before
		return
	}
	p.leave(own)
	if first := p.queue.Front(); first != nil {
		p.give(p.queue.Remove(first).(*place))
	}
}

// turnAway ends the waits of one torrent, those in the queue too.
func (p *places) turnAway(of *waits, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, waiting := range []*list.List{&p.taken, &p.queue} {
		for e := waiting.Front(); e != nil; e = e.Next() {
			if own := e.Value.(*place); own.of == of {
				own.lost(why) // and gives its place back
			}
		}
	}
}
