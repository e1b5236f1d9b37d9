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

	from, to int64       // the file that is read
	read     int64       // bytes of it that were
	files    int         // how many files were read in order, this one included
	pos      int64       // where the reader goes on, if it goes on in order
	window   int64       // how far ahead of pos is fetched, bytes
	ahead    []aheadWant // pieces that are expected, in order
}

// aheadWant is a piece that the reader is going to read.
type aheadWant struct {
	piece wire.Piece
	want  wire.Reader // 0 when it was here already
}

// The kernel's read-ahead comes unordered: two requests of up to 1 MiB may be
// under way, and the second may come first. Reads up to nearby ahead of where a
// reader stands, or behind behind it, belong to one run.
const (
	nearby = 1 << 20
	behind = 3 * nearby
)

// move notes a read of n bytes at off, and moves the window with it. The window
// starts at one piece, doubles while the reader goes on in order, and is closed
// by a jump. It ends with the file, unless the one before was read as well:
// then the next is going to be.
func (s *session) move(off, n int64) {
	end := off + n
	s.read += n
	switch {
	case off > s.pos+nearby || off < s.pos-behind:
		s.pos, s.window, s.files = end, 0, 1 // a jump
	case end > s.pos:
		grown := end - s.pos
		s.pos = end
		least := max(s.geo.PieceLength, nearby)
		s.window = min(max(s.window+2*grown, least), longestReadAhead, s.t.c.readAhead())
	}
	if s.window == 0 {
		s.end()
		return
	}
	last := s.to
	if s.files > 1 {
		last = s.geo.Length
	}
	s.expect(max(s.from, s.pos-nearby), min(last, s.pos+s.window))
}

// end is that nothing more is expected.
func (s *session) end() { s.expect(0, 0) }

// readAhead is how much of the memory one reader may look ahead for.
func (c *Client) readAhead() int64 { return max(c.cfg.Memory/8, 1<<20) }

// expect moves the window to the bytes [first, last) of the torrent.
func (s *session) expect(first, last int64) {
	var from, to wire.Piece // [from, to)
	if last > first {
		from = wire.Piece(first / s.geo.PieceLength)
		to = wire.Piece((last-1)/s.geo.PieceLength) + 1
	}
	if n := len(s.ahead); n > 0 && from < to && s.ahead[0].piece == from && s.ahead[n-1].piece+1 == to {
		return
	}
	l := s.t.running()
	kept := s.ahead[:0]
	for _, a := range s.ahead {
		if a.piece >= from && a.piece < to {
			kept = append(kept, a)
			continue
		}
		s.store.Unexpect(a.piece)
		if a.want != 0 && l != nil {
			l.want(selection.Unwant{Reader: a.want})
		}
	}
	s.ahead = kept
	next := from
	if n := len(kept); n > 0 {
		next = kept[n-1].piece + 1 // what a window that moved back has behind was read just now
	}
	for p := next; p < to; p++ {
		s.ahead = append(s.ahead, s.wantAhead(p))
	}
}

// wantAhead expects a piece, and asks the swarm for it when it is not here.
func (s *session) wantAhead(p wire.Piece) aheadWant {
	s.store.Expect(p)
	whole := s.geo.Whole(p)
	if s.store.Local(whole) {
		return aheadWant{piece: p}
	}
	l, err := s.t.activate()
	if err != nil {
		return aheadWant{piece: p}
	}
	distance := max(0, s.geo.Offset(p, 0)-s.pos)
	id := wire.Reader(s.t.c.readers.Add(1))
	err = l.want(selection.Want{
		Reader: id, Extent: whole, Class: selection.ReadAhead,
		Deadline: s.t.c.clock.now() + due(distance),
	})
	if err != nil {
		id = 0
	}
	return aheadWant{piece: p, want: id}
}

// due is when bytes at a distance ahead of a reader are going to be read, as
// far as nothing is known of how fast it reads: at a rate that is above that
// of films, so that the order among readers is that of their distances.
func due(distance int64) time.Duration {
	const rate = 16 << 20 // bytes a second
	return time.Duration(distance/rate)*time.Second + time.Duration(distance%rate)*time.Second/rate
}
