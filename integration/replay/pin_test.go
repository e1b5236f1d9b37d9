package replay

import (
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// A world may have everything pinned: it is wanted behind all that is read, until all
// of it is here.

const (
	pinDue   = 10_000 * time.Hour
	pinEvery = 100 * time.Millisecond
)

// pin begins it.
func (w *world) pin() {
	for i := range w.geo.Pieces() {
		w.readers++
		w.pins = append(w.pins, w.readers)
		w.step(selection.Want{
			Reader: w.readers, Extent: w.geo.Whole(wire.Piece(i)), Class: selection.Background,
			Deadline: pinDue + time.Duration(i),
		})
	}
	w.after(pinEvery, w.unpin)
}

// unpin ends it when there are no faults any more, and all of it is here. Until then a
// read of another torrent waits now and then.
func (w *world) unpin() {
	if w.faults() || w.disk.have.Count() < w.geo.Pieces() {
		w.after(pinEvery, w.unpin)
		if w.now%time.Second < pinEvery && w.faults() {
			w.step(selection.Aside{})
		}
		return
	}
	for _, r := range w.pins {
		w.step(selection.Unwant{Reader: r})
	}
	w.pins = nil
}
