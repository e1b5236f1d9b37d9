package engine

import (
	"slices"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// A read of a torrent of BEP 52 has what it waits for as soon as its blocks are
// proven, and goes. The rest of their piece follows when nothing is more urgent:
// only whole pieces are stored, and what was read is to be here when it is read
// again.

// mostRests is how many pieces are being completed so; a new one takes the place
// of the oldest. They take no more memory than a reader may look ahead for.
const mostRests = 4

// restTime is when the rest of a piece is due: after all that a reader will read.
const restTime = time.Minute

// rest is a piece that is being completed.
type rest struct {
	piece wire.Piece
	want  wire.Reader
}

// rest has the piece of a read completed.
func (l *loop) rest(e selection.Want) {
	p := e.Extent.Piece
	store := l.disk.get()
	if l.leaves == nil || store == nil || !l.leaves.info.Valid(p) ||
		store.Local(l.leaves.info.Whole(p)) || slices.ContainsFunc(l.rests, func(r rest) bool { return r.piece == p }) {
		return
	}
	most := min(mostRests, max(1, l.t.c.cfg.Memory/mostOfOne/l.leaves.info.PieceLength))
	for int64(len(l.rests)) >= most {
		l.endRest(l.rests[0].piece)
	}
	id := wire.Reader(l.t.c.readers.Add(1))
	l.rests = append(l.rests, rest{p, id})
	l.step(selection.Want{
		Reader: id, Extent: l.leaves.info.Whole(p), Class: selection.Background, Deadline: l.t.c.clock.now() + restTime,
	})
}

// endRest ends that, for a piece that is here or gives way to another.
func (l *loop) endRest(p wire.Piece) {
	if i := slices.IndexFunc(l.rests, func(r rest) bool { return r.piece == p }); i >= 0 {
		id := l.rests[i].want
		l.rests = slices.Delete(l.rests, i, i+1)
		l.step(selection.Unwant{Reader: id})
	}
}

// wanted takes a want. A reader may be quicker than the loop's own word that
// the metadata is here: until then wants are kept.
func (l *loop) wanted(e selection.Event) {
	if l.meta != nil {
		l.early = append(l.early, e)
		return
	}
	w, ok := e.(selection.Want)
	if ok {
		l.search()
		l.searchMore()
		l.wanting[w.Reader] = w
	} else if u, ok := e.(selection.Unwant); ok {
		delete(l.wanting, u.Reader)
	}
	if l.paused {
		return
	}
	l.step(e)
	if ok && w.Class == selection.Now {
		l.elbow()
		l.rest(w)
	}
}
