package engine

import (
	"context"
	"slices"
	"time"

	"bipfs/engine/media"
	"bipfs/selection"
	"bipfs/wire"
)

// A scout goes ahead of who begins to read a film or an archive: to its ends,
// and to its index, which is asked for next and lies anywhere (package media). No
// read waits for it.
//
//	first read, at the head ──▶ ends wanted ──▶ what is here is looked at ─┬─▶ index wanted
//	                                                  ▲                    │
//	                                                  └── a header comes ◀─┘ lies elsewhere
const (
	// scoutDue is when what a scout finds is due: after what is read now.
	scoutDue = 200 * time.Millisecond
	// scoutPatience is how long it waits for one header.
	scoutPatience = time.Minute
	// mostScouts is how many are under way. Who opens more files is not helped.
	mostScouts = 64
	// longestScoutPiece is the longest piece that is fetched for the ends of a
	// file, of which it is not known that anybody will read them.
	longestScoutPiece = 4 << 20
)

// notice looks at the first read, which belongs to s: who reads, and is it worth
// a scout? r.mu is held.
func (r *Reader) notice(off int64, s *session, by program) {
	r.program = by.name
	r.scanner = by.name != "" && r.t.c.habits.scans(by.name, r.opened)
	if off < nearby && s.files == 1 && !r.scanner && !by.idle {
		r.scout()
	}
}

// scout sends one, if it is worth it. r.mu is held.
func (r *Reader) scout() {
	name := r.file.Path[len(r.file.Path)-1]
	c := r.t.c
	if !media.Known(name) || r.file.Length <= 2*nearby {
		return
	}
	if c.scouts.Add(1) > mostScouts {
		c.scouts.Add(-1)
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	r.recall = cancel
	if !c.spawn(func() { defer c.scouts.Add(-1); r.explore(ctx, name) }) {
		c.scouts.Add(-1)
		cancel()
	}
}

// explore is the scout's way.
func (r *Reader) explore(ctx context.Context, name string) {
	if r.geo.PieceLength <= longestScoutPiece {
		for _, end := range media.Ends(name, r.file.Length) {
			r.foresee(ctx, end)
		}
	}
	finder := media.NewFinder(r.file.Length)
	here := func(off int64, b []byte) bool { return r.copyHere(ctx, off, b) }
	for {
		ranges, last := finder.Next(here)
		var extents []wire.Extent
		for _, g := range ranges {
			r.foresee(ctx, g)
			extents = r.geo.Extents(extents, r.file.Offset+g.Off, g.N)
		}
		if last || r.store.Await(ctx, extents, scoutPatience) != nil {
			return
		}
	}
}

// foresee wants a range of the file until the reader is closed.
func (r *Reader) foresee(ctx context.Context, g media.Range) {
	n := min(g.N, r.t.c.cfg.Memory/mostOfOne)
	for _, e := range r.geo.Extents(nil, r.file.Offset+g.Off, n) {
		if ctx.Err() != nil || !r.foreseePiece(e.Piece) {
			return
		}
	}
}

// foreseePiece holds the lock for one piece only: the reads of the file need it.
func (r *Reader) foreseePiece(p wire.Piece) (open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && !slices.ContainsFunc(r.foreseen, func(a aheadWant) bool { return a.piece == p }) {
		r.foreseen = append(r.foreseen, r.t.wantAhead(r.store, p, selection.ReadAhead, scoutDue))
	}
	return !r.closed
}

// copyHere reads bytes of the file that are here.
func (r *Reader) copyHere(ctx context.Context, off int64, b []byte) bool {
	loans, err := r.store.Acquire(ctx, r.geo.Extents(nil, r.file.Offset+off, int64(len(b))))
	if err != nil {
		return false
	}
	for _, l := range loans {
		b = b[copy(b, l.Bytes):]
		l.Of.Release()
	}
	return true
}
