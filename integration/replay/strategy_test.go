package replay

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// simple is a strategy as other programs have them: no copies, no taking back
// but from a peer that has been silent for simplePatience.
type simple struct {
	pick     func(*simple, *simplePeer, time.Duration) (wire.Piece, int, bool)
	measured bool // a queue fits its peer's rate and round trip; else it is simpleDepth

	geo      wire.Geometry
	have     wire.Bitfield
	peers    []*simplePeer
	wants    map[wire.Reader]selection.Want
	pieces   map[wire.Piece]*simplePiece
	order    []*simplePiece // by deadline
	commands []selection.Command
}

const (
	simpleDepth    = 16
	simplePatience = 10 * time.Second
)

type simplePeer struct {
	id    wire.Peer
	open  bool
	asked []simpleAsk
	heard time.Duration // when a block came last, or the oldest request went
	deaf  time.Duration // it is asked for nothing until then
	rate  float64       // bytes a second
	trip  time.Duration
	whole *simplePiece // that it brings alone
}

type simpleAsk struct {
	block wire.Block
	at    time.Duration
	first bool // the queue was empty
}

type simplePiece struct {
	index    wire.Piece
	deadline time.Duration
	lease    wire.Lease
	opened   bool
	state    []byte // of each block: free, asked or here; nil until the grant
	owner    *simplePeer
}

const (
	simpleFree byte = iota
	simpleAsked
	simpleHere
)

// wholePieces: each peer brings pieces of its own, the most urgent first.
func wholePieces(s *simple, p *simplePeer, _ time.Duration) (wire.Piece, int, bool) {
	if p.whole == nil || slices.Index(p.whole.state, simpleFree) < 0 || s.pieces[p.whole.index] != p.whole {
		p.whole = nil
		for _, pc := range s.order {
			if (pc.owner == nil || pc.owner == p) && slices.Contains(pc.state, simpleFree) {
				p.whole, pc.owner = pc, p
				break
			}
		}
	}
	if p.whole == nil {
		return 0, 0, false
	}
	return p.whole.index, slices.Index(p.whole.state, simpleFree), true
}

// inSequence: who can take a request gets the next block in the order of the
// deadlines.
func inSequence(s *simple, _ *simplePeer, _ time.Duration) (wire.Piece, int, bool) {
	for _, pc := range s.order {
		if i := slices.Index(pc.state, simpleFree); i >= 0 {
			return pc.index, i, true
		}
	}
	return 0, 0, false
}

// soonest is inSequence, but a block is left to a peer that is sure to bring it in
// half the time.
func soonest(s *simple, p *simplePeer, now time.Duration) (wire.Piece, int, bool) {
	mine := p.eta()
	for _, pc := range s.order {
		i := slices.Index(pc.state, simpleFree)
		if i < 0 {
			continue
		}
		if now+mine <= pc.deadline || !slices.ContainsFunc(s.peers, func(q *simplePeer) bool {
			return q != p && q.rate > 0 && q.deaf <= now && 2*q.eta() < mine
		}) {
			return pc.index, i, true
		}
	}
	return 0, 0, false
}

func (p *simplePeer) eta() time.Duration {
	rate := p.rate
	if rate == 0 {
		rate = 512 << 10
	}
	return p.trip + time.Duration(float64(len(p.asked)+1)*wire.BlockSize/rate*float64(time.Second))
}

func (s *simple) Ready() []selection.Command {
	c := s.commands
	s.commands = nil
	return c
}

func (s *simple) Next() (time.Duration, bool) {
	at := time.Duration(-1)
	for _, p := range s.peers {
		due := p.deaf
		if len(p.asked) > 0 {
			due = p.heard + simplePatience
		}
		if due > 0 && (at < 0 || due < at) {
			at = due
		}
	}
	return at, at >= 0
}

