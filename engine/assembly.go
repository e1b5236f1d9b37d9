package engine

import (
	"crypto/sha1"
	"time"

	"bipfs/wire"
	"bipfs/wire/extension"
)

// The info dictionary of a magnet link, put together from several peers at a
// time (BEP 9). Like the other rules it is pure: time is an argument.
//
//	offer ──▶ ask ──▶ data ──▶ … ──▶ whole, and its SHA-1 is the infohash
//	            ▲        │
//	            └─reject, silence, gone
//
// The size is what peers say it is, so each size that is offered is put
// together by itself. When one is whole and its hash is wrong, somebody lied;
// from then on the pieces of that size are asked from one peer at a time, so
// that the next wrong hash names the liar.

const (
	// metadataWindow is how many pieces are asked of one peer at a time.
	metadataWindow = 4

	// metadataTimeout is how long a peer has to answer before others are asked.
	metadataTimeout = 5 * time.Second

	// mostSizes is how many different sizes are put together at a time.
	mostSizes = 4
)

// assembly collects the metadata of one infohash.
type assembly struct {
	hash  wire.Digest
	peers []*source // in the order in which they came
	sizes []*sizeAssembly
}

// source is one peer that has metadata.
type source struct {
	peer   wire.Peer
	of     *sizeAssembly
	asked  map[int]time.Time // pieces, until when they may take
	liar   bool
	misses int // pieces rejected or never answered
}

// sizeAssembly is the metadata at one size.
type sizeAssembly struct {
	size   int64
	pieces [][]byte
	from   []wire.Peer
	have   int
	single bool // a whole copy was wrong: one peer at a time from now on
}

// metadataAsk is one request that is to be sent.
type metadataAsk struct {
	peer  wire.Peer
	piece int
}

func newAssembly(hash wire.Digest) *assembly { return &assembly{hash: hash} }

// offer notes that a peer has metadata of a size in bytes. A size that cannot
// be is ignored.
func (a *assembly) offer(p wire.Peer, size int64) {
	if size <= 0 || size > extension.MaxMetadata || a.source(p) != nil {
		return
	}
	of := a.ofSize(size)
	if of == nil {
		return
	}
	a.peers = append(a.peers, &source{peer: p, of: of, asked: map[int]time.Time{}})
}

// ofSize is the assembly at a size, made when there is none yet and there is
// room for it.
func (a *assembly) ofSize(size int64) *sizeAssembly {
	for _, s := range a.sizes {
		if s.size == size {
			return s
		}
	}
	if len(a.sizes) == mostSizes {
		return nil
	}
	n := extension.MetadataPieces(size)
	s := &sizeAssembly{size: size, pieces: make([][]byte, n), from: make([]wire.Peer, n)}
	a.sizes = append(a.sizes, s)
	return s
}

func (a *assembly) source(p wire.Peer) *source {
	for _, s := range a.peers {
		if s.peer == p {
			return s
		}
	}
	return nil
}

// gone forgets a peer. A size that nobody has any more is forgotten with it.
func (a *assembly) gone(p wire.Peer) {
	for i, s := range a.peers {
		if s.peer == p {
			a.peers = append(a.peers[:i:i], a.peers[i+1:]...)
			a.forgetUnless(s.of)
			return
		}
	}
}

func (a *assembly) forgetUnless(of *sizeAssembly) {
	for _, s := range a.peers {
		if s.of == of {
			return
		}
	}
	for i, s := range a.sizes {
		if s == of && s.have == 0 {
			a.sizes = append(a.sizes[:i:i], a.sizes[i+1:]...)
			return
		}
	}
}

// mostMisses is how many requests a peer may leave unanswered.
const mostMisses = 8

// asks are the requests to send now.
func (a *assembly) asks(now time.Time) []metadataAsk {
	var out []metadataAsk
	for _, of := range a.sizes {
		var chosen *source
		for _, s := range a.peers {
			if s.of != of || s.liar {
				continue
			}
			s.expire(now)
			if s.misses > mostMisses {
				continue
			}
			if of.single {
				if chosen == nil {
					chosen = s
				} else if chosen != s {
					continue
				}
			}
			out = s.ask(out, now, a)
		}
	}
	return out
}

// expire gives up what the peer has not answered in time.
func (s *source) expire(now time.Time) {
	for piece, until := range s.asked {
		if !now.Before(until) {
			delete(s.asked, piece)
			s.misses++
		}
	}
}

// ask fills the peer's window with pieces that are missing: first those that
// nobody was asked for, then, as long as it has nothing to do, others' as well.
func (s *source) ask(out []metadataAsk, now time.Time, a *assembly) []metadataAsk {
	for _, shared := range []bool{false, true} {
		for i := range s.of.pieces {
			if len(s.asked) >= metadataWindow || shared && len(s.asked) > 0 {
				return out
			}
			if _, mine := s.asked[i]; mine || s.of.pieces[i] != nil || !shared && a.isAsked(s.of, i) {
				continue
			}
			s.asked[i] = now.Add(metadataTimeout)
			out = append(out, metadataAsk{s.peer, i})
		}
	}
	return out
}

func (a *assembly) isAsked(of *sizeAssembly, piece int) bool {
	for _, s := range a.peers {
		if s.of != of {
			continue
		}
		if _, ok := s.asked[piece]; ok {
			return true
		}
	}
	return false
}

// data takes a piece. Once the metadata is whole and right it is returned;
// liars are the peers whose metadata is proven wrong.
func (a *assembly) data(p wire.Peer, piece int, size int64, b []byte) (whole []byte, liars []wire.Peer) {
	s := a.source(p)
	if s == nil {
		return nil, nil
	}
	if _, ok := s.asked[piece]; !ok {
		return nil, nil
	}
	delete(s.asked, piece)
	of := s.of
	start, end := extension.MetadataSpan(of.size, piece)
	if size != 0 && size != of.size || int64(len(b)) != end-start {
		s.liar = true
		return nil, []wire.Peer{p}
	}
	if of.pieces[piece] != nil {
		return nil, nil
	}
	of.pieces[piece], of.from[piece] = b, p
	if of.have++; of.have < len(of.pieces) {
		return nil, nil
	}
	return a.check(of)
}

// check hashes a whole copy. A wrong one is thrown away; when all of it came
// from one peer, that peer lied.
func (a *assembly) check(of *sizeAssembly) (whole []byte, liars []wire.Peer) {
	whole = make([]byte, 0, of.size)
	for _, b := range of.pieces {
		whole = append(whole, b...)
	}
	if sha1.Sum(whole) == a.hash {
		return whole, nil
	}
	same := true
	for _, p := range of.from {
		same = same && p == of.from[0]
	}
	if same {
		liars = append(liars, of.from[0])
		if s := a.source(of.from[0]); s != nil {
			s.liar = true
		}
	}
	clear(of.pieces)
	of.have, of.single = 0, true
	return nil, liars
}

// rejected notes that a peer will not send a piece.
func (a *assembly) rejected(p wire.Peer, piece int) {
	if s := a.source(p); s != nil {
		if _, ok := s.asked[piece]; ok {
			delete(s.asked, piece)
			s.misses++
		}
	}
}

// next is how long until a request times out.
func (a *assembly) next(now time.Time) time.Duration {
	wait := time.Hour
	for _, s := range a.peers {
		for _, until := range s.asked {
			wait = min(wait, until.Sub(now))
		}
	}
	return wait
}
