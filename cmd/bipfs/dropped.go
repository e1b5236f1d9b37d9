//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/metainfo"
)

// A folder of --watch: what is dropped there is added, and what is deleted there is
// removed. It is looked at every second, which works on every file system.
//
//	new ──the same for 1 s──▶ read ──▶ added ──not there──▶ missing ──10 s──▶ removed
//	 ▲                          └────── changed ──▶ new        └── there again ──▶ added
//
// Nothing is missing while the folder cannot be read or is another one than at the
// start: a file system that is not mounted is no wish to remove.

const (
	// lookEvery is how often a folder is looked at.
	lookEvery = time.Second
	// settleTime is how long a file has to be the same before it is read: somebody may
	// be writing it.
	settleTime = time.Second
	// missingTime is how long a file is missing before its torrents are removed: it
	// may be being replaced, or moved.
	missingTime = 10 * time.Second
	// lookAgain is how often everything is looked at, though the folder's time says
	// that nothing came or went: a file may have been written anew in its place.
	lookAgain = time.Minute
	// mostDropped is how many .torrent and .magnet files of a folder are looked at. In
	// one with more nothing is missing.
	mostDropped = 10_000
)

// catalogue is what a folder of --watch changes.
type catalogue interface {
	// drop adds a torrent and returns its infohash.
	drop(engine.Source) (infohash string, err error)
	// lift removes one, and keeps its data.
	lift(infohash string) error
}

// dropFolder is one folder of --watch.
type dropFolder struct {
	dir  string
	keep bool // deletions mean nothing
	to   catalogue
	log  *slog.Logger

	dev, ino uint64
	files    map[string]*dropped
	said     string    // what was wrong with the folder at the last look
	looked   time.Time // when all of it was looked at
	changed  time.Time // its time then
	calm     bool      // nothing was left to wait for then
}

// dropped is a .torrent or .magnet file.
type dropped struct {
	is       dropState
	since    time.Time // it is the same
	read     bool
	missing  time.Time // since when it is; zero: it is there
	torrents []string  // infohashes
}

// dropState tells whether a file is the same as before.
type dropState struct {
	ino   uint64
	size  int64
	mtime time.Time
}

// newDropFolder begins to watch a folder.
func newDropFolder(dir string, keep bool, to catalogue, log *slog.Logger) (*dropFolder, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	f := &dropFolder{dir: dir, keep: keep, to: to, log: log, files: map[string]*dropped{}}
	f.dev, f.ino = fileID(st)
	return f, nil
}

// fileID is what tells one file from all others.
func fileID(st os.FileInfo) (dev, ino uint64) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(s.Dev), s.Ino
}

// watchFolders begins to watch the folders of --watch.
func (m *mountCommand) watchFolders(mountpoint string, to catalogue, log *slog.Logger) (all []*dropFolder, err error) {
	for _, dir := range m.Watch {
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return nil, usagef("--watch: %w", err)
		}
		if inside(dir, mountpoint) {
			return nil, usagef("--watch %s lies inside the mount point %s", dir, mountpoint)
		}
		f, err := newDropFolder(dir, m.WatchKeep, to, log)
		if err != nil {
			return nil, usagef("--watch: %w", err)
		}
		all = append(all, f)
	}
	return all, nil
}

// run looks at the folder until ctx ends.
func (f *dropFolder) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.look(ctx, time.Now())
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look looks at the folder once.
func (f *dropFolder) look(ctx context.Context, now time.Time) {
	names, whole, err := f.list(now)
	wrong := ""
	switch {
	case err != nil:
		wrong = err.Error()
	case !whole:
		wrong = fmt.Sprintf("more than %d files: the others are not looked at, and no deletion counts", mostDropped)
	}
	if wrong != f.said {
		if f.said = wrong; wrong != "" {
			f.log.Warn("a folder of --watch is not looked at as it should be, and nothing is removed", "dir", f.dir, "err", wrong)
		} else {
			f.log.Info("a folder of --watch is looked at again", "dir", f.dir)
		}
	}
	if err != nil {
		for _, d := range f.files {
			d.missing = time.Time{}
		}
		f.calm = false
		return
	}
	if names == nil {
		return
	}
	f.calm = true
	for name, is := range names {
		f.see(ctx, name, is, now)
	}
	if !whole || ctx.Err() != nil {
		f.calm = false
		return
	}
	for name, d := range f.files {
		if _, there := names[name]; !there {
			f.miss(name, d, now)
		}
	}
}

