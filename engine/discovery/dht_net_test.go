package discovery

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// packetNet is a network of packets in false time: each takes delay, and none
// is lost but those that drop says. One goroutine carries them all: the race
// detector of go1.26 does not survive ten thousand timers in one bubble, so
// tests stay well below 5,000 packets.
type packetNet struct {
	delay time.Duration
	way   chan travelling
	wg    sync.WaitGroup

	mu      sync.Mutex
	conns   map[netip.AddrPort]*packetConn
	packets int
	stopped bool
	drop    func(from, to netip.AddrPort, b []byte) bool // nil: none
}

func newPacketNet(delay time.Duration) *packetNet {
	n := &packetNet{delay: delay, way: make(chan travelling, 1<<16), conns: map[netip.AddrPort]*packetConn{}}
	n.wg.Go(n.carry)
	return n
}

// travelling is a packet on its way.
type travelling struct {
	packet
	to  netip.AddrPort
	due time.Time
}

// carry delivers packets in the order that they were sent in, until stop.
func (n *packetNet) carry() {
	for p := range n.way {
		time.Sleep(time.Until(p.due))
		n.mu.Lock()
		to := n.conns[p.to]
		n.mu.Unlock()
		if to != nil {
			select {
			case to.in <- p.packet:
			default:
			}
		}
	}
}

// stop ends the network: nobody sends any more.
func (n *packetNet) stop() {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	close(n.way)
	n.wg.Wait()
}

func (n *packetNet) sent() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.packets
}

// answerSizes are the lengths of answers that somebody sends.
type answerSizes struct {
	mu  sync.Mutex
	all []int
}

// take gives the lengths since it was asked last.
func (s *answerSizes) take() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

// answers notes the answers of who from now on.
func (n *packetNet) answers(who netip.AddrPort) *answerSizes {
	s := &answerSizes{}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = func(from, _ netip.AddrPort, b []byte) bool {
		if m, _ := parseKRPC(b); from == who && m.kind == 'r' {
			s.mu.Lock()
			s.all = append(s.all, len(b))
			s.mu.Unlock()
		}
		return false
	}
	return s
}

// packetConn is a socket of a packetNet.
type packetConn struct {
	n    *packetNet
	addr netip.AddrPort
	in   chan packet
	done chan struct{}
	once sync.Once
}

func (n *packetNet) listen(addr string) *packetConn {
	c := &packetConn{n: n, addr: netip.MustParseAddrPort(addr), in: make(chan packet, 1000), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c.addr] = c
	return c
}

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		if p.b == nil {
			return 0, nil, os.ErrPermission
		}
		return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	p := packet{append([]byte(nil), b...), c.addr}
	dst := to.(*net.UDPAddr).AddrPort()
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.n.packets++
	if c.n.stopped {
		return 0, net.ErrClosed
	}
	if c.n.drop != nil && c.n.drop(c.addr, dst, p.b) {
		return len(b), nil
	}
	select {
	case c.n.way <- travelling{p, dst, time.Now().Add(c.n.delay)}:
	default: // lost
	}
	return len(b), nil
}

func (c *packetConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}
func (c *packetConn) SetReadDeadline(time.Time) error    { return nil }
func (c *packetConn) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(c.addr) }
func (c *packetConn) SetDeadline(time.Time) error        { return nil }
func (c *packetConn) SetWriteDeadline(t time.Time) error { return nil }

// byAddress resolves addresses only.
func byAddress(_ context.Context, node string) ([]netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(node)
	return []netip.AddrPort{a}, err
}

// join makes a DHT at addr, an IPv4 address, that knows the nodes.
func (n *packetNet) join(t *testing.T, addr string, nodes ...string) *DHT {
	t.Helper()
	d, err := NewDHT(DHTConfig{Conn4: n.listen(addr), Nodes: nodes, Resolve: byAddress})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// over closes all of ds, waits until the library's goroutines have ended, and
// ends the network.
func over(ds ...*DHT) {
	for _, d := range ds {
		d.Close()
	}
	time.Sleep(time.Minute)
	ds[0].c.Conn4.(*packetConn).n.stop()
}

// searching searches in the background until stop is called.
func searching(d *DHT, infohash [20]byte, port int, found func([]netip.AddrPort)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.Search(ctx, infohash, func(bool) int { return port }, found) })
	synctest.Wait()
	return func() {
		cancel()
		wg.Wait()
	}
}

func nobody([]netip.AddrPort) {}
