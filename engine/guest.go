package engine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"bipfs/engine/control"
	"bipfs/engine/metainfo"
)

// A guest is a torrent that nobody has added: somebody opened its infohash. It is in
// the swarm, and found by its infohash, but it has no name in the root and is not
// there after a restart.
//
//	Visit ──▶ guest ──Keep, Add, Pin──▶ added
//	            └──10 min after its last use──▶ forgotten
//
// On disk it is from the beginning what it is going to be: a torrent that has been
// removed (remove.go), and its data with it, unless there was data of it before. So a
// crash leaves nothing, and forgetting is to remove it. Who goes on with a mount that
// another process has served goes on with its guests: files of them are open.

const (
	// mostGuests is how many there are at a time. One more takes the place of the
	// one that was not used for the longest time.
	mostGuests = 64
	// guestTime is how long one stays that nobody uses.
	guestTime = 10 * time.Minute
)

// ErrGuests is that as many infohashes are open as may be, as who opens one more sees
// it.
var ErrGuests = fmt.Errorf("%w: %d torrents that nobody has added are open", syscall.ENFILE, mostGuests)

// Guest reports whether t is one.
func (t *Torrent) Guest() bool { return t.guest.Load() }

// Removed reports whether t has been removed, or forgotten.
func (t *Torrent) Removed() bool { return t.removed.Load() }

// Use keeps t from being forgotten until done, and the time after.
func (t *Torrent) Use() (done func()) {
	t.hold(1)
	return func() { t.hold(-1) }
}

// Visit is the torrent with an infohash in hexadecimal digits, which joins its swarm
// as a guest if it has not been added. The caller says when it is done with it.
func (c *Client) Visit(infohash string) (t *Torrent, done func(), err error) {
	id, ok := hexID(infohash)
	if !ok {
		return nil, nil, syscall.ENOENT
	}
	if !c.enter() {
		return nil, nil, ErrClosed
	}
	defer c.wg.Done()
	c.adding.Lock()
	defer c.adding.Unlock()
	if t = c.ByInfohash(infohash); t == nil {
		if t, err = c.receive(id); err != nil {
			return nil, nil, err
		}
	}
	done = t.Use()
	if t.Info() == nil && !t.Stopped() {
		if _, err := t.activate(); err != nil && t.unusable() == nil {
			done()
			return nil, nil, err
		}
	}
	return t, done, nil
}

