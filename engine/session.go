package engine

import (
	"time"

	"bipfs/diskcache"
	"bipfs/selection"
	"bipfs/wire"
)

// A session is somebody reading on in order: where, and how far ahead the swarm
// is asked. It belongs to one Reader, or between two files to the torrent's
// walks, and is used under its holder's lock. Places are bytes of the torrent.
//
//	      first        pos                        last
//	────────┼───────────┼──────────────────────────┼─────────
//	        │  nearby   │          window          │
//	        └───────── ahead: pieces expected ─────┘
type session struct {
	t     *Torrent
	store *diskcache.Torrent
	geo   wire.Geometry

	run
	from, to int64            // the file that is read
	read     int64            // bytes of it that were
	files    int              // how many files were read in order, this one included
	idle     bool             // who reads is to disturb nobody
	returns  [2]time.Duration // when the reader came back from another place last, older first
	ahead    []aheadWant      // pieces that are expected, in order
}

// aheadWant is a piece that the reader is going to read.
type aheadWant struct {
	piece wire.Piece
	want  wire.Reader // 0 when it was here already
}

func newSession(r *Reader, pos int64) *session {
	return &session{t: r.t, store: r.store, geo: r.geo, run: run{pos: pos},
		from: r.file.Offset, to: r.file.Offset + r.file.Length, files: 1, returns: [2]time.Duration{never, never}}
}

// never is a time before all others.
const never = -time.Hour

// move notes a read of n bytes at off, and moves the window with it. The window
// ends with the file, unless the one before was read as well: then the next is
// going to be. scanner and jumps are its reader's.
func (s *session) move(off, n int64, scanner bool, jumps int) {
	s.read += n
	c := s.t.c
	c.progress.add(s.run.move(off, n), c.clock.now())
	look := s.look(s.class(s.files, scanner, jumps), share(c.cfg.Memory, int(c.lookers.Load())), s.geo.PieceLength)
	if look == 0 {
		s.stop()
		return
	}
	last := s.to
	if s.files > 1 {
		last = s.geo.Length
	}
	s.expect(max(s.from, s.pos-nearby), min(last, s.pos+look))
}

// stop is that nothing more is expected.
func (s *session) stop() { s.expect(0, 0) }

// expect moves the window to the bytes [first, last) of the torrent.
func (s *session) expect(first, last int64) {
	var from, to wire.Piece // [from, to)
	if last > first {
		from = wire.Piece(first / s.geo.PieceLength)
		to = wire.Piece((last-1)/s.geo.PieceLength) + 1
	}
	n := len(s.ahead)
	if n > 0 && from < to && s.ahead[0].piece == from && s.ahead[n-1].piece+1 == to {
		return
	}
	l := s.t.running()
	kept := s.ahead[:0]
	for _, a := range s.ahead {
		if a.piece >= from && a.piece < to {
			kept = append(kept, a)
			continue
		}
		s.t.unwantAhead(l, s.store, a)
	}
	s.ahead = kept
	next := from
	if n := len(kept); n > 0 {
		next = kept[n-1].piece + 1 // what a window that moved back has behind was read just now
	}
	for p := next; p < to; p++ {
		s.ahead = append(s.ahead, s.wantAhead(p))
	}
	switch {
	case n == 0 && len(s.ahead) > 0:
		s.t.c.lookers.Add(1)
	case n > 0 && len(s.ahead) == 0:
		s.t.c.lookers.Add(-1)
	}
}

// consumers is how many readers share the swarm's rate: those that look ahead, or, if
// they are more, the reads of this torrent that wait. Who has just begun does not look
// ahead yet: to count only who does would give the first of several the rate of all, and
// its window before the others' next bytes.
func (t *Torrent) consumers() int64 {
	return max(t.c.lookers.Load(), int64(t.c.waiting.count(&t.waits)))
}

// wantAhead expects a piece, and asks the swarm for it when it is not here.
func (s *session) wantAhead(p wire.Piece) aheadWant {
	class, deadline := selection.ReadAhead, s.due(max(0, s.geo.Offset(p, 0)-s.pos), s.t.c.progress.each(s.t.consumers()))
	if s.idle {
		class, deadline = selection.Background, deadline+idleDelay
	}
	return s.t.wantAhead(s.store, p, class, deadline)
}

// wantAhead expects a piece of t, and asks the swarm for it, in time for when it
// is due, if it is not here.
func (t *Torrent) wantAhead(store *diskcache.Torrent, p wire.Piece, c selection.Class, due time.Duration) aheadWant {
	store.Expect(p)
	whole := t.Info().Whole(p)
	if store.Local(whole) {
		return aheadWant{piece: p}
	}
	l, err := t.activate()
	if err != nil {
		return aheadWant{piece: p}
	}
	id := wire.Reader(t.c.readers.Add(1))
	err = l.want(selection.Want{Reader: id, Extent: whole, Class: c, Deadline: t.c.clock.now() + due})
	if err != nil {
		id = 0
	}
	return aheadWant{piece: p, want: id}
}

// unwantAhead takes that back. l is t's loop, or nil.
func (t *Torrent) unwantAhead(l *loop, store *diskcache.Torrent, a aheadWant) {
	store.Unexpect(a.piece)
	if a.want != 0 && l != nil {
		l.want(selection.Unwant{Reader: a.want})
	}
}
