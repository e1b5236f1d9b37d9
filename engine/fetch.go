package engine

import (
	"context"
	"errors"
	"fmt"

	"bipfs/diskcache"
	"bipfs/selection"
	"bipfs/wire"
)

// fetchAhead is how many bytes of a torrent that is fetched whole are asked
// for at a time.
const fetchAhead = 64 << 20

// Selects tells whether Fetch fetches file i: all of them, or those that the
// magnet link selects (BEP 53). Reads care for no selection.
func (t *Torrent) Selects(i int) bool {
	t.mu.Lock()
	magnet := t.magnet
	t.mu.Unlock()
	return magnet == nil || magnet.Selection().Has(i)
}

// Fetch fetches the whole torrent to disk, or the files that its magnet link
// selects. progress is called with the bytes that are here and the bytes of all,
// in whole pieces; it may be called often. A torrent whose metadata is not here
// is waited for.
func (t *Torrent) Fetch(ctx context.Context, progress func(here, all int64)) error {
	select {
	case <-t.Resolved():
	case <-t.Unusable():
		return t.unusable()
	case <-ctx.Done():
		return ctx.Err()
	}
	store, err := t.open()
	if err != nil {
		return err
	}
	t.hold(1)
	defer t.hold(-1)
	f := fetching{t: t, store: store, geo: t.Info().Geometry, pieces: t.selected()}
	if len(f.pieces) == 0 && f.geo.Pieces() > 0 {
		return errors.New("the link selects no file of the torrent that has content")
	}
	defer f.unwant()
	return f.run(ctx, progress)
}

// fetching is one Fetch under way.
type fetching struct {
	t      *Torrent
	store  *diskcache.Torrent
	geo    wire.Geometry
	loop   *loop
	wants  []wire.Reader // of the pieces from the one that is waited for on
	pieces []wire.Piece  // to fetch, in order
	next   int           // of pieces, the first that is not wanted yet
}

func (f *fetching) run(ctx context.Context, progress func(here, all int64)) error {
	window := int(max(2, fetchAhead/f.geo.PieceLength))
	here, all := int64(0), int64(0)
	for _, p := range f.pieces {
		all += int64(f.geo.PieceSize(p) + f.geo.Gap(p))
	}
	for i, p := range f.pieces {
		for f.next < min(i+window, len(f.pieces)) {
			if err := f.want(f.pieces[f.next]); err != nil {
				return err
			}
			f.next++
		}
		if err := f.await(ctx, p); err != nil {
			return err
		}
		f.loop.want(selection.Unwant{Reader: f.wants[0]})
		f.wants = f.wants[1:]
		here += int64(f.geo.PieceSize(p) + f.geo.Gap(p))
		progress(here, all)
	}
	if err := f.store.Flush(ctx); err != nil {
		return err
	}
	have, left := f.store.Have(), int64(0)
	for _, p := range f.pieces {
		if !have.Has(p) {
			left += int64(f.geo.PieceSize(p))
		}
	}
	if left > 0 {
		return fmt.Errorf("%d bytes could not be stored: free some space, then the same command goes on from here", left)
	}
	return nil
}

// selected is the pieces of the files that Fetch fetches.
func (t *Torrent) selected() (pieces []wire.Piece) {
	info := t.Info()
	next := int64(0) // the first piece that is not looked at
	for i, f := range info.Files {
		if f.Length == 0 || !t.Selects(i) {
			continue
		}
		for p := max(next, f.Offset/info.PieceLength); p*info.PieceLength < f.Offset+f.Length; p++ {
			pieces = append(pieces, wire.Piece(p))
			next = p + 1
		}
	}
	return pieces
}

// await waits until a piece is here. That only others of the window come is
// progress as well.
func (f *fetching) await(ctx context.Context, p wire.Piece) error {
	for {
		before := f.t.missing()
		err := f.store.Await(ctx, []wire.Extent{f.geo.Whole(p)}, f.t.c.cfg.ReadTimeout)
		if !errors.Is(err, diskcache.ErrNoProgress) {
			return err
		}
		if f.t.missing() == before {
			return fmt.Errorf("no piece has come for %v, and nobody has sent anything of piece %d", f.t.c.cfg.ReadTimeout, p)
		}
	}
}

func (f *fetching) want(p wire.Piece) error {
	l, err := f.t.activate()
	if err != nil {
		return err
	}
	f.loop = l
	f.store.Expect(p) // or the only copy may be dropped before it is stored
	id := wire.Reader(f.t.c.readers.Add(1))
	f.wants = append(f.wants, id)
	return l.want(selection.Want{
		Reader: id, Extent: f.geo.Whole(p), Class: selection.Background,
		Deadline: f.t.c.clock.now() + due(f.geo.Offset(p, 0)),
	})
}

func (f *fetching) unwant() {
	for _, p := range f.pieces[:f.next] {
		f.store.Unexpect(p)
	}
	for _, id := range f.wants {
		f.loop.want(selection.Unwant{Reader: id})
	}
}
