package engine

import (
	"bytes"
	"crypto/sha1"
	"math/rand/v2"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// metadataSwarm answers the requests of an assembly: each peer has a copy.
type metadataSwarm struct {
	a      *assembly
	copies map[wire.Peer][]byte
	liars  []wire.Peer
	asked  int
}

// round answers everything that is asked at now; it returns the metadata when
// it is whole.
func (s *metadataSwarm) round(now time.Time) []byte {
	for _, ask := range s.a.asks(now) {
		s.asked++
		b := s.copies[ask.peer]
		if b == nil {
			continue // silent
		}
		start, end := extension.MetadataSpan(int64(len(b)), ask.piece)
		whole, liars := s.a.data(ask.peer, ask.piece, int64(len(b)), b[start:end])
		s.liars = append(s.liars, liars...)
		for _, p := range liars {
			s.a.gone(p)
		}
		if whole != nil {
			return whole
		}
	}
	return nil
}

func info(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func newSwarm(truth []byte) *metadataSwarm {
	return &metadataSwarm{a: newAssembly(metainfo.ID{Hash: sha1.Sum(truth)}), copies: map[wire.Peer][]byte{}}
}

func (s *metadataSwarm) add(p wire.Peer, copy []byte, size int64) {
	s.copies[p] = copy
	s.a.offer(p, size)
}

// resolve runs rounds a second apart until the metadata is here.
func (s *metadataSwarm) resolve(t *testing.T, truth []byte, most int) {
	t.Helper()
	now := time.Unix(0, 0)
	for range most {
		if got := s.round(now); got != nil {
			if !bytes.Equal(got, truth) {
				t.Fatal("wrong metadata was taken")
			}
			return
		}
		now = now.Add(time.Second)
	}
	t.Fatalf("not resolved after %d rounds", most)
}

func TestMetadataFromSeveralPeers(t *testing.T) {
	truth := info(20*extension.MetadataPieceLength + 5)
	s := newSwarm(truth)
	for p := range wire.Peer(5) {
		s.add(p+1, truth, int64(len(truth)))
	}
	s.resolve(t, truth, 4)
	if s.asked != 21 {
		t.Errorf("%d requests for 21 pieces", s.asked)
	}
}

func TestMetadataLiarAmongTen(t *testing.T) {
	truth := info(3 * extension.MetadataPieceLength)
	s := newSwarm(truth)
	false1 := bytes.Clone(truth)
	false1[len(false1)-1]++
	for p := range wire.Peer(10) {
		copy := truth
		if p == 4 {
			copy = false1
		}
		s.add(p+1, copy, int64(len(truth)))
	}
	s.resolve(t, truth, 20)
	for _, p := range s.liars {
		if p != 5 {
			t.Errorf("peer %d is called a liar", p)
		}
	}
}

func TestMetadataOnlyLiarIsNamed(t *testing.T) {
	truth := info(100)
	s := newSwarm(truth)
	s.add(1, make([]byte, 100), 100)
	if s.round(time.Unix(0, 0)) != nil || len(s.liars) != 1 {
		t.Fatalf("liars: %v", s.liars)
	}
}

func TestMetadataSilentAndWrongSizes(t *testing.T) {
	truth := info(2 * extension.MetadataPieceLength)
	s := newSwarm(truth)
	s.add(1, nil, int64(len(truth))) // silent
	s.add(2, info(77), 77)           // another size
	s.add(3, truth, int64(len(truth)))
	for _, size := range []int64{0, -1, extension.MaxMetadata + 1, 1 << 62} {
		s.a.offer(9, size)
		if s.a.source(9) != nil {
			t.Errorf("metadata of %d bytes is taken for possible", size)
		}
	}
	s.resolve(t, truth, 20)
}

func TestMetadataSizesAreBounded(t *testing.T) {
	a := newAssembly(metainfo.ID{})
	for p := range wire.Peer(100) {
		a.offer(p, int64(p)+1)
	}
	a.asks(time.Unix(0, 0))
	if len(a.sizes) != mostSizes {
		t.Errorf("%d sizes are put together at a time", len(a.sizes))
	}
	for p := range wire.Peer(100) {
		a.gone(p)
	}
	if len(a.sizes) != 0 || len(a.peers) != 0 {
		t.Error("something is left of peers that have gone")
	}
}

func TestMetadataNotAskedForIsDropped(t *testing.T) {
	truth := info(10)
	a := newAssembly(metainfo.ID{Hash: sha1.Sum(truth)})
	a.offer(1, 10)
	if whole, _ := a.data(1, 0, 10, truth); whole != nil {
		t.Error("a piece that nobody asked for was taken")
	}
	if whole, _ := a.data(7, 0, 10, truth); whole != nil {
		t.Error("a piece of a stranger was taken")
	}
	a.asks(time.Unix(0, 0))
	if whole, _ := a.data(1, 0, 10, truth); whole == nil {
		t.Error("the piece that was asked for was not taken")
	}
}

func TestMetadataRejectedMovesOn(t *testing.T) {
	truth := info(10)
	s := newSwarm(truth)
	s.a.offer(1, 10)
	for _, ask := range s.a.asks(time.Unix(0, 0)) {
		s.a.rejected(ask.peer, ask.piece)
	}
	s.add(2, truth, 10)
	s.resolve(t, truth, 3)
}

// TestMetadataNeverSpins: whatever peers do, there is nothing to do at once
// after asks, and what is asked for in vain is asked for again.
func TestMetadataNeverSpins(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 0))
	now := time.Unix(0, 0)
	a := newAssembly(metainfo.ID{Hash: wire.Digest{1}})
	asked := 0
	for step := range 20_000 {
		p := wire.Peer(chance.IntN(12))
		switch chance.IntN(6) {
		case 0:
			a.offer(p, 1+chance.Int64N(8)*extension.MetadataPieceLength)
		case 1:
			if chance.IntN(4) == 0 {
				a.gone(p)
			}
		default:
			now = now.Add(max(0, min(a.next(now), time.Minute)))
		}
		asks := a.asks(now)
		asked += len(asks)
		if a.next(now) <= 0 {
			t.Fatalf("step %d: there is something to do at once", step)
		}
		for _, ask := range asks {
			s := a.source(ask.peer)
			switch chance.IntN(4) {
			case 0:
				start, end := extension.MetadataSpan(s.size, ask.piece)
				a.data(ask.peer, ask.piece, s.size, make([]byte, end-start))
			case 1:
				a.rejected(ask.peer, ask.piece)
			case 2:
				a.data(ask.peer, ask.piece, 0, make([]byte, 1))
			}
		}
		var all int64
		for _, s := range a.sizes {
			all += s.size
		}
		if len(a.sizes) > mostSizes || all > extension.MaxMetadata {
			t.Fatalf("%d sizes of %d bytes", len(a.sizes), all)
		}
	}
	if asked < 1000 {
		t.Errorf("only %d requests", asked)
	}
}

