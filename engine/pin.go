package engine

import (
	"errors"
	"fmt"

	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// What is pinned is fetched in the background (pinning.go), never evicted, and stays
// pinned over restarts.
//
//	                pin ──▶ fits? ──▶ state ──▶ disk cache: not evicted
//	                                       └──▶ loop: fetched; the torrent is active until then
//	no metadata yet: pin ──▶ state ──metadata──▶ fits? ──▶ the same, or not pinned after all

// ErrPinTooBig is that what is to be pinned has no room in the store.
var ErrPinTooBig = errors.New("the store has no room for it")

// ErrUnresolved is that files are meant of a torrent whose metadata is not here.
var ErrUnresolved = errors.New("its metadata is not here yet")

// pinned is what is pinned of a torrent that has its metadata. It is never changed,
// but replaced.
type pinned struct {
	pieces wire.Bitfield
	cost   int64 // bytes that they take in the store
}

// Pin pins the files of t that of says, or all of it, of being nil. Without its
// metadata t can only be pinned as a whole. path is what that is called, below the
// mount point. What is pinned already stays so.
func (c *Client) Pin(t *Torrent, of func(file int) bool, path string) error {
	return c.pin(t, of, true, control.Event{Event: evPinned, Path: path})
}

// Unpin undoes Pin for these files, whatever was pinned to have them pinned.
func (c *Client) Unpin(t *Torrent, of func(file int) bool, path string) error {
	return c.pin(t, of, false, control.Event{Event: evUnpinned, Path: path})
}

func (c *Client) pin(t *Torrent, of func(file int) bool, pin bool, e control.Event) error {
	var now *pinned
	return c.revise(t, "pins", func(s *torrentState) (changed bool, err error) {
		if err := t.refusal(); pin && errors.Is(err, ErrNoUpload) {
			return false, err // it would never come
		}
		info, before := t.Info(), s.Pinned
		s.Pinned, err = before.changed(info, of, pin)
		if err != nil || s.Pinned == before {
			return false, err
		}
		if info != nil {
			now = t.pinnedBy(s.Pinned, info)
			if err := c.fits(t, now); pin && err != nil {
				return false, err
			}
		}
		return true, nil
	}, func() error {
		t.setPinned(now)
		t.happens(e)
		err := t.strive()
		t.lookAgain()
		return err
	})
}

// changed are the pins when some files more are pinned, or unpinned.
func (p pins) changed(info *metainfo.Info, of func(file int) bool, pin bool) (pins, error) {
	switch {
	case of == nil && pin:
		return pinnedAll, nil
	case of == nil:
		return "", nil
	case info == nil:
		return p, ErrUnresolved
	}
	files := p.files(len(info.Files))
	for i := range files {
		if of(i) {
			files[i] = pin
		}
	}
	return pinsOf(files), nil
}

// pinnedBy is what is pinned by p; nil: nothing.
func (t *Torrent) pinnedBy(p pins, info *metainfo.Info) *pinned {
	pieces := p.pieces(info)
	if pieces == nil {
		return nil
	}
	return &pinned{pieces, t.spec(info).Cost(pieces)}
}

// fits reports whether the store has room for what is to be pinned of t, beside what
// is of others. Client.adding is held: nobody pins meanwhile.
func (c *Client) fits(t *Torrent, now *pinned) error {
	if now == nil {
		return nil
	}
	room, others := c.FreeToStore()+c.disk.Remaining(), int64(0)
	for _, o := range c.Torrents() {
		here := o.hereNow()
		room += here
		switch p := o.pinned.Load(); {
		case o == t:
		case p != nil:
			others += p.cost
		case o.kept():
			others += here
		}
	}
	if c.cfg.Evict {
		room = min(room, c.cfg.Disk)
	}
	if now.cost <= room-others {
		return nil
	}
	return fmt.Errorf("%w: what is pinned of the torrent would take %d bytes, and %d bytes can be had (--disk, --keep-free, and %d bytes of other torrents that stay)",
		ErrPinTooBig, now.cost, max(0, room-others), others)
}

// hereNow is how many bytes of t are here, as far as is known without looking.
func (t *Torrent) hereNow() int64 {
	if info := t.Info(); info != nil && t.store.Load() != nil {
		return info.Length - t.missing()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record.Here
}

// setPinned has something be pinned of t instead of what was.
func (t *Torrent) setPinned(now *pinned) {
	t.opening.Lock() // a store is opened with what is pinned before, or hears of it
	defer t.opening.Unlock()
	t.mu.Lock()
	t.pinned.Store(now)
	t.striving.Store(now != nil)
	t.mu.Unlock()
	if s := t.store.Load(); s != nil {
		s.Pin(t.pinnedPieces())
	}
}

// pinnedPieces are those that are pinned; nil: none, as far as is known.
func (t *Torrent) pinnedPieces() wire.Bitfield {
	if p := t.pinned.Load(); p != nil {
		return p.pieces
	}
	return nil
}

// pins are the files that are pinned.
func (t *Torrent) pins() pins {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.state.Pinned
}

// Pinned reports whether the files of t that of says, or all of it, are pinned.
func (t *Torrent) Pinned(of func(file int) bool) bool {
	p, info := t.pins(), t.Info()
	if p == "" || p == pinnedAll || of == nil || info == nil {
		return p == pinnedAll
	}
	some := false
	for i, is := range p.files(len(info.Files)) {
		if of(i) && !is {
			return false
		}
		some = some || of(i)
	}
	return some
}

// resolvePins is what is pinned of t once its metadata is here; state is about to be
// its state. Client.adding is held.
func (t *Torrent) resolvePins(info *metainfo.Info, state *torrentState) {
	now := t.pinnedBy(state.Pinned, info)
	if err := t.c.fits(t, now); err != nil {
		state.Pinned, now = "", nil
		t.c.log.Error("a torrent is not pinned after all", "torrent", t.id, "err", err)
		t.happens(control.Event{Event: evError, Error: err.Error()})
	}
	t.setPinned(now)
}

// rememberPins has be pinned what was. Nobody else sees t yet.
func (t *Torrent) rememberPins() error {
	p, err := parsePins(string(t.state.Pinned))
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if info := t.Info(); info != nil {
		t.setPinned(t.pinnedBy(p, info))
	}
	return nil
}

// strives reports whether t is to be awake, as something that is pinned is not here.
func (t *Torrent) strives() bool { return t.striving.Load() && !t.Paused() }

// strive wakes t if something that is pinned is not here, unless the user keeps it
// from the network.
func (t *Torrent) strive() error {
	p := t.pinned.Load()
	if p == nil || t.refusal() != nil || t.Paused() {
		return nil
	}
	store, err := t.open()
	if err != nil {
		return err
	}
	t.setStriving(p, lacks(p.pieces, store.Have()))
	if !t.striving.Load() {
		return nil
	}
	t.noteHere() // by which the next start decides whether it is to be awake
	_, err = t.activate()
	return err
}

// setStriving notes whether something of what is pinned is not here, unless other
// things are pinned by now.
func (t *Torrent) setStriving(of *pinned, is bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pinned.Load() == of {
		t.striving.Store(is)
	}
}

// lacks reports whether something of a set is not here.
func lacks(set, have wire.Bitfield) bool {
	for i := range set {
		if set[i]&^have[i] != 0 {
			return true
		}
	}
	return false
}

// striveAll wakes those of which something is pinned and not here.
func (c *Client) striveAll() {
	for _, t := range c.Torrents() {
		if c.ctx.Err() != nil {
			return
		}
		info := t.Info()
		if info == nil {
			continue // it is awake; what is pinned may be known before the metadata is stored
		}
		if t.pinned.Load() == nil || info.Length == t.hereNow() {
			t.setStriving(t.pinned.Load(), false)
			continue
		}
		if err := t.strive(); err != nil && c.ctx.Err() == nil {
			c.log.Warn("what is pinned is not fetched", "torrent", t.id, "err", err)
		}
	}
}
