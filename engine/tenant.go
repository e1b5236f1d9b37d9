package engine

import (
	"os"
	"path/filepath"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/media"
	"bipfs/engine/metainfo"
)

// What the disk cache has to know of torrents to evict what was read longest ago:
// of those that are open by their Spec, of the others by a Tenant, so that what
// nobody has read since the start goes first.

// keptEnds is how much of the head and of the tail of a film or an archive is evicted
// after all else, bytes: whoever lists or opens it asks for that first.
const keptEnds = 1 << 20

// spec is t as the disk cache knows it, with metadata that it has or is about to
// have.
func (t *Torrent) spec(info *metainfo.Info) diskcache.Spec {
	files := make([]diskcache.File, len(info.Files))
	for i, f := range info.Files {
		files[i] = diskcache.File{Length: f.Length, Pad: f.Pad}
		if n := len(f.Path); n > 0 && media.Known(f.Path[n-1]) {
			files[i].Ends = keptEnds
		}
	}
	spec := diskcache.Spec{
		Dir: t.c.folder.torrentDir(t.id), Geometry: info.Geometry, Files: files,
		Used: t.used(), Kept: t.kept, Pinned: t.pinnedPieces(),
	}
	if info.HasV2() {
		spec.Node = info.Node
	}
	if info.HasV1() {
		spec.Hash = info.PieceHash
	} else {
		for i := range files {
			files[i].Root = info.Root(i)
		}
	}
	return spec
}

// used is when a file of t was open last, in an earlier run; else when t was added.
func (t *Torrent) used() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.record.Used == 0 {
		return t.added
	}
	return time.Unix(t.record.Used, 0)
}

// kept reports whether nothing of t is evicted: it is private, and has not given
// enough: its tracker counts what is fetched again. Or it is held (remains.go).
func (t *Torrent) kept() bool {
	if t.held.Load() {
		return true
	}
	if !t.private() {
		return false
	}
	t.mu.Lock()
	r := t.recordNow()
	t.mu.Unlock()
	return t.hasToGive(r)
}

// hasToGive reports whether t is private and has not given what private torrents have to.
func (t *Torrent) hasToGive(r record) bool {
	return t.private() && !seedGoals{t.c.cfg.PrivateSeedRatio, t.c.cfg.PrivateSeedTime}.met(r)
}

// hasJournal reports whether something of t was stored, ever.
func (t *Torrent) hasJournal() bool {
	_, err := os.Stat(filepath.Join(t.c.folder.torrentDir(t.id), "journal"))
	return err == nil
}

// tenants are the torrents that have something in the store and are not open.
func (c *Client) tenants() (all []diskcache.Tenant) {
	for _, t := range c.Torrents() {
		info := t.Info()
		if info == nil || t.store.Load() != nil || !t.hasJournal() {
			continue
		}
		all = append(all, diskcache.Tenant{
			Used: t.used(), Kept: t.kept,
			Spec: func() diskcache.Spec { return t.spec(info) },
			Open: t.open,
		})
	}
	return all
}
