package selection

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"bipfs/wire"
)

func geometryOf(pieces, blocks int) wire.Geometry {
	n := int64(blocks) * wire.BlockSize
	return wire.Geometry{Length: int64(pieces) * n, PieceLength: n}
}

func wantOf(m *Machine, i int) Want {
	return Want{wire.Reader(i + 1), m.geo.Whole(wire.Piece(i)), time.Duration(i) * time.Second, Now}
}

func splitLines(s string) []string { return strings.Split(s, "\n") }

// answer plays the disk cache and the writer: grants, and slots at once.
func answer(m *Machine, now time.Duration, lease *int) {
	for cs := append([]Command(nil), m.Ready()...); len(cs) > 0; cs = append([]Command(nil), m.Ready()...) {
		for _, c := range cs {
			switch c := c.(type) {
			case Send:
				m.Step(now, Written{Peer: c.Peer, Messages: 1})
			case Load:
				m.Step(now, Written{Peer: c.Peer, Loads: 1})
			case Open:
				*lease++
				m.Step(now, Granted{c.Piece, wire.Lease(*lease), m.geo.Blocks(c.Piece)})
			}
		}
	}
}

// one is a machine with a geometry and one peer.
func one(fast bool, slots int) *Machine {
	m := New(Config{Upload: true})
	m.Step(0, Geometry{Geometry: geometryOf(6000, 2), Have: wire.FullBitfield(6000)})
	m.Step(0, PeerConnect{Peer: 1, Slots: slots, Loads: 1, Fast: fast, Addr: netip.MustParseAddr("10.0.0.1")})
	m.Ready()
	return m
}

func say(m *Machine, now time.Duration, w wire.Message) (dropped string) {
	m.Step(now, Received{Peer: 1, Message: w})
	for _, c := range m.Ready() {
		if d, ok := c.(Drop); ok {
			dropped = d.Reason
		}
	}
	return dropped
}

// TestFloods: each kind of flood is borne up to its bound, and ends the
// connection one later.
func TestFloods(t *testing.T) {
	block := wire.Of(wire.PieceBlock, wire.Block{Length: wire.BlockSize})
	for _, c := range []struct {
		name   string
		w      wire.Message
		most   int
		reason string
	}{
		{"unasked blocks", block, mostUnasked, unaskedBlock},
		{"suggests", wire.Message{Kind: wire.Suggest}, mostNoise, flood},
		{"chokes", wire.Message{Kind: wire.Choke}, mostNoise, flood},
		{"not interested", wire.Message{Kind: wire.NotInterested}, mostNoise, flood},
		{"the same have", wire.Message{Kind: wire.Have}, mostNoise + 1, flood},
		{"the same allowed-fast", wire.Message{Kind: wire.AllowedFast}, mostNoise + 1, flood},
		{"rejects of nothing", wire.Of(wire.Reject, wire.Block{Length: 1}), mostNoise, flood},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := one(true, 1000)
			for i := range c.most {
				if why := say(m, 0, c.w); why != "" {
					t.Fatalf("dropped after %d: %s", i+1, why)
				}
			}
			if why := say(m, 0, c.w); why != c.reason {
				t.Fatalf("after %d: dropped for %q, want %q", c.most+1, why, c.reason)
			}
		})
	}
}

// TestNoiseIsForgotten: what comes slowly is no flood.
func TestNoiseIsForgotten(t *testing.T) {
	m := one(true, 1000)
	for i := range 3 * mostNoise {
		if why := say(m, time.Duration(i)*time.Second/noiseLeak, wire.Message{Kind: wire.Suggest}); why != "" {
			t.Fatalf("dropped after %d: %s", i, why)
		}
	}
}

// TestRequestQueue: so many requests wait, the next is rejected; a peer that
// never takes its rejects and goes on is dropped.
func TestRequestQueue(t *testing.T) {
	m := one(true, 3) // have-all, unchoke, and one reject
	say(m, 0, wire.Message{Kind: wire.Interested})
	ask := func(i int) string {
		return say(m, 0, wire.Of(wire.Request, m.geo.Block(wire.Piece(i/2), i%2)))
	}
	for i := range mostRequests + 1 { // one is being loaded
		ask(i)
	}
	p := m.peers[0]
	if len(p.requests) != mostRequests || len(p.rejects) != 0 {
		t.Fatalf("%d requests wait, %d rejects", len(p.requests), len(p.rejects))
	}
	for i := range mostRejects + 1 { // one is sent
		if why := ask(mostRequests + 1 + i); why != "" {
			t.Fatalf("dropped after %d rejects: %s", i, why)
		}
	}
	if why := ask(mostRequests + mostRejects + 3); why != flood {
		t.Errorf("dropped for %q", why)
	}
}

