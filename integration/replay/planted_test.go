package replay

import (
	"fmt"
	"testing"

	"bipfs/selection"
	"bipfs/wire"
)

// none and the like make plants short to write.
func none() []selection.Event                      { return nil }
func same(e selection.Event) []selection.Event     { return []selection.Event{e} }
func twice(e selection.Event) []selection.Event    { return []selection.Event{e, e} }
func keep(c selection.Command) []selection.Command { return []selection.Command{c} }

// TestPlantedBugs: the harness fails when something that matters is broken.
// Each plant breaks one thing between the machine and the world, as a bug in
// either would.
func TestPlantedBugs(t *testing.T) {
	const enough = 200 // seeds, in one of which it must show
	for name, p := range map[string]plant{
		"leases are never closed": {command: func(_ *world, c selection.Command) []selection.Command {
			if _, ok := c.(selection.Close); ok {
				return nil
			}
			return keep(c)
		}},
		"lease numbers are ignored": {event: func(w *world, e selection.Event) []selection.Event {
			if e, ok := e.(selection.Stored); ok {
				if a := w.books.lives[e.Block.Piece]; a != nil {
					e.Lease = a.lease
				}
				return same(e)
			}
			return same(e)
		}},
		"slots are not counted": {event: func(_ *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.Written); ok {
				return twice(e)
			}
			return same(e)
		}},
		"slots are lost": {event: func(w *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.Written); ok && w.events%10 == 0 {
				return none()
			}
			return same(e)
		}},
		"a disconnect gives nothing back": {event: func(_ *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.PeerDisconnect); ok {
				return none()
			}
			return same(e)
		}},
		"the hash is ignored": {event: func(_ *world, e selection.Event) []selection.Event {
			if e, ok := e.(selection.Verified); ok {
				e.OK = true
				return same(e)
			}
			return same(e)
		}},
		"a revoked lease lives on": {event: func(_ *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.Revoke); ok {
				return none()
			}
			return same(e)
		}},
		"room is not kept to": {event: func(_ *world, e selection.Event) []selection.Event {
			if e, ok := e.(selection.Granted); ok {
				e.Room++
				return same(e)
			}
			return same(e)
		}},
		"a bad leaf is not told": {event: func(_ *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.Spoiled); ok {
				return none()
			}
			return same(e)
		}},
		"an eviction is not told": {event: func(_ *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.Evicted); ok {
				return none()
			}
			return same(e)
		}},
		"the wrong one is blamed": {event: func(w *world, e selection.Event) []selection.Event {
			if e, ok := e.(selection.Verified); ok && !e.OK && len(e.Digests) > 1 {
				// all blocks of the bad copy look bad
				e.Digests = make([]wire.Digest, len(e.Digests))
				return same(e)
			}
			return same(e)
		}},
		"nobody wakes it": {event: func(_ *world, e selection.Event) []selection.Event {
			if _, ok := e.(selection.Wake); ok {
				return none()
			}
			return same(e)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(enough) {
				if err := runPlanted(seed, p); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d seeds, and nothing was noticed", enough)
		})
	}
}

// runPlanted runs a world with a planted bug; a panic is a find too.
func runPlanted(seed uint64, p plant) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return newWorld(seed, p, nil).run()
}
