package replay

import (
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// reader reads pieces in order, with some read-ahead, and seeks.
type reader struct {
	w     *world
	lane  lane
	at    wire.Piece
	left  int // pieces until it is content
	ahead int
	wants map[wire.Piece]wire.Reader
	waits wire.Extent // of the piece at, where blocks are verified one by one
	since time.Duration
}

func (w *world) newReader() *reader {
	r := &reader{
		w: w, lane: lane{f: &w.future}, left: 1 + w.chance.IntN(2*w.geo.Pieces()),
		ahead: w.chance.IntN(5), wants: map[wire.Piece]wire.Reader{},
	}
	r.seek()
	return r
}

func (r *reader) post(e selection.Event) {
	r.lane.post(r.w.between(0, r.w.inbox), func() { r.w.step(e) })
}

// seek gives up what it wanted and goes on elsewhere.
func (r *reader) seek() {
	r.drop(func(wire.Piece) bool { return true })
	r.at = wire.Piece(r.w.chance.IntN(r.w.geo.Pieces()))
	r.look()
}

// drop withdraws the wants of some pieces, in order.
func (r *reader) drop(which func(wire.Piece) bool) {
	for i := range r.w.geo.Pieces() {
		if n, ok := r.wants[wire.Piece(i)]; ok && which(wire.Piece(i)) {
			delete(r.wants, wire.Piece(i))
			r.post(selection.Unwant{Reader: n})
		}
	}
}

// look goes on as far as the pieces are here, and wants the next ones.
func (r *reader) look() {
	w := r.w
	for r.left > 0 && (w.disk.have.Has(r.at) || r.waits.Length > 0 && r.waits.Piece == r.at && w.disk.isProven(r.waits)) {
		r.at = (r.at + 1) % wire.Piece(w.geo.Pieces())
		r.left--
		w.read++
	}
	r.since = w.now
	if r.left == 0 {
		r.drop(func(wire.Piece) bool { return true })
		return
	}
	last := min(int(r.at)+r.ahead, w.geo.Pieces()-1)
	for i := int(r.at); i <= last; i++ {
		p := wire.Piece(i)
		class, deadline := selection.ReadAhead, w.now+time.Duration(i-int(r.at))*time.Second
		if p == r.at {
			class = selection.Now
			r.chooseExtent()
		} else if _, ok := r.wants[p]; ok {
			continue
		}
		n, ok := r.wants[p]
		if !ok {
			w.readers++
			n = w.readers
			r.wants[p] = n
		}
		extent := w.geo.Whole(p)
		if p == r.at && r.waits.Length > 0 {
			extent = r.waits
		}
		r.post(selection.Want{Reader: n, Extent: extent, Deadline: deadline, Class: class})
	}
	r.drop(func(p wire.Piece) bool { return p < r.at || int(p) > last })
}

// chooseExtent has the reader wait for a part of its piece, once.
func (r *reader) chooseExtent() {
	w := r.w
	if !w.leaves || r.waits.Length > 0 && r.waits.Piece == r.at {
		return
	}
	size := w.geo.PieceSize(r.at)
	begin := uint32(w.chance.IntN(int(size)))
	r.waits = wire.Extent{Piece: r.at, Begin: begin, Length: 1 + uint32(w.chance.IntN(int(min(size-begin, 4*wire.BlockSize))))}
}
