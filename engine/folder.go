package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"bipfs/engine/metainfo"
)

// The data folder (docs/STATE.md):
//
//	VERSION                  the format of everything below
//	lock                     held while a process uses the folder; pid and mount point
//	client                   port, next free slot
//	torrents/<infohash>/     40 hexadecimal digits, or 64 of one that is v2 only
//	    state                slot, names, times
//	    torrent | magnet     the metadata, or the link while it is unresolved
//	    record               what its trackers were told, and what it has given
//	    journal data/        the disk cache's
//
// Every file but the journal and the data is written whole, beside its place,
// and renamed: a crash leaves the old one or the new one.

// formatVersion is the format that this program writes.
const formatVersion = 1

// folder is the data folder of one client.
type folder struct {
	dir  string
	lock *os.File
	next uint32 // NextSlot as it is stored; guarded by Client.adding
}

// clientState is the file `client`.
type clientState struct {
	Port     int    `json:"port"`      // of the listener; 0 before the first
	NextSlot uint32 `json:"next_slot"` // slots below it are taken for ever, or never used
	// URLs are those of .torrents that are to be fetched and added.
	URLs []string `json:"urls,omitempty"`
}

// torrentState is the file `state` of one torrent.
type torrentState struct {
	Slot    uint32   `json:"slot"`
	Name    string   `json:"name"`              // shown; "" while it is not chosen
	Earlier []string `json:"earlier,omitempty"` // names shown before
	Folder  string   `json:"folder,omitempty"`  // of the mount, that it stands in; "" is the root
	// FolderSlots are the slots of the directories on the way to Folder, the first below
	// the root comes first.
	FolderSlots []uint32 `json:"folder_slots,omitempty"`
	Added       int64    `json:"added"`             // Unix nanoseconds
	Mtime       int64    `json:"mtime,omitempty"`   // Unix seconds; 0 while unresolved
	PeerID      string   `json:"peer_id,omitempty"` // hexadecimal; of one that is private, or may be
	Key         uint32   `json:"key,omitempty"`     // of its announces
	Stopped     bool     `json:"stopped,omitempty"` // by the user; Paused too
	Paused      bool     `json:"paused,omitempty"`
	Pinned      pins     `json:"pinned,omitempty"` // files
	Down        int64    `json:"down,omitempty"`   // limit, bytes a second; Up too
	Up          int64    `json:"up,omitempty"`
	Removed     int64    `json:"removed,omitempty"` // Unix nanoseconds; it is not shown
	Discard     bool     `json:"discard,omitempty"` // its data goes as well
	Guest       bool     `json:"guest,omitempty"`   // it is removed once nobody uses it any more
	Slots       []uint32 `json:"slots,omitempty"`   // that it had before it was removed, the latest last
}

// ErrMounted is that another process holds the data folder.
type ErrMounted struct {
	Mountpoint string // "" when it has none
	PID        int
}

func (e *ErrMounted) Error() string {
	if e.Mountpoint == "" {
		return fmt.Sprintf("the data folder is in use by pid %d", e.PID)
	}
	return fmt.Sprintf("already mounted at %s by pid %d", e.Mountpoint, e.PID)
}

// openFolder makes the folder where it is missing, takes its lock in the name
// of mountpoint and checks its version.
func openFolder(dir, mountpoint string) (*folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "torrents"), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, holder(lock)
		}
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	f := &folder{dir: dir, lock: lock}
	if err := f.open(mountpoint); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *folder) open(mountpoint string) error {
	if err := f.checkVersion(); err != nil {
		return err
	}
	if err := f.lock.Truncate(0); err != nil {
		return err
	}
	_, err := f.lock.WriteAt(fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), mountpoint), 0)
	return err
}

// holder reads who holds the lock.
func holder(lock *os.File) error {
	b := make([]byte, 8192)
	n, _ := lock.ReadAt(b, 0)
	pid, rest, _ := strings.Cut(string(b[:n]), "\n")
	held := &ErrMounted{Mountpoint: strings.TrimSuffix(rest, "\n")}
	held.PID, _ = strconv.Atoi(pid)
	return held
}

func (f *folder) checkVersion() error {
	path := filepath.Join(f.dir, "VERSION")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.write(".", "VERSION", fmt.Appendf(nil, "%d\n", formatVersion))
	}
	if err != nil {
		return err
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || v < 1 {
		return fmt.Errorf("%s is not a version number: %q; is %s a data folder of bipfs?", path, b, f.dir)
	}
	if v > formatVersion {
		return fmt.Errorf("%s was written by a newer bipfs (format %d, this one knows %d); nothing was touched", f.dir, v, formatVersion)
	}
	return nil
}

