package replay

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// TestOneCorruptPeer: one of ten peers sends corrupt blocks. It is banned, no
// other is, and that costs about one piece of 256 KiB. It costs a second one if
// a cancelled block of the liar arrives late, when the piece is fetched again:
// nobody can refuse it by then. Who lies seldom has earned some trust first,
// and may spoil what it was trusted with.
func TestOneCorruptPeer(t *testing.T) {
	for habit, name := range []string{"every block", "one block in ten", "the last block of a piece"} {
		t.Run(name, func(t *testing.T) {
			const runs = 100
			worst, sum, never := 0, 0, 0
			for seed := range uint64(runs) {
				w := newTen(seed, habit)
				if err := w.run(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				pieces := w.wasted / 16
				worst, sum = max(worst, pieces), sum+pieces
				if banned := w.machine.Counters().Banned; banned == 0 && w.wasted > 0 {
					never++
				}
			}
			t.Logf("wasted pieces: %d at worst, %.2f on average; never banned in %d runs", worst, float64(sum)/runs, never)
			if sum > runs*3/2 || habit == 0 && sum > runs || habit == 0 && worst > 2 || worst > 8 {
				t.Errorf("too many pieces were wasted")
			}
			if never > 0 {
				t.Errorf("in %d runs the corrupt peer was not banned", never)
			}
		})
	}
}

// newTen is a world of ten seeds, one of them corrupt, and one reader that
// goes through 16 MiB.
func newTen(seed uint64, habit int) *world {
	w := &world{conns: map[wire.Peer]*conn{}, wakeAt: -1, calm: time.Second}
	w.chance = rand.New(rand.NewPCG(seed, 2))
	w.geo = wire.Geometry{Length: 64 << 18, PieceLength: 1 << 18}
	w.inbox, w.hashing, w.writing = 100*time.Microsecond, 2*time.Millisecond, 100*time.Microsecond
	w.disk = newDisk(w, 1024)
	w.books.init(w)
	w.machine = selection.New(selection.Config{Seed: seed})
	w.step(selection.Geometry{Geometry: w.geo})
	liar := w.chance.IntN(10)
	for i := range 10 {
		h := &host{
			w: w, fast: i%2 == 0, addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), habit: habit, steady: true,
			each: w.between(2*time.Millisecond, 10*time.Millisecond), trip: w.between(5*time.Millisecond, 50*time.Millisecond),
			has: wire.FullBitfield(w.geo.Pieces()),
		}
		if i == liar {
			h.nature = corrupt
		}
		h.says = h.has
		w.hosts = append(w.hosts, h)
		w.after(w.between(0, 100*time.Millisecond), h.connect)
	}
	r := &reader{w: w, lane: lane{f: &w.future}, left: w.geo.Pieces(), ahead: 8, wants: map[wire.Piece]wire.Reader{}}
	w.all = append(w.all, r)
	r.look()
	return w
}