// TestQueueDepth: the queue of a fast peer grows to its reqq, and no peer's
// past mostDepth.
func TestQueueDepth(t *testing.T) {
	for _, c := range []struct{ reqq, want int }{{0, defaultReqq}, {100, 100}, {100_000, mostDepth}, {1, 1}} {
		m := New(Config{})
		m.Step(0, Geometry{Geometry: geometryOf(4, 4000)})
		m.Step(0, PeerConnect{Peer: 1, Slots: 10_000, Fast: true})
		m.Step(0, Limits{Peer: 1, Reqq: c.reqq})
		m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.HaveAll}})
		m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.Unchoke}})
		m.Step(0, wantOf(m, 0))
		lease := 0
		answer(m, 0, &lease)
		most := 0
		p := m.peers[0]
		for i := 1; i < 2000 && len(p.asked) > 0; i++ {
			b := m.geo.Block(0, int(p.asked[0].block))
			m.Step(time.Duration(i)*50*time.Microsecond, Stored{1, b, 1})
			answer(m, 0, &lease)
			most = max(most, len(p.asked))
		}
		if most != c.want {
			t.Errorf("reqq %d: a queue of %d, want %d", c.reqq, most, c.want)
		}
	}
}

// TestEarlyWords: what a peer says before the geometry is known is bounded.
func TestEarlyWords(t *testing.T) {
	m := New(Config{})
	m.Step(0, PeerConnect{Peer: 1, Slots: 1})
	for i := range mostEarlyHaves + 10 {
		m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.Have, Piece: wire.Piece(i)}})
	}
	if n := len(m.peers[0].earlyHaves); n != mostEarlyHaves {
		t.Errorf("%d haves are kept", n)
	}
	m.Step(0, PeerConnect{Peer: 2, Slots: 1})
	m.Step(0, Received{Peer: 2, Message: wire.Message{Kind: wire.HaveBitfield}, Payload: make([]byte, wire.MaxPieces/8+1)})
	if !m.peers[1].dropped {
		t.Error("a bitfield longer than any torrent's is kept")
	}
}

// TestFailuresAreBounded: however many pieces fail, so many are kept.
func TestFailuresAreBounded(t *testing.T) {
	m := New(Config{})
	m.Step(0, Geometry{Geometry: geometryOf(4*mostFailures, 2)})
	for i := range 4 * mostFailures {
		m.Step(0, Verified{Piece: wire.Piece(i), Lease: wire.Lease(i + 1), Digests: make([]wire.Digest, 2)})
	}
	if len(m.bad) != mostFailures || m.badDigests != 2*mostFailures {
		t.Errorf("%d failures with %d digests are kept", len(m.bad), m.badDigests)
	}
}

// TestFar: a peer whose only piece lies far past the horizon has it asked for.
func TestFar(t *testing.T) {
	const pieces = 5 * horizon
	m := New(Config{})
	m.Step(0, Geometry{Geometry: geometryOf(pieces, 1)})
	m.Step(0, PeerConnect{Peer: 1, Slots: 100})
	field := wire.NewBitfield(pieces)
	field.Set(pieces - 1)
	m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.HaveBitfield}, Payload: field})
	for i := range pieces {
		m.Step(0, wantOf(m, i))
	}
	m.Ready()
	m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.Unchoke}})
	if c := m.Ready(); len(c) != 1 || c[0] != (Open{pieces - 1, (pieces - 1) * time.Second}) {
		t.Errorf("%v", c)
	}
}

// TestLateBitfield adds to what a peer has, and takes nothing away; one that
// does not fit ends it, and so does a flood of them.
func TestLateBitfield(t *testing.T) {
	const pieces = 20
	field := func(set ...wire.Piece) []byte {
		b := wire.NewBitfield(pieces)
		for _, p := range set {
			b.Set(p)
		}
		return b
	}
	say := func(m *Machine, b []byte) string {
		m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.HaveBitfield}, Payload: b})
		for _, c := range m.Ready() {
			if d, ok := c.(Drop); ok {
				return d.Reason
			}
		}
		return ""
	}
	for what, first := range map[string]wire.Message{
		"have-none": {Kind: wire.HaveNone}, "have": {Kind: wire.Have, Piece: 3}, "have-all": {Kind: wire.HaveAll},
	} {
		m := New(Config{})
		m.Step(0, Geometry{Geometry: geometryOf(pieces, 1)})
		m.Step(0, PeerConnect{Peer: 1, Slots: 100, Fast: true})
		m.Step(0, Received{Peer: 1, Message: first})
		if why := say(m, field(0, 19)) + say(m, field(9)); why != "" {
			t.Errorf("%s: dropped: %s", what, why)
		}
		p := m.peers[0]
		if !p.has.Has(0) || !p.has.Has(9) || !p.has.Has(19) || p.has.Has(3) != (what != "have-none") || p.has.Has(8) != (what == "have-all") {
			t.Errorf("%s: it has %v", what, p.has)
		}
		if m.full.Count() != pieces {
			t.Errorf("%s: what all seeders share has changed", what)
		}
		if why := say(m, make([]byte, 4)); why != badBitfield {
			t.Errorf("%s: a bitfield that does not fit: %q", what, why)
		}
	}
	m := New(Config{})
	m.Step(0, Geometry{Geometry: geometryOf(pieces, 1)})
	m.Step(0, PeerConnect{Peer: 1, Slots: 100})
	for i := range mostNoise + 2 {
		if why := say(m, field(1)); (why == flood) != (i == mostNoise+1) {
			t.Fatalf("bitfield %d: %q", i, why)
		}
	}
}
