package diskcache

import (
	"maps"
	"slices"
	"time"

	"bipfs/wire"
)

const (
	// syncEvery and syncBytes say when what was written is synced: after so
	// long, or after so many bytes.
	syncEvery = 5 * time.Second
	syncBytes = 64 << 20
)

// unsynced is a piece that is written and not known to be durable. Its address
// tells one life of the piece from the next.
type unsynced struct{ crcs []uint32 }

func (d *Disk) ringSync() {
	select {
	case d.syncBell <- struct{}{}:
	default:
	}
}

// sync is the syncer: it makes durable what was written, and ends torrents
// that have left.
func (d *Disk) sync() {
	t := time.NewTicker(syncEvery)
	defer t.Stop()
	for {
		all := false
		select {
		case <-t.C:
			all = true
		case <-d.syncBell:
		case <-d.stop:
			return
		}
		all = all || d.unsynced.Load() >= syncBytes
		if all {
			d.unsynced.Store(0)
		}
		for _, t := range d.all() {
			t.mu.Lock()
			retired := t.retired
			t.mu.Unlock()
			if all || retired && !d.isClosed() {
				t.sync() // at the end of everything a mark of this run will do
				t.stamp()
			}
			if retired {
				t.gone()
			}
		}
	}
}

func (d *Disk) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// sync syncs the data of what was written, marks it durable, and syncs the
// journal. What cannot be synced keeps its mark: after a failed sync nobody
// can know any more, but each block's CRC tells when it is read.
func (t *Torrent) sync() {
	t.mu.Lock()
	batch := maps.Clone(t.unsynced)
	t.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	pieces := slices.Sorted(maps.Keys(batch))
	synced := t.syncFiles(pieces)
	entries := make([]entry, len(pieces))
	for i, n := range pieces {
		entries[i] = entry{n, durable, batch[n].crcs, func() bool { return t.settled(n, batch[n]) && synced }}
	}
	if err := t.journal.put(entries...); err != nil {
		t.disk.log.Warn("the journal cannot be written", "dir", t.spec.Dir, "err", err)
		return
	}
	if err := t.journal.sync(); err != nil {
		t.disk.log.Warn("the journal cannot be synced", "dir", t.spec.Dir, "err", err)
	}
}

// settled takes a piece off the list and reports whether it is in the same
// life as when the sync began.
func (t *Torrent) settled(n wire.Piece, u *unsynced) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unsynced[n] != u {
		return false
	}
	delete(t.unsynced, n)
	return true
}

// syncFiles syncs every file that a piece of the list lies in.
func (t *Torrent) syncFiles(pieces []wire.Piece) bool {
	ok := true
	done := -1
	for _, n := range pieces {
		for number := range t.filesOf(n) {
			if number <= done {
				continue
			}
			done = number
			if t.spec.Files[number].Pad || t.spec.Files[number].Length == 0 {
				continue
			}
			if err := t.syncFile(number); err != nil {
				t.disk.log.Warn("a file cannot be synced", "file", t.dataFile(number), "err", err)
				ok = false
			}
		}
	}
	return ok
}

func (t *Torrent) syncFile(number int) error {
	f, err := t.disk.files.get(t, number, false)
	if err != nil {
		return err
	}
	defer t.disk.files.put(f)
	return f.Sync()
}
