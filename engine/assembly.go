package engine

import (
	"slices"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// The info dictionary of a magnet link, put together from several peers at a
// time (BEP 9). Like the other rules it is pure: time is an argument.
//
//	offer ──▶ its size has a place ──▶ ask ──▶ data ──▶ … ──▶ whole, and its
//	             ▲                      ▲        │            hash is the infohash
//	             └──── a minute ────────┴─reject, silence, gone
//
// The size is what peers say it is, so each size that is offered is put
// together by itself. Only so many have a place: one that has not come whole in
// a minute goes to the end of the queue when others wait, so that no number of
// liars keeps the truth out for ever. When one is whole and its hash is wrong,
// somebody lied; from then on the pieces of that size are asked from one peer
// at a time, so that the next wrong hash names the liar.

const (
	// metadataWindow is how many pieces are asked of one peer at a time.
	metadataWindow = 4

	// metadataTimeout is how long a peer has to answer before others are asked.
	metadataTimeout = 5 * time.Second

	// mostSizes is how many different sizes are put together at a time. All of
	// them together are no longer than the longest metadata.
	mostSizes = 4

	// sizePatience is how long a size keeps its place while others wait.
	sizePatience = time.Minute

	// mostMisses is how many requests a peer may reject or leave unanswered
	// before it is left alone for sourceRest.
	mostMisses = 8
	sourceRest = time.Minute
)

// assembly collects the metadata of one infohash.
type assembly struct {
	id    metainfo.ID
	peers []*source // in the order in which they came, lost their size's place, or went to rest
	sizes []*sizeAssembly
}

// source is one peer that has metadata.
type source struct {
	peer   wire.Peer
	size   int64
	of     *sizeAssembly     // nil while its size waits for a place
	asked  map[int]time.Time // pieces, until when they may take
	liar   bool
	misses int       // pieces rejected or never answered, since its last rest
	rests  time.Time // it is asked for nothing until then
}

// sizeAssembly is the metadata at one size.
type sizeAssembly struct {
	size   int64
	since  time.Time // when it got its place
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

func newAssembly(id metainfo.ID) *assembly { return &assembly{id: id} }

// offer notes that a peer has metadata of a size in bytes. A size that cannot
// be is ignored.
func (a *assembly) offer(p wire.Peer, size int64) {
	if size <= 0 || size > extension.MaxMetadata || a.source(p) != nil {
		return
	}
	a.peers = append(a.peers, &source{peer: p, size: size, asked: map[int]time.Time{}})
}

// admit gives places to the sizes that wait for one. One that loses its place
// to another may take a third's, so it goes on until nothing moves.
func (a *assembly) admit(now time.Time) {
	for moved := true; moved; {
		moved = false
		for _, s := range slices.Clone(a.peers) {
			if s.of == nil && !s.liar {
				s.of = a.ofSize(s.size, now)
				moved = moved || s.of != nil
			}
		}
	}
}

// ofSize is the assembly at a size, made when there is none yet and there is
// a place for it.
func (a *assembly) ofSize(size int64, now time.Time) *sizeAssembly {
	for _, s := range a.sizes {
		if s.size == size {
			return s
		}
	}
	for !a.hasRoom(size) {
		i := slices.IndexFunc(a.sizes, func(s *sizeAssembly) bool {
			return !a.offered(s) || !now.Before(s.since.Add(sizePatience))
		})
		if i < 0 {
			return nil
		}
		a.displace(a.sizes[i])
	}
	n := extension.MetadataPieces(size)
	s := &sizeAssembly{size: size, since: now, pieces: make([][]byte, n), from: make([]wire.Peer, n)}
	a.sizes = append(a.sizes, s)
	return s
}

func (a *assembly) hasRoom(size int64) bool {
	for _, s := range a.sizes {
		size += s.size
	}
	return len(a.sizes) < mostSizes && size <= extension.MaxMetadata
}

// displace takes the place of a size away; those who offer it queue again.
func (a *assembly) displace(of *sizeAssembly) {
	a.sizes = slices.DeleteFunc(a.sizes, func(s *sizeAssembly) bool { return s == of })
	var stay, queue []*source
	for _, s := range a.peers {
		if s.of != of {
			stay = append(stay, s)
			continue
		}
		s.of = nil
		clear(s.asked)
		queue = append(queue, s)
	}
	a.peers = append(stay, queue...)
}

// offered tells whether a peer that is here offers a size.
func (a *assembly) offered(of *sizeAssembly) bool {
	return slices.ContainsFunc(a.peers, func(s *source) bool { return s.of == of })
}

func (a *assembly) source(p wire.Peer) *source {
	for _, s := range a.peers {
		if s.peer == p {
			return s
		}
	}
	return nil
}

// gone forgets a peer. What it has sent stays, as long as nobody else needs
// the place.
func (a *assembly) gone(p wire.Peer) {
	i := slices.IndexFunc(a.peers, func(s *source) bool { return s.peer == p })
	if i < 0 {
		return
	}
	of := a.peers[i].of
	a.peers = slices.Delete(a.peers, i, i+1)
	if of != nil && of.have == 0 && !a.offered(of) {
		a.displace(of)
	}
}

// asks are the requests to send now.
func (a *assembly) asks(now time.Time) []metadataAsk {
	var rested []*source
	a.peers = slices.DeleteFunc(a.peers, func(s *source) bool {
		rests := s.expire(now)
		if rests { // or, asked one at a time, some that are silent would be all that ever are
			rested = append(rested, s)
		}
		return rests
	})
	a.peers = append(a.peers, rested...)
	a.admit(now)
	var out []metadataAsk
	for _, of := range a.sizes {
		for _, s := range a.peers {
			if s.of != of || s.liar || now.Before(s.rests) {
				continue
			}
			out = s.ask(out, now, a)
			if of.single {
				break
			}
		}
	}
	return out
}

// expire gives up what the peer has not answered in time, and a peer that
// answers too little, which rests from now on.
func (s *source) expire(now time.Time) (rests bool) {
	for piece, until := range s.asked {
		if !now.Before(until) {
			delete(s.asked, piece)
			s.misses++
		}
	}
	if rests = s.misses > mostMisses; rests {
		s.misses, s.rests = 0, now.Add(sourceRest)
		clear(s.asked)
	}
	return rests
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
	if s == nil || s.of == nil {
		return nil, nil
	}
	if _, ok := s.asked[piece]; !ok {
		return nil, nil
	}
	delete(s.asked, piece)
	of := s.of
	start, end := extension.MetadataSpan(of.size, piece)
	if size != 0 && size != of.size || int64(len(b)) != end-start {
		a.lied(p)
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
	if a.id.IsOf(whole) {
		return whole, nil
	}
	same := true
	for _, p := range of.from {
		same = same && p == of.from[0]
	}
	if same {
		liars = append(liars, of.from[0])
		a.lied(of.from[0])
	}
	clear(of.pieces)
	of.have, of.single = 0, true
	for _, s := range a.peers {
		if s.of == of { // its answers would mix with those of the one to be asked
			clear(s.asked)
		}
	}
	return nil, liars
}

// lied has a peer asked for nothing any more.
func (a *assembly) lied(p wire.Peer) {
	if s := a.source(p); s != nil {
		s.liar = true
		clear(s.asked)
	}
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

// next is how long until asks may have more to say: a request times out, a
// peer has rested, or a size has to make room. After asks it is above 0.
func (a *assembly) next(now time.Time) time.Duration {
	wait, queue := time.Hour, false
	for _, s := range a.peers {
		for _, until := range s.asked {
			wait = min(wait, until.Sub(now))
		}
		if now.Before(s.rests) {
			wait = min(wait, s.rests.Sub(now))
		}
		queue = queue || s.of == nil && !s.liar
	}
	for _, s := range a.sizes {
		if queue {
			wait = min(wait, s.since.Add(sizePatience).Sub(now))
		}
	}
	return wait
}
