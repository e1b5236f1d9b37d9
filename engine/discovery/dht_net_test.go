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
// is lost but those that drop says.
type packetNet struct {
	delay time.Duration

	mu      sync.Mutex
	conns   map[netip.AddrPort]*packetConn
	packets int
	drop    func(from, to netip.AddrPort, b []byte) bool // nil: none
}

func newPacketNet(delay time.Duration) *packetNet {
	return &packetNet{delay: delay, conns: map[netip.AddrPort]*packetConn{}}
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
	if c.n.drop != nil && c.n.drop(c.addr, dst, p.b) {
		return len(b), nil
	}
	time.AfterFunc(c.n.delay, func() {
		c.n.mu.Lock()
		other := c.n.conns[dst]
		c.n.mu.Unlock()
		if other != nil {
			select {
			case other.in <- p:
			default:
			}
		}
	})
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

// over waits, after all of ds were closed, until the library's goroutines have
// ended.
func over(ds ...*DHT) {
	for _, d := range ds {
		d.Close()
	}
	time.Sleep(time.Minute)
}

// searching searches in the background until stop is called.
func searching(d *DHT, infohash [20]byte, port int, found func([]netip.AddrPort)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.Search(ctx, infohash, port, found) })
	synctest.Wait()
	return func() {
		cancel()
		wg.Wait()
	}
}

func nobody([]netip.AddrPort) {}
