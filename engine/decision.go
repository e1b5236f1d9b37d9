package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"bipfs/engine/control"
	"bipfs/selection"
)

// What the user has decided of a torrent. It is stored, and holds after a
// restart.
//
//	          Stop                       Pause
//	started ───────▶ stopped    resumed ───────▶ paused
//	        ◀───────                    ◀───────
//	          Start                      Resume
//
// A stopped torrent is kept from the network: no peers, no announces. A paused
// one keeps its peers while it is read, and neither asks them for blocks nor
// sends them any. What is here of either is read as always.

// ErrStopped is that a torrent is stopped, as who reads what is not here sees it.
var ErrStopped = fmt.Errorf("%w: the torrent is stopped", syscall.ENETDOWN)

// ErrRemoved is that a torrent has been removed, as who reads it sees it.
var ErrRemoved = fmt.Errorf("%w: the torrent has been removed", syscall.ENODEV)

// endTime is how long the loop of a torrent that is stopped or removed gets to
// close its connections, before it is ended without them.
const endTime = 5 * time.Second

// Stop has t leave its swarm, until Start. It returns when the connections are
// closed; trackers are told in the background.
func (c *Client) Stop(t *Torrent) error {
	return c.decide(t, func(s *torrentState) { s.Stopped = true })
}

// Start undoes Stop. The torrent wakes when it is read, and at once if its
// metadata is missing or a file of it is open.
func (c *Client) Start(t *Torrent) error {
	if err := c.decide(t, func(s *torrentState) { s.Stopped = false }); err != nil {
		return err
	}
	if t.Info() != nil && !t.sought() {
		return t.strive()
	}
	_, err := t.activate()
	return err
}

// Pause has t transfer no blocks, until Resume. Reads of what is not here wait.
func (c *Client) Pause(t *Torrent) error {
	return c.decide(t, func(s *torrentState) { s.Paused = true })
}

// Resume undoes Pause.
func (c *Client) Resume(t *Torrent) error {
	if err := c.decide(t, func(s *torrentState) { s.Paused = false }); err != nil {
		return err
	}
	return t.strive()
}

// Stopped reports whether t is stopped.
func (t *Torrent) Stopped() bool { return t.stopped.Load() }

// Paused reports whether t is paused.
func (t *Torrent) Paused() bool { return t.paused.Load() }

// decide changes the state of t, stores it, and then has it hold.
func (c *Client) decide(t *Torrent, change func(*torrentState)) error {
	var before, after torrentState
	return c.revise(t, "state", func(s *torrentState) (changed bool, err error) {
		before = *s
		change(s)
		after = *s
		return after.Stopped != before.Stopped || after.Paused != before.Paused, nil
	}, func() error {
		c.decided(t, before, after)
		return nil
	})
}

// decided has a state hold that is stored.
func (c *Client) decided(t *Torrent, before, after torrentState) {
	t.stopped.Store(after.Stopped)
	t.paused.Store(after.Paused)
	t.broken.Store(false) // whatever did not come, nobody may have been asked for it
	for _, e := range []struct {
		before, after bool
		yes, no       string
	}{{before.Stopped, after.Stopped, evStopped, evStarted}, {before.Paused, after.Paused, evPaused, evResumed}} {
		switch {
		case !e.before && e.after:
			t.happens(control.Event{Event: e.yes})
		case e.before && !e.after:
			t.happens(control.Event{Event: e.no})
		}
	}
	if after.Stopped {
		t.quiet(ErrStopped)
	} else if l := t.running(); l != nil {
		l.put(c.ctx, order((*loop).obeyUser))
	}
}

// revise changes the state of t, stores it, and then calls hold, while nobody else
// decides anything. what is what an error calls that which is stored.
func (c *Client) revise(t *Torrent, what string, change func(*torrentState) (changed bool, err error), hold func() error) error {
	if !c.enter() {
		return ErrClosed
	}
	defer c.wg.Done()
	c.adding.Lock()
	defer c.adding.Unlock()
	if t.removed.Load() {
		return ErrRemoved
	}
	c.mu.Lock()
	state := t.state
	c.mu.Unlock()
	if changed, err := change(&state); err != nil || !changed {
		return err
	}
	if err := t.saveState(state); err != nil {
		return fmt.Errorf("store the %s of %v: %w", what, t.id, err)
	}
	c.mu.Lock()
	t.state = state
	c.mu.Unlock()
	return hold()
}

// saveState writes a state of t. The name of one without metadata is not chosen
// yet.
func (t *Torrent) saveState(s torrentState) error {
	if t.Info() == nil {
		s.Name = ""
	}
	return t.c.folder.saveTorrent(t.id, s)
}

// quiet returns when t, which is kept from the network by now, has no loop any
// more. Its waiting reads end with why. Client.adding is held: nobody decides
// otherwise meanwhile.
func (t *Torrent) quiet(why error) {
	t.c.waiting.turnAway(&t.waits, why)
	t.setSeeding(false)
	l := t.running()
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.c.ctx, endTime)
	defer cancel()
	l.put(ctx, order((*loop).obeyUser)) // it looks whether it may end after each event
	select {
	case <-l.done:
		return
	case <-ctx.Done():
		l.cancel()
	}
	<-l.done
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loop == l {
		t.endLoop()
	}
}

// order is something that the client wants of a loop.
type order func(*loop)

// obeyUser has the loop do as the user has decided: a paused torrent's machine
// knows of no wants, and uploads nothing. That a torrent is stopped is seen by
// sleep.
func (l *loop) obeyUser() {
	paused := l.t.Paused()
	if paused == l.paused {
		return
	}
	l.paused = paused
	l.step(selection.Upload{On: l.uploads()})
	if paused {
		for len(l.rests) > 0 {
			l.endRest(l.rests[0].piece)
		}
		l.unpin()
	}
	if store := l.disk.get(); store != nil && !paused {
		store.Excuse()
	}
	for _, id := range slices.Sorted(maps.Keys(l.wanting)) {
		if paused {
			l.step(selection.Unwant{Reader: id})
		} else {
			l.step(l.wanting[id])
		}
	}
}

// uploads reports whether the machine may give away blocks.
func (l *loop) uploads() bool { return !l.t.c.cfg.NoUpload && !l.paused }

// isOurs reports whether err says that the user keeps the torrent from the
// network.
func isOurs(err error) bool { return errors.Is(err, ErrStopped) || errors.Is(err, ErrRemoved) }
