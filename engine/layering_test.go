package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// layerSwarm is a layering and peers that answer from whole metadata.
type layerSwarm struct {
	*layering
	truth *metainfo.Info
	now   time.Time
}

// layeredTruth is a torrent that has a layer of many ranges and some of one.
func layeredTruth(t *testing.T) *metainfo.Info {
	t.Helper()
	c := newContent(t, 16<<10, 40_000, 1, 2100*16384-5, 16384, 513*16384).inFormat(t, metainfo.V2Only)
	return c.meta.Info
}

func newLayerSwarm(t *testing.T, truth *metainfo.Info) *layerSwarm {
	t.Helper()
	info, err := metainfo.ParseInfo(truth.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return &layerSwarm{newLayering(info), truth, time.Unix(1, 0)}
}

// truthful answers as a seed does.
func (s *layerSwarm) truthful(t *testing.T, ask layerAsk) {
	t.Helper()
	hashes, ok := s.truth.Answer(ask.HashRange)
	if !ok {
		t.Fatalf("a seed cannot answer %+v", ask)
	}
	if s.answered(ask.peer, ask.HashRange, hashes) {
		t.Fatalf("the answer to %+v is a lie", ask)
	}
}

func (s *layerSwarm) check(t *testing.T) {
	t.Helper()
	if !s.whole() || len(s.info.Missing()) > 0 || len(s.asked) > 0 || len(s.asks(s.now)) > 0 {
		t.Fatalf("%d layers are missing, %d ranges are asked for", len(s.info.Missing()), len(s.asked))
	}
	for p := range wire.Piece(s.info.Pieces()) {
		got, _ := s.info.Node(p)
		if want, _ := s.truth.Node(p); got != want {
			t.Fatalf("piece %d has another node", p)
		}
	}
}

func TestLayering(t *testing.T) {
	s := newLayerSwarm(t, layeredTruth(t))
	if asks := s.asks(s.now); asks != nil || s.whole() {
		t.Fatalf("nobody is asked %v", asks)
	}
	s.offer(1)
	s.offer(2)
	s.offer(1)
	total := 0
	for asks := s.asks(s.now); len(asks) > 0; asks = s.asks(s.now) {
		if len(s.asked) > 2*layerWindow || s.wait(s.now) != layerTimeout {
			t.Fatalf("%d ranges at once, wait %v", len(s.asked), s.wait(s.now))
		}
		for _, ask := range asks {
			s.truthful(t, ask)
			total++
		}
	}
	s.check(t)
	if want := 1 + 5 + 2; total != want {
		t.Errorf("%d requests, want %d", total, want)
	}
}

// Rejects, silence and peers that leave only cost time; a lie names its liar.
func TestLayeringFaults(t *testing.T) {
	truth := layeredTruth(t)
	for seed := range uint64(50) {
		s := newLayerSwarm(t, truth)
		r := rand.New(rand.NewPCG(seed, 0))
		next := wire.Peer(1)
		liars := map[wire.Peer]bool{}
		for range 2000 {
			if s.whole() {
				break
			}
			for len(s.peers) < 3 {
				s.offer(next)
				liars[next] = next%3 == 0
				next++
			}
			for _, ask := range s.asks(s.now) {
				switch n := r.IntN(8); {
				case n == 0: // silence
				case n == 1:
					s.rejected(ask.peer, ask.HashRange, s.now)
					s.rejected(ask.peer, ask.HashRange, s.now)
				case n == 2:
					s.gone(ask.peer)
				case liars[ask.peer]:
					lie(t, s, ask, r)
					s.gone(ask.peer)
				default:
					s.truthful(t, ask)
				}
			}
			wait := s.wait(s.now)
			if wait <= 0 {
				t.Fatalf("seed %d: it waits %v", seed, wait)
			}
			s.now = s.now.Add(min(wait, time.Second))
		}
		s.check(t)
	}
}

// lie answers with a hash that is wrong, one too few, or one too many.
func lie(t *testing.T, s *layerSwarm, ask layerAsk, r *rand.Rand) {
	t.Helper()
	hashes, _ := s.truth.Answer(ask.HashRange)
	hashes = slices.Clone(hashes)
	switch r.IntN(3) {
	case 0:
		hashes[r.IntN(len(hashes))][5] ^= 1
	case 1:
		hashes = hashes[1:]
	case 2:
		hashes = append(hashes, wire.Hash{})
	}
	asked := s.of(ask.peer, ask.HashRange) >= 0 // it may have left
	if s.answered(ask.peer, ask.HashRange, hashes) != asked {
		t.Fatalf("a lie passes: %v", asked)
	}
}

// What was not asked for is nobody's lie.
func TestLayeringUnasked(t *testing.T) {
	s := newLayerSwarm(t, layeredTruth(t))
	s.offer(1)
	ask := s.asks(s.now)[0]
	other := ask.HashRange
	other.Index += other.Length
	if s.answered(2, ask.HashRange, nil) || s.answered(1, other, nil) {
		t.Error("who was not asked is a liar")
	}
	s.rejected(2, ask.HashRange, s.now)
	s.gone(2)
	if s.of(1, ask.HashRange) < 0 {
		t.Error("somebody else's reject ends a request")
	}
	s.truthful(t, ask)
	s.truthful(t, ask) // twice
}
