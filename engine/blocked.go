package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"bipfs/engine/control"
	"bipfs/wire"
)

// blocked is what the reads of a torrent that wait for the swarm wait for: for
// people who wonder. There are no more of them than places to wait at.
type blocked struct {
	mu  sync.Mutex
	all map[*blockedRead]struct{}
}

// blockedRead is a read that waits.
type blockedRead struct {
	file    int
	extents []wire.Extent
	program string
	since   time.Time
}

// mostWaits is how many pieces are named.
const mostWaits = 100

// begin notes a read that waits, until end.
func (b *blocked) begin(file int, extents []wire.Extent, program string) (end func()) {
	r := &blockedRead{file, extents, program, time.Now()}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[*blockedRead]struct{}{}
	}
	b.all[r] = struct{}{}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.all, r)
	}
}

// waits are the pieces that the reads of some files wait for, by when the first
// read of each began, and how many reads there are. here reports what is here by
// now.
func (b *blocked) waits(of func(file int) bool, here func(wire.Extent) bool) (all []control.Wait, reads int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pieces := map[wire.Piece]*control.Wait{}
	since := map[wire.Piece]time.Time{}
	for r := range b.all {
		if !of(r.file) {
			continue
		}
		reads++
		for _, e := range r.extents {
			if here(e) {
				continue
			}
			w := pieces[e.Piece]
			if w == nil {
				w = &control.Wait{Piece: int(e.Piece), By: []string{}}
				pieces[e.Piece], since[e.Piece] = w, r.since
			}
			w.Reads++
			if r.program != "" && !slices.Contains(w.By, r.program) {
				w.By = append(w.By, r.program)
			}
			if r.since.Before(since[e.Piece]) {
				since[e.Piece] = r.since
			}
		}
	}
	for p, w := range pieces {
		w.Seconds = int64(time.Since(since[p]) / time.Second)
		slices.Sort(w.By)
		all = append(all, *w)
	}
	slices.SortFunc(all, func(a, b control.Wait) int {
		return cmp.Or(since[wire.Piece(a.Piece)].Compare(since[wire.Piece(b.Piece)]), cmp.Compare(a.Piece, b.Piece))
	})
	return all[:min(len(all), mostWaits)], reads
}

// Why is what the reads of some files of t wait for.
func (t *Torrent) Why(ctx context.Context, of func(file int) bool) (w control.Why, err error) {
	w = control.Why{Infohash: t.ID(), State: t.stateName(), Paused: t.Paused(), Waits: []control.Wait{}}
	store := t.store.Load()
	if store == nil {
		return w, nil // nobody has opened it
	}
	waits, reads := t.blocked.waits(of, store.Local)
	w.Reads = reads
	w.Waits = append(w.Waits, waits...)
	l := t.running()
	if l == nil || len(w.Waits) == 0 {
		return w, nil
	}
	counted := slices.Clone(w.Waits) // the loop's, until it answers
	answer := make(chan []control.Wait, 1)
	err = l.put(ctx, order(func(l *loop) { answer <- l.whoHas(counted) }))
	if err == nil {
		select {
		case w.Waits = <-answer:
		case <-l.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if errors.Is(err, ErrClosed) {
		err = nil // it has gone dormant meanwhile
	}
	return w, err
}

// whoHas fills in what the peers could do about each piece.
func (l *loop) whoHas(waits []control.Wait) []control.Wait {
	for i := range waits {
		who := l.m.Who(wire.Piece(waits[i].Piece))
		waits[i].Peers, waits[i].Have, waits[i].Choking = who.Peers, who.Have, who.Choke
		waits[i].Silent, waits[i].Asked = who.Snubbed, who.Asked
	}
	return waits
}
