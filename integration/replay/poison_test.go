package replay

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// habit is which blocks a corrupt peer lies in.
type habit int

const (
	constantly   habit = iota // every block
	seldom                    // one block in ten
	lastBlocks                // the last block of a piece
	urgentBlocks              // blocks of a piece that a read waits for
	inUnison                  // every block, and all liars send the same
	inTurns                   // every block, but a piece is one liar's: the others cover for it
	tooLate                   // every block, slowly, and what was cancelled all the same
	habits
)

var habitNames = [...]string{
	"every block", "one block in ten", "the last block of a piece", "urgent blocks", "in unison", "in turns",
	"cancelled blocks",
}

func (h habit) String() string { return habitNames[h] }

// constant tells whether a peer of the habit never sends a good block.
func (h habit) constant() bool { return h == constantly || h == inUnison }

// lies tells whether a corrupt peer sends a bad block for b.
func (h *host) lies(b wire.Block) bool {
	switch h.habit {
	case seldom:
		return h.w.odds(10)
	case lastBlocks:
		return h.w.geo.Index(b) == h.w.geo.Blocks(b.Piece)-1
	case urgentBlocks:
		return slices.ContainsFunc(h.w.all, func(r *reader) bool { return r.left > 0 && r.at == b.Piece })
	case inTurns:
		return int(b.Piece)%h.w.liars == h.turn
	}
	return true
}

// A shape is how a poisoned torrent is cut, and the seeds for each habit and
// number of liars: 21 × 96 = 2,016 swarms of the first, 21 × 12 of the second.
type shape struct {
	name   string
	pieces int
	length int64 // of one
	ahead  int   // pieces that the reader wants ahead
	runs   int
}

var shapes = []shape{
	{"256 KiB", 48, 256 << 10, 8, poisonRuns},
	{"4 MiB", 12, 4 << 20, 2, poisonRuns / 8},
}

// shared is how many pieces constant liars may spoil beyond one each. If nearly all lie,
// one that has just shared a piece may come to fetch another alone, in one swarm of a
// thousand; two of them in one of some thousands.
func shared(liars int) int {
	switch {
	case liars < 9:
		return 0
	case *moreSeeds > 1:
		return 2
	}
	return 1
}

const poisonRuns = 96

// moreSeeds multiplies the seeds: make soak goes through 21 × 2,016 swarms.
var moreSeeds = flag.Int("more-seeds", 1, "so many times the seeds of each poisoned swarm")

// TestPoisoners: some of ten peers send bad blocks. The bytes are right; whoever
// spoiled a piece is banned, nobody else ever is; and each liar costs a piece, or
// a few if it lies so seldom that it has earned some trust.
func TestPoisoners(t *testing.T) {
	for _, s := range shapes {
		for h := range habits {
			for _, liars := range []int{1, 3, 9} {
				t.Run(fmt.Sprintf("%s/%v/%d of 10", s.name, h, liars), func(t *testing.T) {
					t.Parallel()
					poison(t, s, h, liars)
				})
			}
		}
	}
}

// hedged is how many blocks the endgame alone asks for in vain, as it does in one
// of a hundred of these swarms without a liar.
const hedged = 8

func poison(t *testing.T, s shape, h habit, liars int) {
	piece := int(s.length / wire.BlockSize)
	bound := 3 * piece * liars
	if h.constant() {
		bound = piece * (liars + shared(liars))
	}
	var wastes []int
	sum, spoiled, banned, runs := 0, 0, 0, fewer(s.runs**moreSeeds)
	for seed := range uint64(runs) {
		w := newTen(s, seed, h, liars, -1)
		if err := w.run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, h := range w.hosts {
			if h.banned {
				banned++
			}
			if h.guilty && !h.banned {
				t.Errorf("seed %d: host %d spoiled a piece and is not banned", seed, i)
			}
		}
		waste := w.waste()
		if w.wasted > bound || waste > bound+hedged*liars {
			t.Errorf("seed %d: %d blocks came twice or were thrown away, %d of them spoiled", seed, waste, w.wasted)
		}
		wastes, sum, spoiled = append(wastes, waste), sum+waste, spoiled+w.wasted
	}
	slices.Sort(wastes)
	each := float64(piece * liars)
	if mean := float64(spoiled) / each / float64(runs); h.constant() && mean > 1.01 && !testing.Short() { // few have no mean
		t.Errorf("%.3f pieces spoiled for each liar", mean)
	}
	t.Logf("pieces wasted for each liar: %.2f at worst, %.2f at 99 %%, %.2f on average, %.2f of them spoiled; %d of %d liars banned",
		float64(wastes[runs-1])/each, float64(wastes[(runs-1)*99/100])/each, float64(sum)/each/float64(runs),
		float64(spoiled)/each/float64(runs), banned, liars*runs)
}

// waste is how many blocks came that a reader of the whole torrent does not need.
func (w *world) waste() int { return w.received - w.geo.Pieces()*w.geo.MostBlocks() }

// TestPlantedPoison: the harness fails when something that the bounds of waste
// rest on is broken.
func TestPlantedPoison(t *testing.T) {
	long := shape{"8 MiB", 6, 8 << 20, 2, poisonRuns} // too long to be mended
	for name, p := range map[string]struct {
		shape
		plant
	}{
		"the digests are lost": {shapes[0], plant{event: func(_ *world, e selection.Event) []selection.Event {
			if v, ok := e.(selection.Verified); ok {
				v.Digests = nil
				return same(v)
			}
			return same(e)
		}}},
		"bans are not obeyed": {shapes[0], plant{command: func(_ *world, c selection.Command) []selection.Command {
			if _, ok := c.(selection.Drop); ok {
				return nil
			}
			return keep(c)
		}}},
		"the disk cache takes from anybody": {long, plant{command: func(_ *world, c selection.Command) []selection.Command {
			if _, ok := c.(selection.Only); ok {
				return nil
			}
			return keep(c)
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(poisonRuns) {
				w := newTen(p.shape, seed, tooLate, 1, -1)
				w.plant = p.plant
				err := w.run()
				guilty := slices.ContainsFunc(w.hosts, func(h *host) bool { return h.guilty && !h.banned })
				if err != nil || guilty || w.wasted > w.geo.MostBlocks() {
					t.Logf("seed %d: %v, unbanned %v, waste %d", seed, err, guilty, w.waste())
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
}

// newTen is a world of ten peers that have all, some of them liars, and one
// reader that goes through all. leaves is how long those of a piece take to
// come, at most; below 0 nobody tells any.
func newTen(s shape, seed uint64, habit habit, liars int, leaves time.Duration) *world {
	w := &world{conns: map[wire.Peer]*conn{}, wakeAt: -1, calm: time.Second, liars: liars}
	w.chance = rand.New(rand.NewPCG(seed, 2))
	w.geo = wire.Geometry{Length: int64(s.pieces) * s.length, PieceLength: s.length, V2Only: leaves >= 0}
	w.inbox, w.hashing, w.writing = 100*time.Microsecond, 2*time.Millisecond, 100*time.Microsecond
	w.disk = newDisk(w, 1024)
	w.books.init(w)
	w.machine = selection.New(selection.Config{Seed: seed})
	w.leaves, w.leafTime = leaves >= 0, leaves
	w.step(selection.Geometry{Geometry: w.geo, Leaves: w.leaves})
	for i, n := range w.chance.Perm(10) {
		h := &host{
			w: w, fast: n%2 == 0, addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), habit: habit, steady: true,
			each: w.between(2*time.Millisecond, 10*time.Millisecond), trip: w.between(5*time.Millisecond, 50*time.Millisecond),
			has: wire.FullBitfield(w.geo.Pieces()),
		}
		if n < liars {
			h.nature, h.turn = corrupt, n
			if habit == tooLate {
				h.each *= 20
			}
		}
		h.says = h.has
		w.hosts = append(w.hosts, h)
		w.after(w.between(0, 100*time.Millisecond), h.connect)
	}
	r := &reader{w: w, lane: lane{f: &w.future}, left: w.geo.Pieces(), ahead: s.ahead, wants: map[wire.Piece]wire.Reader{}}
	w.all = append(w.all, r)
	r.look()
	return w
}
