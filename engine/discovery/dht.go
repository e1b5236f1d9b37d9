package discovery

// Our part in the DHT (BEP 5) is one node in each family of addresses (BEP 32).
// What is sent, and when:
//
//	quiet     ──a search begins──▶  waking: nodes of the saved table, and the
//	  ▲                             │       bootstrap nodes if those are silent
//	  │                             ▼       one answers
//	  └── none for QuietAfter ── awake: searches, announces, table maintenance
//
// A quiet node answers queries and sends nothing else. A search begins as soon
// as two nodes have answered, and does not wait until the table is full; it is
// repeated while its torrent lives, for what is announced is forgotten by
// others after half an hour.
//
//	socket ◀──▶ gate (dht_gate.go) ◀──▶ library (dht_node.go)

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How a DHT goes about its work.
const (
	SearchTime   = time.Minute      // one search at most
	SearchAgain  = 5 * time.Minute  // after one that found peers; the announces live half an hour
	SearchSooner = 15 * time.Second // after one that found none; it doubles up to SearchAgain
	QuietAfter   = 5 * time.Minute  // without a search
	SaveAgain    = 10 * time.Minute // while awake
	LookAgain    = time.Minute      // at our id and our reachability, while awake

	wakeNodes   = 32              // of the saved table that are asked first
	wakePatient = time.Second     // silence of theirs before the bootstrap nodes are asked
	wakeFirst   = 5 * time.Second // between two tries to wake; it doubles
	wakeLongest = 5 * time.Minute // up to this
	enoughNodes = 2               // that have answered: a search may begin
	maxMeeting  = 8               // nodes that are being met at a time
)

// DHTConfig is what a DHT is made of.
type DHTConfig struct {
	// Conn4 and Conn6 are the sockets of each family; nil is none. ReadFrom may
	// fail at any time; only an error around net.ErrClosed is its end. They are
	// the DHT's from now on: Close closes them.
	Conn4, Conn6 net.PacketConn
	// Nodes are the bootstrap nodes, HOST:PORT, and Resolve looks one up.
	Nodes   []string
	Resolve func(ctx context.Context, node string) ([]netip.AddrPort, error)
	State   []byte         // what Save was given last; nil if nothing ever was
	Save    func(b []byte) // keeps the routing table; called by one goroutine at a time
	Log     *slog.Logger   // nil: no log
}

// DHT is our part in the distributed hash table. All its methods may be called
// from any goroutine.
type DHT struct {
	c     DHTConfig
	nodes [2]*dhtNode // IPv4, IPv6; nil is none

	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	meeting chan struct{} // holds one for each node that is being met

	saving sync.Mutex // held while Save runs

	mu       sync.Mutex // never held while anything waits
	searches int
	latest   time.Time // when a search ended
	closed   bool
}

// NewDHT takes part in the DHT. It sends nothing before the first Search.
func NewDHT(c DHTConfig) (*DHT, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var state dhtState
	if c.State != nil {
		var err error
		if state, err = parseState(c.State); err != nil {
			c.Log.Warn("the saved DHT nodes cannot be read; others are looked for", "err", err)
		}
	}
	d := &DHT{c: c, meeting: make(chan struct{}, maxMeeting)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for i, conn := range []net.PacketConn{c.Conn4, c.Conn6} {
		if conn == nil {
			continue
		}
		id := [2]nodeID{state.id4, state.id6}[i]
		if id == (nodeID{}) {
			id = newID(netip.Addr{})
		}
		n := newDHTNode(i == 1)
		d.nodes[i] = n
		n.gate.send = func(b []byte, to netip.AddrPort) error {
			_, err := conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
			return err
		}
		n.gate.good = d.good
		n.gate.stranger = func(addr netip.AddrPort) { d.meet(n, addr) }
		n.gate.crossing = d.cross
		if err := n.restart(id, state.nodes); err != nil {
			d.Close()
			return nil, err
		}
	}
	for _, conn := range []net.PacketConn{c.Conn4, c.Conn6} {
		if conn != nil {
			d.wg.Go(func() { d.read(conn) })
		}
	}
	for _, n := range d.nodes {
		if n != nil {
			d.wg.Go(func() { d.live(n) })
		}
	}
	return d, nil
}

// Close ends everything, closes the sockets and saves the table. It does not
// wait for answers.
func (d *DHT) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	for _, conn := range []net.PacketConn{d.c.Conn4, d.c.Conn6} {
		if conn != nil {
			conn.Close()
		}
	}
	d.wg.Wait()
	d.save()
	for _, n := range d.nodes {
		if n != nil {
			n.stop()
		}
	}
}

// read takes the packets of one socket.
func (d *DHT) read(conn net.PacketConn) {
	b := make([]byte, MaxKRPC+1)
	for d.ctx.Err() == nil {
		size, from, err := conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Of a packet that was sent and came to nothing, for example: the
			// socket is as good as before.
			select {
			case <-d.ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok {
			continue
		}
		addr := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap().WithZone(""), udp.AddrPort().Port())
		family := 0
		if addr.Addr().Is6() {
			family = 1
		}
		if n := d.nodes[family]; n != nil && size <= MaxKRPC {
			n.gate.take(b[:size], addr)
		}
	}
}

// good are the nodes of a family's table that have answered of late.
func (d *DHT) good(six bool) []nodeInfo {
	n := d.nodes[0]
	if six {
		n = d.nodes[1]
	}
	if n == nil {
		return nil
	}
	return n.gate.trustedOf(n.nodes())
}

