package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/handshake"
)

// How a torrent goes. Its folder stays, and what is here of it with it, so that
// adding it again takes up where it was; or all of that goes as well.
//
//	shown ──state says removed──▶ not shown ──loop ended, store left──▶ kept
//	                                                                 └─▶ renamed ─▶ deleted
//
// A crash in between leaves a folder that says what was to become of it: the
// next start goes on from there. Slots are not used again, so nothing that the
// kernel still knows of it ever means another file.

// discarded is how the names of folders begin that are being deleted.
const discarded = ".deleted-"

// leaveTime is how long what is verified gets to be written, before the folder
// of a removed torrent is deleted at the next start.
const leaveTime = 10 * time.Second

// Remove takes t out of the client. It is not shown any more when Remove
// returns; reads of open files are ErrRemoved. Its data stays, unless deleteData.
func (c *Client) Remove(t *Torrent, deleteData bool) error {
	if !c.enter() {
		return ErrClosed
	}
	defer c.wg.Done()
	trash, err := c.remove(t, deleteData)
	if err == nil && trash != "" {
		err = os.RemoveAll(trash)
	}
	return err
}

func (c *Client) remove(t *Torrent, deleteData bool) (trash string, err error) {
	c.adding.Lock()
	defer c.adding.Unlock()
	return c.removeNow(t, deleteData)
}

// removeNow is remove; Client.adding is held.
func (c *Client) removeNow(t *Torrent, deleteData bool) (trash string, err error) {
	if t.removed.Load() {
		return "", ErrRemoved
	}
	c.mu.Lock()
	state := t.state
	c.mu.Unlock()
	state.Removed, state.Discard, state.Guest = time.Now().UnixNano(), deleteData, false
	if err := t.saveState(state); err != nil {
		return "", fmt.Errorf("store that %v is removed: %w", t.id, err)
	}
	t.removed.Store(true)
	c.mu.Lock()
	c.hide(t)
	c.mu.Unlock()
	if !t.Guest() {
		t.happens(control.Event{Event: evRemoved})
	}
	t.quiet(ErrRemoved)
	t.settle()
	c.shares.set(t, Rates{}, c.clock.now())
	t.opening.Lock()
	store := t.store.Load()
	t.opening.Unlock()
	if !deleteData && !t.held.Load() {
		c.disk.Removed(c.folder.torrentDir(t.id), time.Unix(0, state.Removed))
	}
	if store != nil {
		store.Leave()
	}
	c.log.Info("a torrent is removed", "torrent", t.id, "data", !deleteData)
	if !deleteData {
		return "", nil
	}
	if store != nil {
		timer := time.NewTimer(leaveTime)
		defer timer.Stop()
		select {
		case <-store.Left():
		case <-c.ctx.Done():
			return "", ErrClosed // the next start goes on
		case <-timer.C:
			return "", fmt.Errorf("the data of %v is in use: it is deleted at the next start", t.id)
		}
	}
	t.saving.Lock()
	defer t.saving.Unlock()
	t.discarded = true
	trash = c.folder.trash(t.slot)
	if err := os.Rename(c.folder.torrentDir(t.id), trash); err != nil {
		return "", err
	}
	c.disk.Deleted(c.folder.torrentDir(t.id))
	return trash, nil
}

// hide undoes insert and know. The lock is held.
func (c *Client) hide(t *Torrent) {
	if i, ok := slices.BinarySearchFunc(c.order, t.slot, bySlot); ok {
		c.order = slices.Delete(c.order, i, i+1)
	}
	c.displace(t)
	for _, hash := range t.hashes(t.Info()) {
		if c.torrents[hash] == t {
			delete(c.torrents, hash)
			delete(c.hidden, handshake.Obfuscate(hash))
		}
	}
}

// ErrLeftAlone is that a torrent is stored, and could not be used at the start: to
// add it would write over it.
var ErrLeftAlone = errors.New("it is in the data folder and cannot be used, the log says why: mend its folder, or move it away")

// revive gives a torrent that nobody else sees yet what is left of an earlier
// life of it: what its trackers were told, who it was to them, and its metadata
// if that is missing, with the trackers and web seeds that it had.
func (t *Torrent) revive() error {
	f := t.c.folder
	s, err := f.torrent(t.id.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is none, or its first add was cut short
	}
	if err != nil || s.state.Removed == 0 {
		return fmt.Errorf("%s: %w", f.torrentDir(t.id), ErrLeftAlone)
	}
	if s.state.Discard {
		return f.discard(t.id, s.state.Slot)
	}
	t.inherit(s.state)
	t.record = s.record
	t.finished.Store(s.record.Completed)
	t.state.PeerID, t.state.Key = s.state.PeerID, s.state.Key
	if t.Info() != nil || t.bare != nil || s.metainfo == nil {
		return nil
	}
	meta, err := metainfo.Parse(s.metainfo)
	if err != nil || !t.id.Names(meta.Info.ID()) {
		return nil // the swarm has it too
	}
	t.known(meta.Info)
	t.state.Mtime = s.state.Mtime
	t.trackers, t.webSeeds = meta.Trackers, meta.WebSeeds
	if link := (Source{Magnet: t.magnet}); !t.private() { // of one that is, a link is nobody's word
		t.newTrackers(link)
		t.newWebSeeds(link)
	}
	return nil
}

// bury has a torrent that is stored as removed stay so, and reports whether its data
// stays, too. Its slot stays taken.
func (c *Client) bury(s stored) (stays bool) {
	if !s.state.Discard {
		if c.cfg.Lent {
			c.buried[s.state.Slot] = s.id.String()
		}
		return true
	}
	err := os.Rename(c.folder.torrentDir(s.id), c.folder.trash(s.state.Slot))
	if err != nil {
		c.log.Warn("the data of a removed torrent cannot be deleted", "torrent", s.id.String(), "err", err)
	}
	return err != nil
}

// sweep deletes what was being deleted when a client ended.
func (c *Client) sweep() {
	dir := filepath.Join(c.folder.dir, "torrents")
	entries, _ := os.ReadDir(dir) // it was read a moment ago
	for _, e := range entries {
		if c.ctx.Err() != nil || !isDiscarded(e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			c.log.Warn("the data of a removed torrent cannot be deleted", "err", err)
		}
	}
}

// trash is where the folder of a removed torrent is deleted.
func (f *folder) trash(slot uint32) string {
	return filepath.Join(f.dir, "torrents", fmt.Sprint(discarded, slot))
}

// discard deletes the folder of a torrent that had a slot. It is renamed first: while it is
// deleted its state may be gone before its data, and a kill is to leave nothing.
func (f *folder) discard(id metainfo.ID, slot uint32) error {
	trash := f.trash(slot)
	if err := os.Rename(f.torrentDir(id), trash); err != nil {
		return err
	}
	return os.RemoveAll(trash)
}

// isDiscarded reports whether a folder below torrents/ is being deleted.
func isDiscarded(name string) bool { return strings.HasPrefix(name, discarded) }
