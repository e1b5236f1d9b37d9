package discovery

// Between the socket and the library stands a gate, one for each family of
// addresses. Nothing of a packet goes through it but what we have understood
// ourselves, written anew:
//
//	socket ──parse──▶ query:  too many? read-only?  ──written anew──▶ library
//	                  answer: to which query of ours?                    │
//	socket ◀─bounded── answer: the right nodes, never longer than        │
//	                          the query of whom we do not know    ◀──────┘
//	                  query:  its transaction id by chance
//
// The library (anacrolix/dht v2.23.0) dies of packets that anybody can send (an
// address of one byte, an announce without arguments) and of errors of its
// socket; it numbers its transactions 0, 1, 2, so that whoever guesses the
// number can answer for another; it answers find_node with the nodes near zero,
// and with nodes of the wrong family. Here all of that ends.

import (
	"cmp"
	"crypto/rand"
	"hash/maphash"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Bounds of a gate.
const (
	maxPending  = 4096             // queries of ours that wait for an answer
	maxAsked    = 1024             // queries of others that are being answered
	maxAnswered = 4096             // nodes that we know by their answers
	trustTime   = 15 * time.Minute // how long an answer shows that an address is real
	maxInbox    = 256              // packets that wait for the library
	maxReply    = 1200             // bytes of an answer: it fits in one packet of any network
	replyNodes  = 8                // nodes of an answer (BEP 5)

	// QueryRate is how many queries a second are answered, QueryRateEach of
	// those that come from one address (or a few that share its place).
	QueryRate     = 200
	QueryRateEach = 10
	ratePlaces    = 512
)

type packet struct {
	b    []byte
	from netip.AddrPort
}

// exchange is a query and its answer: who, and the transaction id.
type exchange struct {
	addr        netip.AddrPort
	transaction string
}

// asked is a query of another node.
type asked struct {
	method       string
	target       nodeID
	want4, want6 bool
	length       int // bytes
}

// gate is the door between the network and the library, for one family. None of
// its functions is called with mu held.
type gate struct {
	six      bool
	send     func(b []byte, to netip.AddrPort) error
	good     func(six bool) []nodeInfo // nodes of a table that have answered of late
	stranger func(addr netip.AddrPort) // queried us, and we do not know it
	crossing func(nodes []nodeInfo)    // of the other family, in an answer

	mu       sync.Mutex
	inner    *inner // the library's end; nil between two of its lives
	pending  lately[exchange, sent]
	asked    lately[exchange, asked]
	answered lately[netip.AddrPort, time.Time]
	spoken   lately[netip.Addr, struct{}] // to whom we sent queries
	votes    votes
	reach    reach
	heard    int // answers, ever

	seed   maphash.Seed
	second time.Time // of the counts below
	count  int
	counts [ratePlaces]uint8
}

func newGate(six bool) *gate {
	return &gate{
		six: six, seed: maphash.MakeSeed(),
		pending: newLately[exchange, sent](maxPending), asked: newLately[exchange, asked](maxAsked),
		answered: newLately[netip.AddrPort, time.Time](maxAnswered), spoken: newLately[netip.Addr, struct{}](maxAnswered),
		votes: votes{newLately[netip.Addr, netip.Addr](maxVoters)},
	}
}

// take takes a packet of the network.
func (g *gate) take(b []byte, from netip.AddrPort) {
	m, ok := parseKRPC(b)
	if !ok || !meetable(from) {
		return
	}
	now := time.Now()
	g.mu.Lock()
	var stranger bool
	var crossing []nodeInfo
	if m.kind == 'q' {
		ok, stranger = g.queried(&m, len(b), from, now)
	} else {
		ok, crossing = g.replied(&m, from, now)
	}
	if ok && g.inner != nil {
		g.inner.put(packet{appendKRPC(nil, m), from})
	}
	g.mu.Unlock()
	if stranger {
		g.stranger(from)
	}
	if len(crossing) > 0 {
		g.crossing(crossing)
	}
}

// queried notes a query; ok is whether it is answered, stranger whether we
// should get to know who sent it. The lock is held.
func (g *gate) queried(m *krpcMessage, length int, from netip.AddrPort, now time.Time) (ok, stranger bool) {
	if !g.affordable(from.Addr(), now) {
		return false, false
	}
	if _, spoken := g.spoken.get(from.Addr()); !spoken {
		g.reach.stranger = now
	}
	if g.reach.readOnly {
		return false, false
	}
	g.asked.put(exchange{from, m.transaction}, asked{m.method, m.target, m.want4, m.want6, length})
	m.seen = netip.AddrPort{}
	return true, !m.readOnly && !g.trusted(from, now)
}

// affordable counts a query against the rates. The lock is held.
func (g *gate) affordable(ip netip.Addr, now time.Time) bool {
	if now.Sub(g.second) >= time.Second {
		g.second, g.count, g.counts = now, 0, [ratePlaces]uint8{}
	}
	if ip.Is6() { // who has one address of a /64 has all
		p, _ := ip.Prefix(64)
		ip = p.Addr()
	}
	place := &g.counts[maphash.Comparable(g.seed, ip)%ratePlaces]
	if g.count >= QueryRate || *place >= QueryRateEach {
		return false
	}
	g.count++
	*place++
	return true
}

// trusted reports whether addr has answered us of late: it is where its packets
// say that it is. The lock is held.
func (g *gate) trusted(addr netip.AddrPort, now time.Time) bool {
	at, ok := g.answered.get(addr)
	return ok && now.Sub(at) < trustTime
}

// trustedOf are those of nodes that are trusted.
func (g *gate) trustedOf(nodes []nodeInfo) []nodeInfo {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(nodes, func(n nodeInfo) bool { return !g.trusted(n.addr, now) })
}

// replied takes an answer, or an error, to a query of ours; ok is false if we
// have none of that kind. The lock is held.
func (g *gate) replied(m *krpcMessage, from netip.AddrPort, now time.Time) (ok bool, crossing []nodeInfo) {
	query, ok := g.pending.take(exchange{from, m.transaction})
	if !ok {
		return false, nil
	}
	m.transaction = query.transaction
	if m.kind == 'e' {
		return true, nil
	}
	g.answered.put(from, now)
	g.heard++
	g.reach.answers++
	if m.seen.IsValid() && m.seen.Addr().Is6() == g.six {
		g.votes.add(from.Addr(), m.seen.Addr())
	}
	m.seen = netip.AddrPort{}
	m.nodes = uncrowded(withinScope(m.nodes, from), query.target)
	m.nodes6 = uncrowded(withinScope(m.nodes6, from), query.target)
	m.values = slices.DeleteFunc(m.values, func(a netip.AddrPort) bool {
		return scope(a.Addr()) > scope(from.Addr())
	})
	if g.six {
		crossing, m.nodes = m.nodes, nil
	} else {
		crossing, m.nodes6 = m.nodes6, nil
	}
	return true, crossing
}

// withinScope leaves out the nodes that from must not send us to.
func withinScope(nodes []nodeInfo, from netip.AddrPort) []nodeInfo {
	return slices.DeleteFunc(nodes, func(n nodeInfo) bool { return scope(n.addr.Addr()) > scope(from.Addr()) })
}

// give takes a packet of the library for to.
func (g *gate) give(b []byte, to netip.AddrPort) error {
	m, ok := parseKRPC(b)
	if !ok || !meetable(to) || to.Addr().Is6() != g.six {
		return os.ErrInvalid
	}
	if m.kind == 'q' {
		g.mu.Lock()
		m.readOnly = g.reach.readOnly
		query := sent{m.transaction, m.target}
		var t [4]byte
		rand.Read(t[:])
		m.transaction = string(t[:])
		g.pending.put(exchange{to, m.transaction}, query)
		g.spoken.put(to.Addr(), struct{}{})
		g.mu.Unlock()
		return g.send(appendKRPC(nil, m), to)
	}
	g.mu.Lock()
	q, ok := g.asked.take(exchange{to, m.transaction})
	limit := q.length
	if g.trusted(to, time.Now()) {
		limit = maxReply
	}
	g.mu.Unlock()
	if !ok {
		return os.ErrInvalid
	}
	if m.kind == 'r' {
		m.seen = to
		g.nodesFor(&m, q)
	}
	if b := fit(m, limit); b != nil {
		return g.send(b, to)
	}
	return nil
}

// nodesFor fills in the nodes of an answer: those of each family that was asked
// for (BEP 32) that are nearest to the target, of those that we know by their
// answers. The library's own choice is of the wrong target, or bucket.
func (g *gate) nodesFor(m *krpcMessage, q asked) {
	m.nodes, m.nodes6 = nil, nil
	if q.method != methodFind && q.method != methodGet {
		return
	}
	if !q.want4 && !q.want6 {
		q.want4, q.want6 = !g.six, g.six
	}
	if q.want4 {
		m.nodes = nearest(g.good(false), q.target)
	}
	if q.want6 {
		m.nodes6 = nearest(g.good(true), q.target)
	}
}

// nearest are the nodes nearest to target, replyNodes at most.
func nearest(nodes []nodeInfo, target nodeID) []nodeInfo {
	slices.SortFunc(nodes, func(a, b nodeInfo) int { return nearer(a.id, b.id, target) })
	return nodes[:min(len(nodes), replyNodes)]
}

// nearer compares the distances of two ids to target (BEP 5: their XOR).
func nearer(a, b, target nodeID) int {
	for i := range target {
		if c := cmp.Compare(a[i]^target[i], b[i]^target[i]); c != 0 {
			return c
		}
	}
	return 0
}

// fit is m in limit bytes at most, without what it can do without; nil if that
// is not enough. Who forges the address of a query must not be able to send
// more there through us than by itself.
func fit(m krpcMessage, limit int) []byte {
	for {
		b := appendKRPC(nil, m)
		switch {
		case len(b) <= limit:
			return b
		case len(m.nodes6) > 0:
			m.nodes6 = m.nodes6[:len(m.nodes6)-1]
		case len(m.nodes) > 0:
			m.nodes = m.nodes[:len(m.nodes)-1]
		case m.seen.IsValid():
			m.seen = netip.AddrPort{}
		case len(m.values) > 0:
			m.values = m.values[:len(m.values)-1]
		case m.token != "" && m.kind == 'r':
			m.token = ""
		default:
			return nil
		}
	}
}

// inner is the library's end of a gate: a net.PacketConn that fails only when
// it is closed.
type inner struct {
	g    *gate
	in   chan packet
	done chan struct{}
	once sync.Once
}

func newInner(g *gate) *inner {
	return &inner{g: g, in: make(chan packet, maxInbox), done: make(chan struct{})}
}

// put hands a packet to the library; one too many is lost, as on the way.
func (c *inner) put(p packet) {
	select {
	case c.in <- p:
	default:
	}
}

// ReadFrom gives the next message that passed the gate.
func (c *inner) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends a message through the gate.
func (c *inner) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, net.ErrClosed
	default:
	}
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, os.ErrInvalid
	}
	a := udp.AddrPort()
	if err := c.g.give(b, netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close ends ReadFrom.
func (c *inner) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// LocalAddr is no real address: the gate has none.
func (c *inner) LocalAddr() net.Addr                { return &net.UDPAddr{IP: net.IPv4zero} }
func (c *inner) SetDeadline(time.Time) error        { return os.ErrNoDeadline }
func (c *inner) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *inner) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }
