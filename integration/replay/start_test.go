package replay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// newStart is the swarm of the laboratory's player at its start: five honest peers, one
// that crawls, one that is silent, and liars, all 50 to 60 ms away.
func newStart(seed uint64, length int64, liars int) *world {
	w := &world{conns: map[wire.Peer]*conn{}, wakeAt: -1, calm: time.Second, liars: liars}
	w.chance = rand.New(rand.NewPCG(seed, 3))
	w.geo = wire.Geometry{Length: 16 * length, PieceLength: length}
	w.inbox, w.hashing, w.writing = 100*time.Microsecond, 2*time.Millisecond, 100*time.Microsecond
	w.disk = newDisk(w, 1024)
	w.books.init(w)
	w.machine = selection.New(selection.Config{Seed: seed})
	w.step(selection.Geometry{Geometry: w.geo})
	natures := []nature{honest, honest, honest, honest, honest, slow, silent}
	for range liars {
		natures = append(natures, corrupt)
	}
	for i, n := range w.chance.Perm(len(natures)) {
		h := &host{
			w: w, fast: true, addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), nature: natures[n], steady: true, prompt: true,
			each: 3277 * time.Microsecond, trip: w.between(25*time.Millisecond, 30*time.Millisecond), has: wire.FullBitfield(w.geo.Pieces()),
		}
		if h.nature == slow {
			h.each = 800 * time.Millisecond
		}
		h.says = h.has
		w.hosts = append(w.hosts, h)
		w.after(w.between(0, 10*time.Millisecond), h.connect)
	}
	r := &reader{w: w, lane: lane{f: &w.future}, left: 1, ahead: 4, wants: map[wire.Piece]wire.Reader{}}
	w.all = append(w.all, r)
	r.look()
	return w
}

// BenchmarkStart is how long the first piece takes from the first connection, in false
// time.
func BenchmarkStart(b *testing.B) {
	for _, liars := range []int{0, 1} {
		b.Run(fmt.Sprint(liars, " liars"), func(b *testing.B) {
			var took []float64
			for b.Loop() {
				for seed := range uint64(400) {
					w := newStart(seed, 1<<20, liars)
					for w.broken == nil && w.all[0].left > 0 && w.next() {
					}
					if w.broken != nil {
						b.Fatal(w.broken)
					}
					took = append(took, w.now.Seconds())
				}
			}
			slices.Sort(took)
			for _, q := range []int{25, 50, 75, 90, 99} {
				b.ReportMetric(took[(len(took)-1)*q/100], fmt.Sprintf("s-p%d", q))
			}
		})
	}
}