func (s *simple) Step(now time.Duration, e selection.Event) {
	switch e := e.(type) {
	case selection.Geometry:
		s.geo, s.have = e.Geometry, e.Have
		s.wants, s.pieces = map[wire.Reader]selection.Want{}, map[wire.Piece]*simplePiece{}
	case selection.PeerConnect:
		s.peers = append(s.peers, &simplePeer{id: e.Peer, trip: 100 * time.Millisecond})
	case selection.Received:
		if e.Message.Kind == wire.Unchoke {
			s.peer(e.Peer).open = true
		}
	case selection.Want:
		s.wants[e.Reader] = e
		s.sort()
	case selection.Unwant:
		delete(s.wants, e.Reader)
		s.sort()
	case selection.Granted:
		if pc := s.pieces[e.Piece]; pc != nil {
			pc.lease, pc.state = e.Lease, make([]byte, s.geo.Blocks(e.Piece))
		}
	case selection.Stored:
		s.stored(now, e)
	case selection.Verified:
		s.have.Set(e.Piece)
		delete(s.pieces, e.Piece)
		s.sort()
	}
	s.fill(now)
}

func (s *simple) peer(id wire.Peer) *simplePeer { return s.peers[id-1] }

// sort opens what is wanted, closes what is not, and puts it in order.
func (s *simple) sort() {
	due := map[wire.Piece]time.Duration{}
	for _, w := range s.wants {
		if p := w.Extent.Piece; !s.have.Has(p) {
			if d, ok := due[p]; !ok || w.Deadline < d {
				due[p] = w.Deadline
			}
		}
	}
	// In order: a map's own is no seed's.
	for _, p := range slices.Sorted(maps.Keys(s.pieces)) {
		pc := s.pieces[p]
		if _, ok := due[p]; ok {
			continue
		}
		delete(s.pieces, p)
		for _, q := range s.peers {
			q.asked = slices.DeleteFunc(q.asked, func(a simpleAsk) bool {
				if a.block.Piece != pc.index {
					return false
				}
				s.commands = append(s.commands, selection.Send{Peer: q.id, Message: wire.Of(wire.Cancel, a.block)})
				return true
			})
		}
		s.commands = append(s.commands, selection.Close{Piece: p})
	}
	s.order = s.order[:0]
	for p, d := range due {
		pc := s.pieces[p]
		if pc == nil {
			pc = &simplePiece{index: p}
			s.pieces[p] = pc
		}
		pc.deadline = d
		s.order = append(s.order, pc)
	}
	slices.SortFunc(s.order, func(a, b *simplePiece) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.index, b.index))
	})
	for _, pc := range s.order {
		if !pc.opened {
			pc.opened = true
			s.commands = append(s.commands, selection.Open{Piece: pc.index})
		}
	}
}

func (s *simple) stored(now time.Duration, e selection.Stored) {
	p := s.peer(e.Peer)
	p.deaf = 0
	if i := slices.IndexFunc(p.asked, func(a simpleAsk) bool { return a.block == e.Block }); i >= 0 {
		a := p.asked[i]
		p.asked = slices.Delete(p.asked, i, i+1)
		if a.first {
			p.trip = (p.trip + now - a.at) / 2
		} else if took := now - p.heard; took > 0 {
			rate := wire.BlockSize / took.Seconds()
			if p.rate == 0 {
				p.rate = rate
			}
			p.rate += (rate - p.rate) / 8
		}
	}
	p.heard = now
	if pc := s.pieces[e.Block.Piece]; pc != nil && e.Lease != 0 && e.Lease == pc.lease {
		pc.state[s.geo.Index(e.Block)] = simpleHere
	}
}

// fill asks every peer for as much as its queue takes.
func (s *simple) fill(now time.Duration) {
	for _, p := range s.peers {
		if p.deaf <= now {
			p.deaf = 0
		}
		if len(p.asked) > 0 && p.heard+simplePatience <= now {
			s.giveUp(now, p)
		}
	}
	for more := true; more; {
		more = false
		for _, p := range s.peers {
			if !p.open || p.deaf > now || len(p.asked) >= s.depth(p) {
				continue
			}
			piece, i, ok := s.pick(s, p, now)
			if !ok {
				continue
			}
			more = true
			if len(p.asked) == 0 {
				p.heard = now
			}
			b := s.geo.Block(piece, i)
			s.pieces[piece].state[i] = simpleAsked
			p.asked = append(p.asked, simpleAsk{b, now, len(p.asked) == 0})
			s.commands = append(s.commands, selection.Send{Peer: p.id, Message: wire.Of(wire.Request, b)})
		}
	}
}

