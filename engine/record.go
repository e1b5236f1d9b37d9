package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bipfs/engine/discovery"
	"bipfs/engine/metainfo"
)

// A record is what of a torrent's dealings outlives the process: what its
// trackers were told, if it is private or may be, and what it has given. It is
// the file `record` of its folder (docs/STATE.md).
type record struct {
	Version    int              `json:"version"`
	Completed  bool             `json:"completed,omitempty"` // every piece was here at some time
	Owed       bool             `json:"owed,omitempty"`      // its trackers are still to be told so
	Downloaded int64            `json:"downloaded"`          // payload bytes, ever
	Uploaded   int64            `json:"uploaded"`            // payload bytes, ever
	Offered    int64            `json:"offered"`             // seconds that it was awake and had something to give
	Here       int64            `json:"here"`                // bytes that were here when it was last awake
	Used       int64            `json:"used,omitempty"`      // when a file of it was last open, Unix seconds
	Seeders    int              `json:"seeders,omitempty"`   // in its swarm, by the latest word of a tracker
	Trackers   []trackerRecord  `json:"trackers,omitempty"`
	Peers      []netip.AddrPort `json:"peers,omitempty"` // of the latest answer
}

// trackerRecord is what is kept of one tracker: see discovery.Kept.
type trackerRecord struct {
	URL    string `json:"url"`
	At     int64  `json:"at"` // Unix nanoseconds
	Unsure bool   `json:"unsure,omitempty"`
	Least  int64  `json:"least"` // seconds
}

const (
	// recordVersion is the format that this program writes.
	recordVersion = 1
	// longestRecord is the most bytes of a record that are read: as many trackers
	// as a torrent may have, with the longest URLs, all of it in escapes.
	longestRecord = 4 << 20
)

// loadRecord reads the record of a torrent; zero if it has none. One that cannot
// be read is an error, not nothing: a tracker would be told too much.
func (f *folder) loadRecord(id metainfo.ID) (r record, err error) {
	file, err := os.Open(filepath.Join(f.torrentDir(id), "record"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer file.Close()
	b, err := ReadBounded(file, longestRecord)
	if err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	return parseRecord(b)
}

func parseRecord(b []byte) (r record, err error) {
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("record: %w", err)
	}
	switch {
	case r.Version > recordVersion:
		return record{}, fmt.Errorf("record: it was written by a newer bipfs (format %d, this one knows %d)", r.Version, recordVersion)
	case r.Version < 1 || min(r.Downloaded, r.Uploaded, r.Offered, r.Here) < 0:
		return record{}, errors.New("record: it is not one")
	case len(r.Trackers) > discovery.MaxTrackers || len(r.Peers) > discovery.MaxKept:
		return record{}, errors.New("record: it is too long")
	}
	return r, nil
}

// saveRecord writes t's record, and returns when a power cut cannot undo it.
func (t *Torrent) saveRecord() error {
	t.saving.Lock()
	defer t.saving.Unlock()
	if t.discarded {
		return nil
	}
	t.mu.Lock()
	r := t.recordNow()
	t.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f := t.c.folder
	if err := f.writeTorrent(t.id, "record", append(b, '\n')); err != nil {
		return err
	}
	return syncDir(f.torrentDir(t.id))
}

// recordNow is t's record as it is to be stored. The lock is held.
func (t *Torrent) recordNow() record {
	r := t.record
	r.Version, r.Completed = recordVersion, t.finished.Load()
	down, up := t.moved()
	r.Downloaded, r.Uploaded = r.Downloaded+down, r.Uploaded+up
	r.Trackers, r.Peers = slices.Clone(r.Trackers), slices.Clone(r.Peers)
	if !t.mayBePrivate() {
		r.Trackers, r.Peers = nil, nil
	}
	return r
}

// recount records what is here of torrents whose process was killed before it did.
func (c *Client) recount() {
	for _, t := range c.Torrents() {
		if !t.unrecorded || c.ctx.Err() != nil {
			continue
		}
		if _, err := t.open(); err != nil {
			continue // that has been said
		}
		t.noteHere()
	}
}

// syncDir has a rename in a directory outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// ledger is a torrent's record, as its trackers see it.
type ledger struct{ t *Torrent }

// Kept implements discovery.Ledger.
func (l ledger) Kept(tracker string) (k discovery.Kept) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	for _, r := range l.t.record.Trackers {
		if r.URL == tracker {
			k.At, k.Unsure = time.Unix(0, r.At), r.Unsure
			k.Least = time.Duration(min(max(r.Least, 0), int64(discovery.MaxInterval/time.Second))) * time.Second
		}
	}
	return k
}

// Keep implements discovery.Ledger: on disk once the torrent is known to be
// private. Of more trackers than may be asked, those
// that were told longest ago are left out.
func (l ledger) Keep(tracker string, k discovery.Kept) error {
	t := l.t
	t.mu.Lock()
	kept := slices.DeleteFunc(slices.Clone(t.record.Trackers), func(r trackerRecord) bool { return r.URL == tracker })
	kept = append(kept, trackerRecord{tracker, k.At.UnixNano(), k.Unsure, int64(k.Least / time.Second)})
	t.record.Trackers = kept[max(0, len(kept)-discovery.MaxTrackers):]
	if len(k.Peers) > 0 {
		t.record.Peers = k.Peers
	}
	t.mu.Unlock()
	if !t.private() {
		return nil // it may turn out to be; until then nobody is kept waiting for the disk
	}
	return t.saveRecord()
}

// Owe implements discovery.Ledger.
func (l ledger) Owe(completed bool) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	l.t.record.Owed = completed
}

// keptPeers are the peers of the latest answer of a tracker in an earlier life.
func (t *Torrent) keptPeers() []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.record.Peers)
}
