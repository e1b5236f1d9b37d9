package engine

import (
	"bytes"
	"crypto/sha1"
	"testing"
	"time"

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
	return &metadataSwarm{a: newAssembly(sha1.Sum(truth)), copies: map[wire.Peer][]byte{}}
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
	a := newAssembly(wire.Digest{})
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
	a := newAssembly(sha1.Sum(truth))
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