// list is what is in the folder; nil if nothing can have come or gone. whole is
// whether it is all.
func (f *dropFolder) list(now time.Time) (names map[string]dropState, whole bool, err error) {
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, false, err
	}
	defer d.Close()
	st, err := d.Stat()
	if err != nil {
		return nil, false, err
	}
	if dev, ino := fileID(st); dev != f.dev || ino != f.ino {
		return nil, false, fmt.Errorf("%s is another folder than it was at the start", f.dir)
	}
	if f.calm && st.ModTime().Equal(f.changed) && now.Sub(f.looked) < lookAgain {
		return nil, true, nil
	}
	// A clock that ticks slowly gives two changes the same time.
	f.changed = time.Time{}
	if now.Sub(st.ModTime()) > settleTime+lookEvery {
		f.changed = st.ModTime()
	}
	names = map[string]dropState{}
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			if !isDrop(e.Name()) {
				continue
			}
			if len(names) == mostDropped {
				return names, false, nil
			}
			names[e.Name()] = f.state(e.Name())
		}
		if errors.Is(err, io.EOF) {
			f.looked = now
			return names, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// isDrop reports whether a name is that of a file to be looked at. Those that begin
// with a dot are being written by rsync and the like.
func isDrop(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return (ext == ".torrent" || ext == ".magnet") && !strings.HasPrefix(name, ".")
}

// state is a file as it is; zero, if it is none.
func (f *dropFolder) state(name string) (is dropState) {
	st, err := os.Stat(filepath.Join(f.dir, name))
	if err != nil || !st.Mode().IsRegular() {
		return is
	}
	_, ino := fileID(st)
	return dropState{ino, st.Size(), st.ModTime()}
}

// see is that a file is there.
func (f *dropFolder) see(ctx context.Context, name string, is dropState, now time.Time) {
	d := f.files[name]
	if d == nil {
		d = &dropped{is: is, since: now}
		f.files[name] = d
	}
	d.missing = time.Time{}
	if d.is != is {
		d.is, d.since, d.read = is, now, false
	}
	switch {
	case d.read || is == dropState{}:
	case now.Sub(d.since) < settleTime:
		f.calm = false
	case ctx.Err() == nil:
		f.take(name, d)
	}
}

// take adds what a file names. What it named before, and does not any more, goes.
func (f *dropFolder) take(name string, d *dropped) {
	d.read = true
	before := d.torrents
	all, err := f.sources(name)
	if err == nil {
		d.torrents = nil
	}
	for _, s := range all {
		infohash, wrong := f.to.drop(s)
		if wrong != nil {
			err = errors.Join(err, wrong)
			continue
		}
		d.torrents = append(d.torrents, infohash)
	}
	if err != nil {
		f.log.Error("a file of --watch is not added, or not all of it, until it changes", "file", shown(filepath.Join(f.dir, name)), "err", err)
		return
	}
	for _, infohash := range before {
		f.lift(infohash)
	}
}

// sources are what a file names.
func (f *dropFolder) sources(name string) (all []engine.Source, err error) {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := engine.ReadBounded(file, metainfo.MaxFile)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(filepath.Ext(name), ".torrent") {
		m, err := metainfo.Parse(b)
		if err != nil {
			return nil, err
		}
		return []engine.Source{{Torrent: m}}, nil
	}
	wrong := eachLine(bytes.NewReader(b), func(line string) {
		s, bad := engine.ParseLink(line)
		if bad == nil && s.URL != "" {
			bad = errors.New("a .magnet file names magnet links and infohashes only")
		}
		if bad != nil {
			err = errors.Join(err, bad)
			return
		}
		all = append(all, s)
	})
	return all, errors.Join(err, wrong)
}

// miss is that a file is not there.
func (f *dropFolder) miss(name string, d *dropped, now time.Time) {
	if d.missing.IsZero() {
		d.missing = now
	}
	if now.Sub(d.missing) < missingTime {
		f.calm = false
		return
	}
	delete(f.files, name)
	for _, infohash := range d.torrents {
		f.lift(infohash)
	}
}

// lift removes a torrent that no file names any more.
func (f *dropFolder) lift(infohash string) {
	for _, d := range f.files {
		if slices.Contains(d.torrents, infohash) {
			return
		}
	}
	if f.keep {
		return
	}
	if err := f.to.lift(infohash); err != nil {
		f.log.Error("a torrent whose file in a folder of --watch was deleted is not removed", "torrent", infohash, "err", err)
	}
}

// drop implements catalogue.
func (d *daemon) drop(s engine.Source) (infohash string, err error) {
	t, err := d.Client.Add(s)
	if err != nil {
		return "", err
	}
	return t.ID(), nil
}

// lift implements catalogue. One that is not there any more need not be removed.
func (d *daemon) lift(infohash string) error {
	t := d.ByInfohash(infohash)
	if t == nil {
		return nil
	}
	if err := d.remove(t, false); !errors.Is(err, engine.ErrRemoved) {
		return err
	}
	return nil
}