// receive makes a guest. Client.adding is held.
func (c *Client) receive(id metainfo.ID) (*Torrent, error) {
	if err := c.seat(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	now := time.Now().UnixNano()
	t := newTorrent(c, id, torrentState{Slot: state.NextSlot, Added: now, Name: id.String(), Removed: now, Guest: true})
	t.guest.Store(true)
	t.take(Source{Magnet: &metainfo.Magnet{Hash: id.Hash, V2: id.V2}})
	if err := t.revive(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.folder.torrentDir(id)); err != nil {
		t.state.Discard = true
	}
	t.identify(&t.state)
	state.NextSlot++
	if err := c.takeSlots(state); err != nil {
		return nil, err
	}
	if err := t.save(t.Info(), t.state); err != nil {
		return nil, fmt.Errorf("store the torrent %v: %w", id, err)
	}
	c.disk.Restored(c.folder.torrentDir(id))
	c.mu.Lock()
	c.insert(t, t.state.Name)
	c.mu.Unlock()
	c.greet()
	return t, nil
}

// greet has host look after guests.
func (c *Client) greet() {
	select {
	case c.received <- struct{}{}:
	default:
	}
}

// resumes reports whether a stored torrent was a guest of the process that served the
// mount before, and is one again.
func (c *Client) resumes(s stored) bool { return s.state.Guest && c.cfg.Lent }

// resume makes t, which nobody else sees yet, the guest that it was.
func (t *Torrent) resume() {
	t.guest.Store(true)
	t.state.Name, t.lastClose = t.id.String(), time.Now()
	t.c.greet()
}

// Entrust says that another process goes on with the mount: guests stay for it. It is
// called before Close.
func (c *Client) Entrust() { c.entrusted.Store(true) }

// seat makes room for one more guest. Client.adding is held.
func (c *Client) seat() error {
	guests := c.guests()
	if len(guests) < mostGuests {
		return nil
	}
	var last *Torrent
	var used time.Time
	for _, t := range guests {
		if at, idle := t.idleSince(); idle && (last == nil || at.Before(used)) {
			last, used = t, at
		}
	}
	if last == nil {
		return ErrGuests
	}
	return c.forget(last)
}

// guests are all of them.
func (c *Client) guests() (all []*Torrent) {
	for _, t := range c.Torrents() {
		if t.Guest() {
			all = append(all, t)
		}
	}
	return all
}

// idleSince is when t was used last, if it is not now.
func (t *Torrent) idleSince() (at time.Time, idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastClose, t.handles == 0
}

// forget removes a guest. Client.adding is held.
func (c *Client) forget(t *Torrent) error {
	c.mu.Lock()
	discard := t.state.Discard
	c.mu.Unlock()
	trash, err := c.removeNow(t, discard)
	if err == nil && trash != "" {
		err = os.RemoveAll(trash)
	}
	return err
}

// forgetIdle forgets the guests that nobody has used for so long.
func (c *Client) forgetIdle(after time.Duration) {
	c.adding.Lock()
	defer c.adding.Unlock()
	for _, t := range c.guests() {
		if at, idle := t.idleSince(); idle && time.Since(at) >= after {
			if err := c.forget(t); err != nil && c.ctx.Err() == nil {
				c.log.Warn("a torrent that nobody has added is not forgotten yet", "torrent", t.id, "err", err)
			}
		}
	}
}

// host looks after guests while there are any.
func (c *Client) host() {
	for {
		select {
		case <-c.received:
		case <-c.ctx.Done():
			return
		}
		ticker := time.NewTicker(c.cfg.guestTime / 20)
		for len(c.guests()) > 0 && c.ctx.Err() == nil {
			select {
			case <-ticker.C:
				c.forgetIdle(c.cfg.guestTime)
			case <-c.ctx.Done():
			}
		}
		ticker.Stop()
	}
}

// Keep adds a guest: it has a name in the root, and is there after a restart.
func (c *Client) Keep(t *Torrent) error {
	if !c.enter() {
		return ErrClosed
	}
	defer c.wg.Done()
	c.adding.Lock()
	defer c.adding.Unlock()
	return c.keep(t, "")
}

// keep is Keep, in a folder; Client.adding is held.
func (c *Client) keep(t *Torrent, folder string) error {
	if t.removed.Load() {
		return ErrRemoved
	}
	if !t.Guest() {
		return nil
	}
	state, err := c.settled(t, folder)
	if err != nil {
		return err
	}
	state.Removed, state.Discard, state.Guest = 0, false, false
	if err := t.saveState(state); err != nil {
		return fmt.Errorf("store that %v is added: %w", t.id, err)
	}
	c.mu.Lock()
	t.guest.Store(false)
	t.state = state
	c.place(t)
	c.mu.Unlock()
	t.happens(control.Event{Event: evAdded})
	return nil
}

// rename gives t the name that it has with its metadata, in a state that is to be
// stored. A guest has none. Client.adding is held.
func (t *Torrent) rename(info *metainfo.Info, state *torrentState) {
	if t.Guest() {
		return
	}
	if old := state.Name; old != t.id.String() {
		state.Earlier = append(slices.Clone(state.Earlier), old)
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	state.Name = t.c.freeName(info.Name, state.Folder, t)
}

// partGuests deletes what is here of guests, when nobody writes to it any more. What
// is left when ctx ends goes at the next start.
func (c *Client) partGuests(ctx context.Context) {
	if c.entrusted.Load() {
		return
	}
	for _, t := range c.guests() {
		c.mu.Lock()
		discard := t.state.Discard
		c.mu.Unlock()
		if !discard || ctx.Err() != nil {
			continue
		}
		if err := c.folder.discard(t.id, t.slot); err != nil {
			c.log.Warn("the data of a torrent that nobody has added stays until the next start", "torrent", t.id, "err", err)
		}
	}
}
