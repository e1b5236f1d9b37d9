package engine

import (
	"cmp"
	"slices"
	"syscall"

	"bipfs/engine/metainfo"
	"bipfs/handshake"
	"bipfs/wire"
)

// What a mount shows: the set of torrents, by slot and by path (directory.go).
// Nothing here waits for anything but a lock under which nobody waits.

// Torrents are all torrents by slot, guests too.
func (c *Client) Torrents() []*Torrent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

func bySlot(t *Torrent, slot uint32) int { return cmp.Compare(t.slot, slot) }

// BySlot is the torrent with a slot, or nil.
func (c *Client) BySlot(slot uint32) *Torrent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := slices.BinarySearchFunc(c.order, slot, bySlot); ok {
		return c.order[i]
	}
	return nil
}

// ByName finds a torrent by its path below the root (listed is true), or by one with
// an earlier name or, in the root, by its infohash.
func (c *Client) ByName(path string) (t *Torrent, listed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.names[path]; t != nil {
		return t, true
	}
	if id, ok := idOf(path); ok {
		return c.torrents[id.Hash], false
	}
	return c.earlier[path], false
}

// insert makes t known and, unless it is a guest, shows it under name, or, if that is empty or
// another's by now, under one that is free. The lock is held.
func (c *Client) insert(t *Torrent, name string) {
	c.know(t, t.Info())
	i, _ := slices.BinarySearchFunc(c.order, t.slot, bySlot)
	c.order = slices.Insert(c.order, i, t)
	if t.Guest() {
		return
	}
	if name == "" || c.taken(t.state.Folder, name, t) {
		name = c.freeName(t.wantedName(t.Info()), t.state.Folder, t)
	}
	t.state.Name = name
	c.place(t)
}

// know has t found by every infohash of it that is known, with metadata info,
// which may be nil: both of a hybrid are one torrent. The lock is held.
func (c *Client) know(t *Torrent, info *metainfo.Info) {
	for _, hash := range t.hashes(info) {
		if c.torrents[hash] == nil {
			c.torrents[hash] = t
			c.hidden[handshake.Obfuscate(hash)] = hash
		}
	}
}

// hashes are the infohashes of t that are known with metadata info, which may be
// nil.
func (t *Torrent) hashes(info *metainfo.Info) (all []wire.Digest) {
	ids := []metainfo.ID{t.id}
	if info != nil {
		ids = append(ids, info.ID())
	}
	for _, id := range ids {
		all = append(all, id.Hash)
		if id.HasV2() {
			all = append(all, id.V2.Short())
		}
	}
	return all
}

// freeName is the name that t would be shown under in a folder. The lock is held.
func (c *Client) freeName(want, folder string, t *Torrent) string {
	return chooseName(want, t.id.String(), func(n string) bool { return c.taken(folder, n, t) })
}

// taken reports whether a name in a folder is that of something else than t. The lock is
// held.
func (c *Client) taken(folder, name string, t *Torrent) bool {
	at := pathIn(folder, name)
	return c.directories[at] != nil || c.names[at] != nil && c.names[at] != t
}

// FreeToStore is how many bytes storing may still use.
func (c *Client) FreeToStore() int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(c.cfg.Dir, &s); err != nil {
		return 0
	}
	free := int64(s.Bavail)*int64(s.Bsize) - c.cfg.KeepFree
	if c.cfg.Evict {
		free = min(free, c.cfg.Disk-c.disk.Stats().Stored)
	}
	return max(0, free)
}
