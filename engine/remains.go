package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/metainfo"
)

// What is left of removed torrents (remove.go) is the disk cache's to count and to
// evict. The client tells it of the folders that it finds at its start, and of what
// becomes of them later; nothing of them is kept in memory here.

// remainsOf is what the folder of a torrent that is not shown has left.
func (f *folder) remainsOf(name string, removed int64) (r diskcache.Remains) {
	r.Dir = filepath.Join(f.dir, "torrents", name)
	if removed != 0 {
		r.Removed = time.Unix(0, removed)
	}
	return r
}

// remains is the Spec of a torrent that was removed, by its folder.
func (c *Client) remains(dir string) (spec diskcache.Spec, err error) {
	s, err := c.folder.torrent(filepath.Base(dir))
	if err != nil {
		return spec, err
	}
	meta, err := metainfo.Parse(s.metainfo)
	if err != nil {
		return spec, err
	}
	if !s.id.Names(meta.Info.ID()) {
		return spec, errors.New("its metadata has another infohash")
	}
	t := newTorrent(c, s.id, s.state)
	t.record = s.record
	spec = t.spec(meta.Info)
	spec.Kept = nil // whoever removes a private torrent gives it up
	return spec, nil
}

// mostSlots is how many slots of earlier lives of a torrent are remembered.
const mostSlots = 16

// HoldRemoved has nothing go of the torrent that had a slot when it was removed, be it
// added again by now or later: the kernel reads a file of it by itself, since an earlier
// process. It is called before Settle.
func (c *Client) HoldRemoved(slot uint32) error {
	name, removed := c.buried[slot]
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.order {
		if slices.Contains(t.state.Slots, slot) {
			name = t.id.String()
			t.held.Store(true)
		}
	}
	if name == "" {
		return fmt.Errorf("no torrent that was removed had the slot %d", slot)
	}
	c.held[name] = true
	if removed {
		c.disk.Restored(filepath.Join(c.folder.dir, "torrents", name))
	}
	return nil
}

// inherit gives t, which nobody else sees yet, what an earlier life of it leaves to the
// kernel.
func (t *Torrent) inherit(s torrentState) {
	t.state.Slots = append(s.Slots, s.Slot)
	t.state.Slots = t.state.Slots[max(0, len(t.state.Slots)-mostSlots):]
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.held.Store(t.c.held[t.id.String()])
}
