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
	names map[string]known // by infohash: what has been shown, or was there before
}

// known is a directory of the root as it was shown last.
type known struct {
	name string
	id   fs.ID
}

// watch follows the events of the client until ctx ends. It begins before anything can
// be added: what is there by then is no news.
func watch(ctx context.Context, d *daemon, show fs.Show) {
	w := watched{d: d, show: show, names: map[string]known{}}
	seen := d.Client.Status().Seq
	for _, t := range added(d.Client) {
		w.names[t.ID()] = known{t.Name(), id(t.Slot(), 0)}
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

// added are the torrents that the root lists.
func added(c *engine.Client) []*engine.Torrent {
	return slices.DeleteFunc(c.Torrents(), (*engine.Torrent).Guest)
}

// happened shows one event, if it is one of the folder.
func (w *watched) happened(e control.Event) {
	switch e.Event {
	case "added", "metadata":
		if t := w.d.ByInfohash(e.Infohash); t != nil && !t.Guest() {
			w.named(t)
		}
	case "removed":
		w.removed(e.Infohash)
	case "file-complete":
		t, at, _, err := w.d.place(e.Path)
		if err == nil && w.names[t.ID()].name != "" {
			w.show.Completed(e.Path, id(t.Slot(), at))
		}
	}
}

// named shows that a torrent has a name, or another one.
func (w *watched) named(t *engine.Torrent) {
	now := known{t.Name(), id(t.Slot(), 0)}
	was, here := w.names[t.ID()]
	if here && was.id != now.id { // its removal is the next event
		w.removed(t.ID())
		here = false
	}
	switch {
	case !here:
		w.show.Created(now.name, now.id)
	case was != now:
		w.show.Moved(was.name, now.name, now.id)
	}
	w.names[t.ID()] = now
}

func (w *watched) removed(infohash string) {
	if was, here := w.names[infohash]; here {
		w.show.Removed(was.name, was.id)
		delete(w.names, infohash)
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