// torrentDir is the folder of one torrent.
func (f *folder) torrentDir(id metainfo.ID) string {
	return filepath.Join(f.dir, "torrents", id.String())
}

// write puts b into the file name of the folder sub, whole or not at all. One
// file is written by one goroutine at a time: Client.adding.
func (f *folder) write(sub, name string, b []byte) error {
	dir := filepath.Join(f.dir, sub)
	// One name for all tries: what a kill leaves is overwritten by the next.
	tmp, err := os.OpenFile(filepath.Join(dir, "."+name+".new"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err2 := tmp.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// writeTorrent is write for a file of one torrent.
func (f *folder) writeTorrent(id metainfo.ID, name string, b []byte) error {
	return f.write(filepath.Join("torrents", id.String()), name, b)
}

func (f *folder) loadClient() (clientState, error) {
	s := clientState{NextSlot: 1}
	b, err := os.ReadFile(filepath.Join(f.dir, "client"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(f.dir, "client"), err)
	}
	f.next = s.NextSlot
	return s, nil
}

func (f *folder) saveClient(s clientState) error {
	s.NextSlot = max(s.NextSlot, f.next)
	b, err := json.Marshal(s)
	if err == nil {
		err = f.write(".", "client", append(b, '\n'))
	}
	if err == nil {
		f.next = s.NextSlot
	}
	return err
}

// slotsAhead is how many slots are stored as taken at a time: who adds thousands of
// torrents need not wait for the disk once more for each.
const slotsAhead = 64

// saveSlots stores that the slots below the next one of s are taken.
func (f *folder) saveSlots(s clientState) error {
	if s.NextSlot <= f.next {
		return nil
	}
	s.NextSlot += slotsAhead - 1
	return f.saveClient(s)
}

// blocklist is where the block list is kept that was fetched last.
func (f *folder) blocklist() string { return filepath.Join(f.dir, "blocklist") }

func (f *folder) saveBlocklist(b []byte) error { return f.write(".", "blocklist", b) }

func (f *folder) saveTorrent(id metainfo.ID, s torrentState) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return f.writeTorrent(id, "state", append(b, '\n'))
}

// stored is one torrent as the folder has it.
type stored struct {
	id       metainfo.ID // as far as its folder's name tells
	state    torrentState
	metainfo []byte // of the file `torrent`, or nil
	magnet   string // "" when it never was a magnet link
	record   record
}

// torrents are the stored torrents: first those whose name is chosen, so that
// no other takes it from them, then by slot. One that cannot be read is
// reported and skipped: it takes nothing else with it.
// Of one that was removed only the state is read; alone are the folders of those that
// cannot be.
func (f *folder) torrents(log *slog.Logger) (all []stored, alone []string, err error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, "torrents"))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if isDiscarded(e.Name()) {
			continue
		}
		s, err := f.glance(e.Name())
		if err == nil && (s.state.Removed == 0 || s.state.Guest) {
			s, err = f.rest(s)
		}
		if err != nil {
			log.Warn("a stored torrent cannot be read and is left alone", "torrent", e.Name(), "err", err)
			if _, ok := hexID(e.Name()); ok {
				alone = append(alone, e.Name())
			}
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b stored) int {
		if named := a.state.Name != ""; named != (b.state.Name != "") {
			if named {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.state.Slot, b.state.Slot)
	})
	return all, alone, nil
}

// torrent is all that is stored of one, by the name of its folder.
func (f *folder) torrent(name string) (stored, error) {
	s, err := f.glance(name)
	if err != nil {
		return s, err
	}
	return f.rest(s)
}

// glance is its id and its state.
func (f *folder) glance(name string) (stored, error) {
	var s stored
	id, ok := hexID(name)
	if !ok {
		return s, errors.New("its name is no infohash")
	}
	s.id = id
	b, err := os.ReadFile(filepath.Join(f.torrentDir(id), "state"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s.state); err != nil {
		return s, fmt.Errorf("state: %w", err)
	}
	if s.state.Slot == 0 {
		return s, errors.New("state: it has no slot")
	}
	return s, nil
}

// rest is all that glance leaves out.
func (f *folder) rest(s stored) (_ stored, err error) {
	dir := f.torrentDir(s.id)
	if s.record, err = f.loadRecord(s.id); err != nil {
		return s, err
	}
	s.metainfo, err = os.ReadFile(filepath.Join(dir, "torrent"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "magnet"))
	s.magnet = strings.TrimSpace(string(b))
	if s.metainfo != nil && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s, err
}

func (f *folder) close() { f.lock.Close() }
