//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/metainfo"
)

// What becomes of a file of a folder of --watch.

// see is that a file is there.
func (f *dropFolder) see(ctx context.Context, name string, is dropState, now time.Time) {
	d := f.files[name]
	if d == nil {
		d = &dropped{is: is, since: now}
		f.files[name] = d
	}
	d.missing, d.orphan = time.Time{}, false
	if d.is != is {
		d.is, d.since, d.read = is, now, false
	}
	switch {
	case d.read || is == dropState{}:
	case now.Sub(d.since) < settleTime:
		f.dirs[folderOf(name)].calm = false
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
		s.Folder = folderOf(name)
		infohash, wrong := f.all.drop(f, s)
		if wrong != nil {
			err = errors.Join(err, wrong)
			continue
		}
		d.torrents = append(d.torrents, infohash)
	}
	slices.Sort(d.torrents)
	d.torrents = slices.Compact(d.torrents) // of those before, some are named again
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

// miss is that a file is not there. Torrents that a file in another folder names follow it.
func (f *dropFolder) miss(l *dropLook, name string, d *dropped) {
	if d.missing.IsZero() {
		d.missing = l.now
	}
	if l.now.Sub(d.missing) >= settleTime { // else it may be being replaced
		f.follow(l, name, d)
	}
	if l.now.Sub(d.missing) < missingTime {
		return
	}
	delete(f.files, name)
	for _, infohash := range d.torrents {
		f.lift(infohash)
	}
}

// follow has torrents of a missing file stand where another file is that names them.
func (f *dropFolder) follow(l *dropLook, name string, d *dropped) {
	for i := 0; i < len(d.torrents); {
		infohash := d.torrents[i]
		other, ok := l.named(infohash)
		if !ok {
			i++
			continue
		}
		if from, to := folderOf(name), folderOf(other); from != to {
			if err := f.to.follow(infohash, from, to); err != nil {
				f.log.Error("a torrent whose file in a folder of --watch was moved stays where it is", "torrent", infohash, "err", err)
			}
		}
		d.torrents = slices.Delete(d.torrents, i, i+1)
		d.read = false // should it come back
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
	if err := f.all.lift(f, infohash); err != nil {
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

// follow implements catalogue. Who has it stand elsewhere has decided so.
func (d *daemon) follow(infohash, from, to string) error {
	t := d.ByInfohash(infohash)
	at, err := engine.ParseFolder(from)
	if t == nil || err != nil || t.Folder() != at {
		return err
	}
	where := t.Where()
	err = d.Client.Move(t, to)
	if errors.Is(err, engine.ErrRemoved) {
		return nil
	}
	if err == nil {
		d.left(where, false)
	}
	return err
}