func (s *simple) depth(p *simplePeer) int {
	if !s.measured || p.rate == 0 {
		return simpleDepth
	}
	return max(2, int(p.rate*(p.trip+300*time.Millisecond).Seconds()/wire.BlockSize))
}

// giveUp frees what a silent peer owes, and leaves it alone.
func (s *simple) giveUp(now time.Duration, p *simplePeer) {
	for _, a := range p.asked {
		if pc := s.pieces[a.block.Piece]; pc != nil {
			pc.owner = nil
			pc.state[s.geo.Index(a.block)] = simpleFree
		}
		s.commands = append(s.commands, selection.Send{Peer: p.id, Message: wire.Of(wire.Cancel, a.block)})
	}
	p.asked, p.whole, p.deaf = nil, nil, now+simplePatience
}

// strategies, ours first.
var strategies = []struct {
	name string
	make func(seed uint64) strategy
}{
	{"bipfs", func(seed uint64) strategy { return selection.New(selection.Config{Seed: seed}) }},
	{"whole pieces", func(uint64) strategy { return &simple{pick: wholePieces} }},
	{"sequential window", func(uint64) strategy { return &simple{pick: inSequence} }},
	{"bandwidth-delay pull", func(uint64) strategy { return &simple{pick: inSequence, measured: true} }},
	{"no hedging", func(uint64) strategy { return &simple{pick: soonest, measured: true} }},
}

// score is how a strategy did on some courses.
type score struct {
	misses   float64       // per cent of the pieces, after the first of each jump
	waste    float64       // per cent of the blocks
	p50, p99 time.Duration // from a jump to its first piece
}

func scoreOf(of func(uint64) strategy, seeds int) (sc score) {
	var starts []time.Duration
	var pieces, misses, received, wasted int
	for seed := range uint64(seeds) {
		c := newCourse(seed, of(seed))
		c.run()
		for len(c.starts) < c.jumped {
			c.starts = append(c.starts, courseSeek) // it never came
		}
		starts = append(starts, c.starts...)
		pieces, misses, received, wasted = pieces+c.pieces, misses+c.misses, received+c.received, wasted+c.wasted
	}
	slices.Sort(starts)
	n := len(starts)
	return score{
		misses: 100 * float64(misses) / float64(max(pieces, 1)), waste: 100 * float64(wasted) / float64(max(received, 1)),
		p50: starts[n/2], p99: starts[n*99/100],
	}
}

// BenchmarkStrategies: a player among uneven peers, on the same courses by each
// strategy.
func BenchmarkStrategies(b *testing.B) {
	for _, s := range strategies {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				sc := scoreOf(s.make, 100)
				b.ReportMetric(sc.misses, "%-late")
				b.ReportMetric(sc.waste, "%-waste")
				b.ReportMetric(sc.p50.Seconds(), "s-start-p50")
				b.ReportMetric(sc.p99.Seconds(), "s-start-p99")
			}
		})
	}
}

// TestStrategies: on the same courses no simpler strategy is better at anything.
func TestStrategies(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and the same each time")
	}
	t.Parallel()
	ours := scoreOf(strategies[0].make, 10)
	t.Logf("%+v", ours)
	for _, s := range strategies[1:] {
		theirs := scoreOf(s.make, 10)
		t.Logf("%s: %+v", s.name, theirs)
		if ours.misses > theirs.misses || ours.waste > theirs.waste || ours.p50 > theirs.p50 || ours.p99 > theirs.p99 {
			t.Errorf("%s is better than ours: %+v, %+v", s.name, theirs, ours)
		}
	}
}