// TestMetadataSilentPeerIsAskedAgain: the only peer that has the metadata did
// not answer at first.
func TestMetadataSilentPeerIsAskedAgain(t *testing.T) {
	truth := info(100)
	s := newSwarm(truth)
	s.add(1, nil, 100)
	now := time.Unix(0, 0)
	for range 3 * mostMisses {
		s.round(now)
		now = now.Add(s.a.next(now))
	}
	if s.asked > 3*mostMisses || now.Sub(time.Unix(0, 0)) < sourceRest {
		t.Errorf("%d requests in %v", s.asked, now.Sub(time.Unix(0, 0)))
	}
	s.copies[1] = truth
	if s.round(now.Add(sourceRest)) == nil {
		t.Error("it was not asked again")
	}
}

// TestMetadataLiarsKeepNoPlace: however many sizes are offered, and begun, the
// right one has its turn.
func TestMetadataLiarsKeepNoPlace(t *testing.T) {
	truth := info(100)
	s := newSwarm(truth)
	for p := range wire.Peer(20) { // each begins, and stops
		s.add(p+1, nil, int64(p+2)*extension.MetadataPieceLength)
	}
	s.add(99, truth, 100)
	now := time.Unix(0, 0)
	for range 10_000 {
		for _, ask := range s.a.asks(now) {
			if ask.peer == 99 {
				return
			}
			if ask.piece == 0 {
				s.a.data(ask.peer, 0, 0, make([]byte, extension.MetadataPieceLength))
			}
		}
		now = now.Add(s.a.next(now))
		if now.Sub(time.Unix(0, 0)) > 10*sizePatience {
			break
		}
	}
	t.Errorf("the right size was never asked for in %v", now.Sub(time.Unix(0, 0)))
}

// TestMetadataBegunByThoseWhoLeft does not keep others out.
func TestMetadataBegunByThoseWhoLeft(t *testing.T) {
	truth := info(100)
	s := newSwarm(truth)
	now := time.Unix(0, 0)
	for p := range wire.Peer(mostSizes) {
		s.add(p+1, nil, int64(p+2)*extension.MetadataPieceLength)
	}
	for _, ask := range s.a.asks(now) {
		if ask.piece == 0 {
			s.a.data(ask.peer, 0, 0, make([]byte, extension.MetadataPieceLength))
		}
	}
	for p := range wire.Peer(mostSizes) {
		s.a.gone(p + 1)
	}
	s.add(99, truth, 100)
	s.resolve(t, truth, 2)
}

// TestMetadataSilentBesideALiar: once somebody has lied one peer is asked at a time, and
// those that say nothing do not keep out who would answer.
func TestMetadataSilentBesideALiar(t *testing.T) {
	truth := info(2 * extension.MetadataPieceLength)
	s := newSwarm(truth)
	size := int64(len(truth))
	s.add(1, make([]byte, size), size)
	for p := range wire.Peer(10) {
		s.add(p+2, nil, size)
	}
	s.add(99, truth, size)
	if s.round(time.Unix(0, 0)) != nil || len(s.liars) != 1 {
		t.Fatalf("liars: %v", s.liars)
	}
	s.resolve(t, truth, 300)
}
