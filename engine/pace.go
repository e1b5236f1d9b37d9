package engine

import (
	"errors"
	"fmt"
	"time"

	"bipfs/selection"
)

// How fast blocks may come and go.

// pacing is the loop's part of it.
type pacing struct {
	age     int64 // of the rates that the machine was told of
	limited selection.Limited
	waits   bool
	short   bool      // reads wait for it: they got less than they could spend
	again   time.Time // when more may be had
}

// pace gives the machine what it may spend.
func (l *loop) pace() {
	s, p := &l.t.c.shares, &l.pacing
	if age := s.age.Load(); age != p.age {
		p.age = age
		if now := s.limited(l.t); now != p.limited {
			p.limited = now
			l.step(now)
		}
	}
	if p.limited == (selection.Limited{}) && !p.waits {
		return
	}
	demand := l.m.Demand()
	switch {
	case demand == (selection.Credit{}) && !p.waits:
		return
	case demand != (selection.Credit{}) && p.waits && time.Now().Before(p.again) && (p.short || demand.Down == 0):
		return // or who is busiest would get the most
	}
	credit, again := s.take(l.t, demand, l.t.c.clock.now())
	p.short = credit.Down < demand.Down
	if credit != (selection.Credit{}) {
		l.step(credit)
	}
	p.waits = again > 0
	p.again = time.Now().Add(again)
}

// paceWait is how long until that.
func (l *loop) paceWait() time.Duration {
	if !l.pacing.waits {
		return dormantAfter
	}
	return time.Until(l.pacing.again)
}

// ErrRate is that a limit is too low, or less than none.
var ErrRate = errors.New("no limit that works")

// check says what is wrong with rates.
func (r Rates) check() error {
	for _, n := range []int64{r.Down, r.Background, r.Up} {
		if n != 0 && (n < LeastRate || n > unlimited) {
			return fmt.Errorf("%w: %d bytes a second; it is %d at least, or 0 for none", ErrRate, n, LeastRate)
		}
	}
	return nil
}

// Limits are the limits of all torrents together.
func (c *Client) Limits() Rates { return c.shares.rates(nil) }

// SetLimits changes them, until the client ends.
func (c *Client) SetLimits(r Rates) error {
	if err := r.check(); err != nil {
		return err
	}
	c.shares.set(nil, r, c.clock.now())
	for _, t := range c.Torrents() {
		t.lookAgain()
	}
	return nil
}

// Limits are t's own limits, of which Background is none.
func (t *Torrent) Limits() Rates { return t.c.shares.rates(t) }

// LimitTorrent changes the limits of t, and stores them.
func (c *Client) LimitTorrent(t *Torrent, r Rates) error {
	r.Background = 0
	if err := r.check(); err != nil {
		return err
	}
	return c.revise(t, "limits", func(s *torrentState) (changed bool, err error) {
		s.Down, s.Up = r.Down, r.Up
		return true, nil
	}, func() error {
		c.shares.set(t, r, c.clock.now())
		t.lookAgain()
		return nil
	})
}

// lookAgain has t's loop, if it has one, look at the rates, and at what is pinned.
func (t *Torrent) lookAgain() {
	if l := t.running(); l != nil {
		l.put(t.c.ctx, order(func(*loop) {}))
	}
}

// rememberLimits has hold what was stored. Nobody else sees t yet.
func (t *Torrent) rememberLimits() error {
	r := Rates{Down: t.state.Down, Up: t.state.Up}
	if err := r.check(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if r != (Rates{}) {
		t.c.shares.set(t, r, t.c.clock.now())
	}
	return nil
}
