package handshake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// pause is how long nothing is dialled after this machine, not the peer, could
// not open a socket.
const pause = time.Second

// lasting is how long a connection must have stood for the failures before it
// to be forgiven.
const lasting = time.Minute

// schedule is the scheduler: it starts dials as long as torrents want peers,
// candidates are due and limits allow, then sleeps until one of these changes.
func (h *Handshaker) schedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case <-h.bell:
		case <-timer.C:
		}
		if due := h.dialDue(time.Now()); !due.IsZero() {
			timer.Reset(time.Until(due))
		} else {
			timer.Stop()
		}
	}
}

// dialDue starts every dial that may be started now and says when the next
// candidate will be due; zero: not until the bell rings. The torrents take
// turns, and those whose turn did not come are first the next time.
func (h *Handshaker) dialDue(now time.Time) (due time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.hungry) > 0 && now.Before(h.resume) {
		return h.resume
	}
	queue, idle := h.hungry, []*torrent(nil)
	for len(queue) > 0 && h.hasRoom() {
		t := queue[0]
		queue = queue[1:]
		c, next := h.pick(t, now)
		if c != nil {
			h.start(t, c)
			queue = append(queue, t)
			continue
		}
		if !next.IsZero() && (due.IsZero() || next.Before(due)) {
			due = next
		}
		idle = append(idle, t)
	}
	h.hungry = append(queue, idle...)
	h.hungry = slices.DeleteFunc(h.hungry, func(t *torrent) bool {
		t.listed = t.isHungry()
		return !t.listed
	})
	return due
}

// hasRoom reports whether the limits of all torrents allow one more dial. The
// lock is held.
func (h *Handshaker) hasRoom() bool {
	return !h.closed && h.halfOpen < h.limits.HalfOpen && h.standing+h.halfOpen < h.limits.AllPeers
}

// pick takes the candidate of t to dial now, if t may dial one, or says when
// one will be due. The lock is held.
func (h *Handshaker) pick(t *torrent, now time.Time) (*candidate, time.Time) {
	for t.halfOpen < h.limits.PerTorrent && t.standing+t.halfOpen < min(t.want, h.limits.Peers) {
		c, due := t.next(now)
		if c == nil || !h.isBanned(t, c.addr.Addr()) && !h.selves.has(c.addr) {
			return c, due
		}
		t.drop(c)
	}
	return nil, time.Time{}
}

// isHungry reports whether t wants a connection and has a candidate for it.
func (t *torrent) isHungry() bool { return t.want > t.standing+t.halfOpen && len(t.waiting) > 0 }

// feed has the scheduler look again, after a change of t or of how much room
// there is. The lock is held.
func (h *Handshaker) feed(t *torrent) {
	if !t.listed && t.isHungry() {
		t.listed = true
		h.hungry = append(h.hungry, t)
	}
	if len(h.hungry) > 0 {
		select {
		case h.bell <- struct{}{}:
		default:
		}
	}
}

// dial is a goroutine's life: connect, greet, be the peer, and note how it
// ended.
func (h *Handshaker) dial(life context.Context, t *torrent, c *candidate, conn *Conn) {
	speaks := c.speaks // which only the one goroutine that dials it touches
	err := h.guard(conn, func() (err error) {
		speaks, err = h.reach(life, t, conn, speaks)
		if err != nil && life.Err() != nil {
			err = context.Cause(life)
		}
		return err
	})
	c.speaks = speaks
	h.mu.Lock()
	h.halfOpen--
	t.halfOpen--
	var l *link
	if err == nil {
		l, err = h.admit(t, conn)
	}
	h.feed(t) // a dial ended: others may start
	h.mu.Unlock()
	lasted := time.Duration(0)
	if err == nil {
		err = h.become(l, conn)
		lasted = time.Since(l.since)
	}
	if conn.Conn != nil {
		conn.Close() // whatever Become did
	}
	if conn.Conn == nil && life.Err() == nil && !local(err) && h.config.Unreached != nil {
		h.config.Unreached(t.infohash, c.addr)
	}
	h.log.Debug("peer ended", "peer", c.addr, "source", conn.Source.String(), "over", conn.over(), "mse", conn.MSE.String(), "lasted", lasted, "reason", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(t, l)
	h.retire(t, c, lasted, err)
	h.feed(t)
}

// connect opens the socket of c.
func (h *Handshaker) connect(ctx context.Context, c *Conn) error {
	dial := h.config.Dial
	switch {
	case c.punch:
		dial = h.config.Punch
	case c.redial:
		dial = h.config.Redial
	}
	began := time.Now()
	socket, err := dial(ctx, c.Addr)
	if err != nil {
		return err
	}
	c.Conn, c.Reader, c.Trip = socket, newReader(socket), time.Since(began)
	return nil
}

// within runs greet on a socket, which is closed when ctx ends: at its deadline
// at the latest, however slowly the other side goes on. The deadline is
// absolute; no byte that comes moves it.
func within(ctx context.Context, socket net.Conn, greet func() error) error {
	closed := make(chan struct{})
	detach := context.AfterFunc(ctx, func() {
		defer close(closed)
		socket.Close()
	})
	err := greet()
	if !detach() {
		<-closed
		err = context.Cause(ctx)
	}
	return err
}

// become is the peer's life.
func (h *Handshaker) become(l *link, c *Conn) error {
	defer l.end(nil)
	return h.guard(c, func() error { return h.config.Become(l.life, c) })
}

// guard turns a panic in a part of a peer's life into its error: a bug that
// one peer finds must not take all others with it.
func (h *Handshaker) guard(c *Conn, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, r, debug.Stack())
			h.log.Error("peer ended by a bug", "peer", c.Addr, "error", err)
		}
	}()
	return f()
}

// retire decides what becomes of a candidate whose dial or connection ended
// with err. The lock is held.
func (h *Handshaker) retire(t *torrent, c *candidate, lasted time.Duration, err error) {
	now := time.Now()
	again := c.punch // the word to do so came during the dial
	c.punch = false
	if errors.Is(err, ErrBanned) {
		t.ban(c.addr.Addr())
	}
	switch {
	case errors.Is(err, ErrBanned) || errors.Is(err, ErrSelf) || c.withdrawn:
		t.drop(c)
		return
	case local(err): // says nothing of the peer
		h.resume = now.Add(pause)
		t.wait(c, h.resume)
		return
	case errors.Is(err, ErrIdle):
		t.wait(c, now)
		return
	case errors.Is(err, ErrFull):
		t.wait(c, now.Add(pause))
		return
	case again && lasted == 0:
		c.punch = true
		t.wait(c, now)
		return
	case lasted >= lasting:
		c.failures = 0
	}
	c.failures++
	t.wait(c, now.Add(h.backOff(c)))
}

// backOff is the pause after c failed: it doubles with each failure, and is
// spread so that peers that failed together are not dialled together.
func (h *Handshaker) backOff(c *candidate) time.Duration {
	longest := h.limits.Longest
	if c.source == User || c.source == Magnet {
		longest = min(longest, h.limits.UserMost)
	}
	d := h.limits.First
	for i := 1; i < c.failures && d < longest; i++ {
		d *= 2
	}
	d = min(d, longest)
	return d - d/4 + time.Duration(h.rand.Int64N(int64(d)/4+1))
}

// local reports whether err says that this machine has no socket to give.
func local(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
