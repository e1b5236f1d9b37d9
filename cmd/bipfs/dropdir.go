//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bipfs/engine"
)

// The folders of a folder of --watch. Each is known by its device and inode, and looked
// into when its time has changed, or a while has passed. Not looked into are hidden ones,
// links to folders, which may lead around, and other file systems.

// dropDir is a folder of --watch, or one below it.
type dropDir struct {
	dev, ino uint64
	round    int  // the look that has found it last
	unread   bool // it could not be looked into then
	same     bool // it had not changed then

	looked  time.Time // when it was looked into
	changed time.Time // its time then
	calm    bool      // nothing was left to wait for then
	subs    []string  // the names of the folders in it
	drops   int       // how many files were
	said    string    // what was wrong with it at the last look
}

// dropLook is one look at a folder of --watch.
type dropLook struct {
	f     *dropFolder
	now   time.Time
	names map[string]dropState // files of the folders that were looked into, by path
	dirs  int                  // that were visited
	drops int                  // files of all folders
	news  bool                 // something may have come or gone
	wrong string               // why it is not all
	by    map[string]string    // which file names a torrent; nil: nobody has asked
}

// visit looks at a folder, and at those in it. An error is that nothing is known of it.
func (l *dropLook) visit(at string, depth int) error {
	f := l.f
	if l.dirs++; l.dirs > mostDropDirs {
		l.wrong = fmt.Sprintf("more than %d folders: the others are not looked at, and no deletion counts", mostDropDirs)
		return nil
	}
	d := f.dirs[at]
	if d == nil {
		d = &dropDir{}
		f.dirs[at] = d
	}
	d.round, d.unread, d.same = f.round, false, true
	if at == "" || !l.unchanged(at, d) {
		if err := l.into(at, d); err != nil {
			d.unread, d.calm, l.news = true, false, true
			switch {
			case at == "":
			case errors.Is(err, os.ErrNotExist): // it has just gone
				f.dirs[folderOf(at)].calm = false
			default:
				f.sayOf(at, d, err.Error())
			}
			return err
		}
	}
	f.sayOf(at, d, "")
	if l.drops += d.drops; l.drops > mostDropped {
		l.wrong = fmt.Sprintf("more than %d files: the others are not looked at, and no deletion counts", mostDropped)
	}
	if len(d.subs) > 0 && depth == engine.MaxFolderDepth {
		l.wrong = fmt.Sprintf("folders more than %d deep are not looked at, and no deletion counts", engine.MaxFolderDepth)
		return nil
	}
	for _, name := range d.subs {
		_ = l.visit(below(at, name), depth+1) // it is said, and nothing of it is missing
	}
	return nil
}

func below(at, name string) string {
	if at == "" {
		return name
	}
	return at + "/" + name
}

// unchanged reports whether nothing can have come or gone in a folder below the watched one.
func (l *dropLook) unchanged(at string, d *dropDir) bool {
	if !d.calm || l.now.Sub(d.looked) >= lookAgain {
		return false
	}
	st, err := os.Lstat(filepath.Join(l.f.dir, at))
	if err != nil {
		return false
	}
	dev, ino := fileID(st)
	return dev == d.dev && ino == d.ino && st.ModTime().Equal(d.changed)
}

// into looks into a folder.
func (l *dropLook) into(at string, d *dropDir) error {
	f := l.f
	path, flags := filepath.Join(f.dir, at), os.O_RDONLY|syscall.O_DIRECTORY
	if at != "" {
		flags |= syscall.O_NOFOLLOW
	}
	dir, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	st, err := dir.Stat()
	if err != nil {
		return err
	}
	dev, ino := fileID(st)
	switch root := f.dirs[""]; {
	case at == "" && (dev != d.dev || ino != d.ino):
		return fmt.Errorf("%s is another folder than it was at the start", f.dir)
	case dev != root.dev:
		return errors.New("it is on another file system than the folder of --watch: that is not looked at")
	case d.ino != 0 && ino != d.ino:
		f.log.Warn("a folder in a folder of --watch is another one than before: what was added by files that are not in it stays", "dir", path)
		f.orphan(at)
	}
	d.dev, d.ino = dev, ino
	if at == "" && d.calm && st.ModTime().Equal(d.changed) && l.now.Sub(d.looked) < lookAgain {
		return nil
	}
	// A clock that ticks slowly gives two changes the same time.
	d.changed = time.Time{}
	if l.now.Sub(st.ModTime()) > settleTime+lookEvery {
		d.changed = st.ModTime()
	}
	d.same, l.news = false, true
	return l.list(at, d, dir)
}

