package discovery

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/bep44"
	"github.com/anacrolix/dht/v2/krpc"
	peer_store "github.com/anacrolix/dht/v2/peer-store"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"
)

// How a node of ours talks.
const (
	// QueryTime is how long a query waits for its answer; there is no second
	// try. Most nodes that answer at all do within a fraction of it, and a
	// search asks three at a time: each dead one costs it this.
	QueryTime = 800 * time.Millisecond
	// SendRate is how many packets a second one node sends, in bursts of
	// SendBurst at most.
	SendRate  = 100
	SendBurst = 200
)

// dhtNode is our node of one family: the library's server, behind its gate. A
// server lives with one id; with another id, or once its table is full of nodes
// that have gone, another takes its place.
type dhtNode struct {
	gate  *gate
	peers *peerStore
	bell  chan struct{} // holds one ring: a search has begun
	ready chan struct{} // closed when enough nodes have answered for a search
	once  sync.Once     // of that

	mu     sync.Mutex
	server *dht.Server
	inner  *inner
	id     nodeID
}

func newDHTNode(six bool) *dhtNode {
	return &dhtNode{gate: newGate(six), peers: newPeerStore(), bell: make(chan struct{}, 1), ready: make(chan struct{})}
}

// enough notes that searches may begin, once and for all.
func (n *dhtNode) enough() { n.once.Do(func() { close(n.ready) }) }

// ring wakes a node that is quiet.
func (n *dhtNode) ring() {
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

// restart has a new server take the place of the one there is, with an id and
// with nodes that are believed to be there. Nothing is sent.
func (n *dhtNode) restart(id nodeID, nodes []nodeInfo) error {
	in := newInner(n.gate)
	want := []krpc.Want{krpc.WantNodes, krpc.WantNodes6}
	server, err := dht.NewServer(&dht.ServerConfig{
		NodeId: krpc.ID(id), Conn: in, PeerStore: libraryPeers{n.peers}, DefaultWant: want,
		// What is here is what the gate let in: queries of BEP 44, for whose
		// items there is a store without a bound, are not.
		Store:            bep44.NewMemory(),
		StartingNodes:    func() ([]dht.Addr, error) { return nil, nil },
		NoSecurity:       true, // half of all nodes have no id of BEP 42
		QueryResendDelay: func() time.Duration { return QueryTime },
		SendLimiter:      rate.NewLimiter(SendRate, SendBurst),
		Logger:           noLog,
	})
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node.addr.Addr().Is6() == n.gate.six && node.id != id {
			server.AddNode(krpc.NodeInfo{ID: krpc.ID(node.id), Addr: libraryAddr(node.addr)})
		}
	}
	n.mu.Lock()
	old := n.server
	n.server, n.inner, n.id = server, in, id
	n.mu.Unlock()
	n.gate.mu.Lock()
	n.gate.inner = in
	n.gate.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// stop ends the server. The library's goroutines end by themselves, within
// QueryTime: it joins none of them.
func (n *dhtNode) stop() {
	n.gate.mu.Lock()
	n.gate.inner = nil
	n.gate.mu.Unlock()
	if s := n.current(); s != nil {
		s.Close()
	}
}

func (n *dhtNode) current() *dht.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// maintain has the library keep the table: it pings and looks for nodes until
// the server is replaced.
func (n *dhtNode) maintain() {
	s := n.current()
	// Not joined: it ends within QueryTime of its server's end, and a stop
	// need not wait for that.
	go s.TableMaintainer()
}

// nodes are the nodes of the table that are not known to be gone.
func (n *dhtNode) nodes() (nodes []nodeInfo) {
	s := n.current()
	if s == nil {
		return nil
	}
	for _, node := range s.Nodes() {
		if addr, ok := ourAddr(node.Addr); ok {
			nodes = append(nodes, nodeInfo{nodeID(node.ID), addr})
		}
	}
	return nodes
}

// find asks the node at addr for nodes near our own id and reports whether it
// answered. Who answers is in the table then.
func (n *dhtNode) find(ctx context.Context, addr netip.AddrPort) bool {
	n.mu.Lock()
	s, id := n.server, n.id
	n.mu.Unlock()
	r := s.Query(ctx, dht.NewAddr(net.UDPAddrFromAddrPort(addr)), methodFind, dht.QueryInput{
		MsgArgs: krpc.MsgArgs{Target: krpc.ID(id), Want: []krpc.Want{krpc.WantNodes, krpc.WantNodes6}},
	})
	return r.Err == nil
}

// ping asks the node at addr whether it is there.
func (n *dhtNode) ping(ctx context.Context, addr netip.AddrPort) bool {
	return n.current().Query(ctx, dht.NewAddr(net.UDPAddrFromAddrPort(addr)), methodPing, dht.QueryInput{}).Err == nil
}

// search looks for peers of a torrent, once, until nobody nearer to it is left
// to ask, or SearchTime is over, or ctx. found is given peers as they come. At
// the end the nodes nearest to the torrent are told that we are at port, if
// that is not 0.
func (n *dhtNode) search(ctx context.Context, infohash nodeID, port int, found func(peers []netip.AddrPort)) error {
	var opts []dht.AnnounceOpt
	if port != 0 {
		opts = append(opts, dht.AnnouncePeer(dht.AnnouncePeerOpts{Port: port}))
	}
	a, err := n.current().AnnounceTraversal(infohash, opts...)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, a.Close)
	defer stop()
	enough := time.NewTimer(SearchTime)
	defer enough.Stop()
	for {
		select {
		case values, ok := <-a.Peers: // it must be emptied, or the library waits for ever
			if !ok {
				return nil
			}
			var peers []netip.AddrPort
			for _, v := range values.Peers {
				if addr, ok := ourAddr(v); ok {
					peers = append(peers, addr)
				}
			}
			if len(peers) > 0 && ctx.Err() == nil {
				found(peers)
			}
		case <-enough.C:
			a.StopTraversing() // and announce to the nearest that were found
		}
	}
}