// Nodes is how many nodes that we know have answered of late, of both families.
func (d *DHT) Nodes() int { return len(d.good(false)) + len(d.good(true)) }

// awake reports whether something is searched for, or was a while ago.
func (d *DHT) awake() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isAwake()
}

// isAwake is awake with the lock held.
func (d *DHT) isAwake() bool {
	return !d.closed && (d.searches > 0 || !d.latest.IsZero() && time.Since(d.latest) < QuietAfter)
}

// meet gets to know the node at addr, in the background, if we are awake and
// are not meeting too many already. Once it has answered it is in the table.
func (d *DHT) meet(n *dhtNode, addr netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isAwake() {
		return
	}
	select {
	case d.meeting <- struct{}{}:
		d.wg.Go(func() {
			if n.ping(d.ctx, addr) && len(d.good(n.gate.six)) >= enoughNodes {
				n.enough()
			}
			<-d.meeting
		})
	default:
	}
}

// Meet gets to know a node that a peer named (BEP 5, message `port`), as meet
// does.
func (d *DHT) Meet(addr netip.AddrPort) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
	family := 0
	if addr.Addr().Is6() {
		family = 1
	}
	if n := d.nodes[family]; n != nil && meetable(addr) {
		d.meet(n, addr)
	}
}

// Us takes what somebody else, a tracker (BEP 24), says that our address is. It
// is one vote, as each node's word is.
func (d *DHT) Us(voter, us netip.Addr) {
	i := 0
	if us.Is6() {
		i = 1
	}
	if n := d.nodes[i]; n != nil {
		n.gate.mu.Lock()
		n.gate.votes.add(voter, us)
		n.gate.mu.Unlock()
	}
}

// cross takes nodes of the other family: they are met while that one's table
// is nearly empty.
func (d *DHT) cross(nodes []nodeInfo) {
	for _, node := range nodes {
		i := 0
		if node.addr.Addr().Is6() {
			i = 1
		}
		if n := d.nodes[i]; n != nil && len(n.nodes()) < replyNodes {
			d.meet(n, node.addr)
		}
	}
}

// Address is our address of one family, as far as enough others agree on it
// (BEP 42); invalid otherwise.
func (d *DHT) Address(six bool) (us netip.Addr) {
	i := 0
	if six {
		i = 1
	}
	if n := d.nodes[i]; n != nil {
		n.gate.mu.Lock()
		us, _ = n.gate.votes.elected()
		n.gate.mu.Unlock()
	}
	return us
}

// Search looks for peers of a torrent until ctx ends, and announces that we are
// at port, which may be another one over IPv6 and change (0: it does not). found is given peers as they come, by more than one
// goroutine.
func (d *DHT) Search(ctx context.Context, infohash [20]byte, port func(six bool) int, found func(peers []netip.AddrPort)) {
	d.begin(1)
	defer d.begin(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	var searching sync.WaitGroup
	for _, n := range d.nodes {
		if n != nil {
			searching.Go(func() { d.repeat(ctx, n, infohash, port, found) })
		}
	}
	searching.Wait()
}

// repeat searches over one family until ctx ends.
func (d *DHT) repeat(ctx context.Context, n *dhtNode, infohash nodeID, port func(six bool) int, found func([]netip.AddrPort)) {
	select {
	case <-n.ready:
	case <-ctx.Done():
	}
	for sooner := SearchSooner; ctx.Err() == nil; {
		some := false
		if peers := n.peers.get(infohash, time.Now()); len(peers) > 0 { // who announced to us
			some = true
			found(peers)
		}
		err := n.search(ctx, infohash, port(n.gate.six), func(peers []netip.AddrPort) {
			some = true
			found(peers)
		})
		wait := sooner
		if sooner = min(2*sooner, SearchAgain); some {
			wait, sooner = SearchAgain, SearchSooner
		}
		if err != nil {
			d.c.Log.Debug("a DHT search cannot begin", "err", err)
		}
		// Less up to a quarter by chance: torrents that began together do not
		// go on together.
		select {
		case <-time.After(wait - time.Duration(rand.Int64N(int64(wait/4)))):
		case <-ctx.Done():
		}
	}
}

// begin counts the searches.
func (d *DHT) begin(n int) {
	d.mu.Lock()
	d.searches += n
	d.latest = time.Now()
	d.mu.Unlock()
	for _, n := range d.nodes {
		if n != nil {
			n.ring()
		}
	}
}

// state is what is worth keeping.
func (d *DHT) state() (s dhtState) {
	for i, n := range d.nodes {
		if n == nil {
			continue
		}
		n.mu.Lock()
		id := n.id
		n.mu.Unlock()
		*[]*nodeID{&s.id4, &s.id6}[i] = id
		nodes := n.gate.trustedOf(n.nodes())
		if len(nodes) == 0 {
			nodes = n.nodes() // all of a table that was loaded and not used
		}
		s.nodes = append(s.nodes, nodes[:min(len(nodes), maxSaved)]...)
	}
	return s
}

// save keeps the table, if there is one.
func (d *DHT) save() {
	d.saving.Lock()
	defer d.saving.Unlock()
	if s := d.state(); d.c.Save != nil && len(s.nodes) > 0 {
		d.c.Save(s.encode())
	}
}