// list reads what is in a folder.
func (l *dropLook) list(at string, d *dropDir, dir *os.File) error {
	d.calm, d.looked, d.subs, d.drops = true, l.now, nil, 0
	for {
		entries, err := dir.ReadDir(1024)
		for _, e := range entries {
			name := below(at, e.Name())
			switch {
			case strings.HasPrefix(e.Name(), "."):
				// Being written by rsync and the like, or of no concern.
			case e.IsDir() && !slices.Contains(l.f.skip, filepath.Join(l.f.dir, name)):
				if len(d.subs) <= mostDropDirs { // one more, so that there are too many
					d.subs = append(d.subs, e.Name())
				}
			case !e.IsDir() && isDrop(e.Name()):
				if d.drops++; l.drops+d.drops <= mostDropped {
					l.names[name] = l.f.state(name)
				} else {
					d.calm = false
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// isDrop reports whether a name is that of a file to be looked at.
func isDrop(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".torrent" || ext == ".magnet"
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

// sayOf logs what is wrong with a folder below the watched one.
func (f *dropFolder) sayOf(at string, d *dropDir, wrong string) {
	if wrong == d.said {
		return
	}
	if d.said = wrong; wrong != "" {
		f.log.Warn("a folder in a folder of --watch is not looked at, and nothing that came of it is removed", "dir", filepath.Join(f.dir, at), "err", wrong)
	} else {
		f.log.Info("a folder in a folder of --watch is looked at again", "dir", filepath.Join(f.dir, at))
	}
}

// orphan is that a folder has become another one: whether what lay in it was deleted
// nobody knows.
func (f *dropFolder) orphan(at string) {
	for name, d := range f.files {
		d.orphan = d.orphan || strings.HasPrefix(name, at+"/")
	}
	maps.DeleteFunc(f.dirs, func(name string, _ *dropDir) bool { return strings.HasPrefix(name, at+"/") })
}

// prune forgets the folders that were deleted.
func (f *dropFolder) prune() {
	for _, at := range slices.Sorted(maps.Keys(f.dirs)) { // the outer ones first
		if at != "" && f.dirs[at].round != f.round && f.believed(folderOf(at)) {
			delete(f.dirs, at)
		}
	}
}

// believed reports whether what is not in a folder is not there: it was looked at, or it
// was deleted from one that was.
func (f *dropFolder) believed(at string) bool {
	for {
		if d := f.dirs[at]; d != nil {
			return d.round == f.round && !d.unread
		}
		at = folderOf(at)
	}
}

// named is a file that is there and names a torrent.
func (l *dropLook) named(infohash string) (path string, ok bool) {
	if l.by == nil {
		l.by = map[string]string{}
		for name, d := range l.f.files {
			if _, there := l.names[name]; !there && !l.f.stands(name, d) {
				continue
			}
			for _, infohash := range d.torrents {
				l.by[infohash] = name
			}
		}
	}
	path, ok = l.by[infohash]
	return path, ok
}

// stands reports whether a file is there in a folder that was not looked into, because
// it has not changed.
func (f *dropFolder) stands(name string, d *dropped) bool {
	at := f.dirs[folderOf(name)]
	return d.missing.IsZero() && at != nil && at.round == f.round && at.same && !at.unread
}
