//go:build linux

package main

import (
	"context"
	"slices"

	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/fs"
)

// watched has who watches the mount by inotify(7) see what happens to torrents.
type watched struct {
	d     *daemon
	show  fs.Show
	names map[string]fs.Place // by infohash: what has been shown, or was there before
	below map[fs.ID]int       // how many of these are in each folder, or below it
}

// watch follows the events of the client until ctx ends. It begins before anything can
// be added: what is there by then is no news.
func watch(ctx context.Context, d *daemon, show fs.Show) {
	w := watched{d: d, show: show, names: map[string]fs.Place{}, below: map[fs.ID]int{}}
	seen := d.Client.Status().Seq
	for _, t := range added(d.Client) {
		w.keep(t.ID(), placeOf(t.Where()))
	}
	for {
		events, missed, more := d.Events(seen)
		if missed > 0 {
			w.compare()
		}
		for _, e := range events {
			w.happened(e)
			seen = e.Seq
		}
		select {
		case <-ctx.Done():
			return
		case <-more:
		}
	}
}

// happened shows one event, if it is one of the folder.
func (w *watched) happened(e control.Event) {
	switch e.Event {
	case "added", "metadata", "moved":
		if t := w.d.ByInfohash(e.Infohash); t != nil && !t.Guest() {
			w.named(t)
		}
	case "removed":
		w.removed(e.Infohash)
	case "file-complete":
		t, at, _, err := w.d.place(e.Path)
		if err == nil && w.names[t.ID()].Path != "" {
			w.show.Completed(e.Path, id(t.Slot(), at))
		}
	}
}

// named shows that a torrent has a name, or another one, in its folder. The folders on the
// way are shown first that were not yet.
func (w *watched) named(t *engine.Torrent) {
	now := placeOf(t.Where())
	was, here := w.names[t.ID()]
	if here && was.ID() != now.ID() { // its removal is the next event
		w.removed(t.ID())
		here = false
	}
	if here && was.Path == now.Path && slices.Equal(was.IDs, now.IDs) {
		return
	}
	for _, folder := range w.keep(t.ID(), now) {
		w.show.Created(folder)
	}
	if here {
		w.show.Moved(was, now)
		w.leave(was)
		return
	}
	w.show.Created(now)
}

func (w *watched) removed(infohash string) {
	if was, here := w.names[infohash]; here {
		w.show.Removed(was)
		delete(w.names, infohash)
		w.leave(was)
	}
}

// keep notes where a torrent is. It returns the folders that it is the first in, the
// outermost first.
func (w *watched) keep(infohash string, p fs.Place) (first []fs.Place) {
	w.names[infohash] = p
	for folder, ok := p.Parent(); ok; folder, ok = folder.Parent() {
		if w.below[folder.ID()]++; w.below[folder.ID()] == 1 {
			first = append(first, folder)
		}
	}
	slices.Reverse(first)
	return first
}

// leave shows that folders have gone with the last torrent in them, which was at p.
func (w *watched) leave(p fs.Place) {
	for folder, ok := p.Parent(); ok; folder, ok = folder.Parent() {
		if w.below[folder.ID()]--; w.below[folder.ID()] == 0 {
			delete(w.below, folder.ID())
			w.show.Removed(folder)
		}
	}
}

// compare shows what has happened to names since events were missed.
func (w *watched) compare() {
	here := map[string]bool{}
	for _, t := range added(w.d.Client) {
		here[t.ID()] = true
		w.named(t)
	}
	for infohash := range w.names {
		if !here[infohash] {
			w.removed(infohash)
		}
	}
}
