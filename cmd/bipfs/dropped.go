//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
)

// A folder of --watch: what is dropped there is added, and what is deleted there is
// removed. It is looked at every second, with its sub-folders (dropdir.go), which works
// on every file system. What lies in a sub-folder is mounted in a folder of that name.
//
//	new ──the same for 1 s──▶ read ──▶ added ──not there──▶ missing ──10 s──▶ removed
//	 ▲                          └────── changed ──▶ new        ├── there again ──▶ added
//	 │                                                         └── elsewhere ──▶ moved
//
// Nothing is missing while the folder cannot be read or is another one than at the
// start: a file system that is not mounted is no wish to remove. The same goes for each
// sub-folder, for what lies in it; one that was deleted is missing itself.

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
	// mostDropped is how many .torrent and .magnet files are looked at in a folder and
	// below it. Where there are more nothing is missing.
	mostDropped = 10_000
	// mostDropDirs is how many folders are looked at, with the folder itself; no more
	// than engine.MaxFolderDepth deep. Where there are more nothing is missing.
	mostDropDirs = 2_000
)

// catalogue is what a folder of --watch changes.
type catalogue interface {
	// drop adds a torrent, in the folder that the source says, and returns its infohash.
	drop(engine.Source) (infohash string, err error)
	// lift removes one, and keeps its data.
	lift(infohash string) error
	// follow has one that stands in one folder stand in another.
	follow(infohash, from, to string) error
}

// dropFolder is one folder of --watch.
type dropFolder struct {
	dir  string
	skip []string // sub-folders that are not looked at: the mount, and the data folder
	keep bool     // deletions mean nothing
	to   catalogue
	all  *dropNames
	log  *slog.Logger

	dirs  map[string]*dropDir // by path below dir; "" is dir itself
	files map[string]*dropped // the same
	said  string              // what was wrong at the last look
	round int                 // the number of the last look
	gone  int                 // files that were missing then
}

// dropNames are the torrents that files name, of all folders of --watch: who is deleted
// from one may have been moved to another.
type dropNames struct {
	mu sync.Mutex // held while one is added or removed, or a folder might come between
	in map[string][]*dropFolder
}

// drop adds a torrent that a file of a folder names.
func (n *dropNames) drop(f *dropFolder, s engine.Source) (infohash string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	infohash, err = f.to.drop(s)
	if err == nil && !slices.Contains(n.in[infohash], f) {
		n.in[infohash] = append(n.in[infohash], f)
	}
	return infohash, err
}

// lift removes a torrent that no file of a folder names any more, unless one of another
// does.
func (n *dropNames) lift(f *dropFolder, infohash string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.in[infohash] = slices.DeleteFunc(n.in[infohash], func(o *dropFolder) bool { return o == f })
	if len(n.in[infohash]) > 0 {
		return nil
	}
	delete(n.in, infohash)
	return f.to.lift(infohash)
}

// dropped is a .torrent or .magnet file.
type dropped struct {
	is       dropState
	since    time.Time // it is the same
	read     bool
	orphan   bool      // its folder has become another one
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
func newDropFolder(dir string, keep bool, to catalogue, all *dropNames, log *slog.Logger) (*dropFolder, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	f := &dropFolder{dir: dir, keep: keep, to: to, all: all, log: log, files: map[string]*dropped{}}
	root := &dropDir{}
	root.dev, root.ino = fileID(st)
	f.dirs = map[string]*dropDir{"": root}
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

// watchFolders begins to watch the folders of --watch, but for those that are wrong.
func (m *mountCommand) watchFolders(mountpoint, data string, to catalogue, log *slog.Logger) (all []*dropFolder, wrong error) {
	names := &dropNames{in: map[string][]*dropFolder{}}
	for _, dir := range m.Watch {
		dir, err := filepath.EvalSymlinks(dir)
		if err == nil && inside(dir, mountpoint) {
			err = fmt.Errorf("%s lies inside the mount point %s", dir, mountpoint)
		}
		var f *dropFolder
		if err == nil {
			f, err = newDropFolder(dir, m.WatchKeep, to, names, log)
		}
		if err != nil {
			wrong = errors.Join(wrong, usagef("--watch: %w", err))
			continue
		}
		f.skip = []string{mountpoint, data}
		all = append(all, f)
	}
	return all, wrong
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

// look looks at the folder once, and at all below it.
func (f *dropFolder) look(ctx context.Context, now time.Time) {
	f.round++
	l := dropLook{f: f, now: now, names: map[string]dropState{}}
	err := l.visit("", 0)
	if err != nil {
		l.wrong = err.Error()
	}
	f.say(l.wrong)
	if err != nil {
		f.forgive()
		return
	}
	for name, is := range l.names {
		f.see(ctx, name, is, now)
	}
	switch {
	case ctx.Err() != nil:
	case l.wrong != "":
		f.forgive()
		f.shed(&l)
	case l.news || f.gone > 0:
		f.prune()
		f.compare(&l)
	}
}

// say logs what is wrong with the folder, when it begins and when it ends.
func (f *dropFolder) say(wrong string) {
	if wrong == f.said {
		return
	}
	if f.said = wrong; wrong != "" {
		f.log.Warn("a folder of --watch is not looked at as it should be, and nothing is removed", "dir", f.dir, "err", wrong)
	} else {
		f.log.Info("a folder of --watch is looked at again", "dir", f.dir)
	}
}

// forgive has nothing be missing.
func (f *dropFolder) forgive() {
	for _, d := range f.files {
		d.missing = time.Time{}
	}
	f.gone = 0
}

// shed forgets what was not seen at a look that did not see all, once that is as much as
// may be looked at: what comes and goes is not to add up.
func (f *dropFolder) shed(l *dropLook) {
	if len(f.dirs) > 2*mostDropDirs {
		maps.DeleteFunc(f.dirs, func(_ string, d *dropDir) bool { return d.round != f.round })
	}
	if len(f.files) > 2*mostDropped {
		maps.DeleteFunc(f.files, func(name string, d *dropped) bool {
			_, there := l.names[name]
			return !there && !f.stands(name, d)
		})
	}
}

// compare finds what is missing: what lay in a folder that was looked at, or in one that
// was deleted from a folder that was looked at.
func (f *dropFolder) compare(l *dropLook) {
	f.gone = 0
	for name, d := range f.files {
		_, there := l.names[name]
		switch {
		case there:
		case d.orphan:
			delete(f.files, name) // nobody knows whether it was deleted
		case f.stands(name, d):
		case !f.believed(folderOf(name)):
			d.missing = time.Time{}
		default:
			f.gone++
			f.miss(l, name, d)
		}
	}
}

// folderOf is the folder that a path lies in; "" for one without a slash.
func folderOf(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }
