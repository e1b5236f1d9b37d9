package diskcache

import (
	"context"
	"slices"
	"time"

	"bipfs/wire"
)

// awaited is a piece that somebody waits for.
type awaited struct {
	last    time.Duration // when a block of it came, or it was verified
	waiters []chan struct{}
}

// wake has all who wait look again. The caller holds t.mu.
func (a *awaited) wake() {
	for _, c := range a.waiters {
		select {
		case c <- struct{}{}:
		default: // it has a ring already
		}
	}
}

// Await waits until all of es is here at once; until no block has come for any
// of their pieces for patience (ErrNoProgress; 0 is for ever); until ctx is
// done; or until the torrent is closed (ErrClosed). Extents that are not
// Within the torrent are ErrAbsent.
//
// It takes no references: a reader that waits holds nothing. What it waited
// for may be gone again when it returns, so the caller goes round from Await
// to Acquire.
func (t *Torrent) Await(ctx context.Context, es []wire.Extent, patience time.Duration) error {
	ring := make(chan struct{}, 1)
	begin := t.disk.now()
	// The wait is taken before the state is looked at: no ring is missed.
	if done, err := t.startWait(es, ring); done {
		return err
	}
	defer t.endWait(es, ring)
	var late <-chan time.Time
	var timer *time.Timer
	if patience > 0 {
		timer = time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case <-ring:
			if done, err := t.here(es); done {
				return err
			}
		case <-late:
			quiet := t.disk.now() - max(begin, t.lastBlock(es))
			if quiet >= patience {
				return ErrNoProgress
			}
			timer.Reset(patience - quiet)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Excuse forgives all waits the time that has passed: it was lost for another
// reason than that nobody sends.
func (t *Torrent) Excuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.awaited {
		a.last = t.disk.now()
	}
}

// here reports whether a wait for es is over. The caller does not hold t.mu.
func (t *Torrent) here(es []wire.Extent) (done bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isHere(es)
}

func (t *Torrent) isHere(es []wire.Extent) (done bool, err error) {
	if t.closed {
		return true, ErrClosed
	}
	for _, e := range es {
		if !t.spec.Within(e) {
			return true, ErrAbsent
		}
	}
	for _, e := range es {
		if !t.have.Has(e.Piece) && !t.proven(e) {
			return false, nil
		}
	}
	return true, nil
}

func (t *Torrent) startWait(es []wire.Extent, ring chan struct{}) (done bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if done, err := t.isHere(es); done {
		return true, err
	}
	for _, e := range es {
		a := t.awaited[e.Piece]
		if a == nil {
			a = &awaited{}
			if p := t.pieces[e.Piece]; p != nil {
				a.last = p.last
			}
			t.awaited[e.Piece] = a
		}
		a.waiters = append(a.waiters, ring)
	}
	return false, nil
}

func (t *Torrent) endWait(es []wire.Extent, ring chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range es {
		a := t.awaited[e.Piece]
		if i := slices.Index(a.waiters, ring); i >= 0 {
			a.waiters = slices.Delete(a.waiters, i, i+1)
		}
		if len(a.waiters) == 0 {
			delete(t.awaited, e.Piece)
		}
	}
}

// lastBlock is when the last block for any of the pieces of es came.
func (t *Torrent) lastBlock(es []wire.Extent) (last time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range es {
		last = max(last, t.awaited[e.Piece].last)
	}
	return last
}