// noLog is the library's log. All that it says is of single packets.
var noLog = func() log.Logger {
	l := log.NewLogger()
	l.SetHandlers(&log.StreamHandler{W: io.Discard, Fmt: func(log.Record) []byte { return nil }})
	return l
}()

// libraryPeers is our store of peers as the library sees one. (Its own gives
// back other addresses than it was given.)
type libraryPeers struct{ store *peerStore }

func (p libraryPeers) AddPeer(infohash peer_store.InfoHash, addr krpc.NodeAddr) {
	if a, ok := ourAddr(addr); ok {
		p.store.add(nodeID(infohash), a, time.Now())
	}
}

func (p libraryPeers) GetPeers(infohash peer_store.InfoHash) (all []krpc.NodeAddr) {
	for _, a := range p.store.get(nodeID(infohash), time.Now()) {
		all = append(all, libraryAddr(a))
	}
	return all
}

func libraryAddr(a netip.AddrPort) krpc.NodeAddr {
	return krpc.NodeAddr{IP: a.Addr().AsSlice(), Port: int(a.Port())}
}

func ourAddr(a krpc.NodeAddr) (netip.AddrPort, bool) {
	ip, _ := netip.AddrFromSlice(a.IP)
	addr := netip.AddrPortFrom(ip.Unmap(), uint16(a.Port))
	return addr, a.Port == int(addr.Port()) && meetable(addr)
}

// newID is an id by chance, and one that proves to others that it was not
// chosen (BEP 42) if our address is known.
func newID(us netip.Addr) (id nodeID) {
	rand.Read(id[:])
	if us.IsValid() {
		dht.SecureNodeId((*krpc.ID)(&id), us.AsSlice())
	}
	return id
}

// secureID reports whether id is one that a node at us may have (BEP 42).
func secureID(id nodeID, us netip.Addr) bool {
	return dht.NodeIdSecure(id, us.AsSlice())
}
