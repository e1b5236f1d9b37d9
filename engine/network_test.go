package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDialAndListen(t *testing.T) {
	n := network(NetworkConfig{})
	for addr, to := range map[string][]string{
		":0": {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, "127.0.0.1:0": {"127.0.0.1"}, "[::1]:0": {"::1"},
	} {
		l, err := n.Listen(t.Context(), addr)
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		for _, ip := range to {
			c, err := n.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(ip), port))
			if err != nil {
				t.Errorf("listening at %s, dialling %s: %v", addr, ip, err)
				continue
			}
			if a, err := l.Accept(); err != nil {
				t.Error(err)
			} else {
				a.Close()
			}
			c.Close()
		}
		if _, err := n.Listen(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "choose another port") {
			t.Errorf("a port that is taken: %v", err)
		}
		l.Close()
	}
	for _, addr := range []string{"", "6881", "127.0.0.1", ":http", ":-1", ":65536", "::1:80:"} {
		if l, err := n.Listen(t.Context(), addr); err == nil || !strings.HasPrefix(err.Error(), "cannot listen") {
			t.Errorf("%q: %v, %v", addr, l, err)
		}
	}
}

// TestListenFamilies: all addresses of one family are not those of the other.
func TestListenFamilies(t *testing.T) {
	n := network(NetworkConfig{})
	for _, pair := range [][2]string{{"0.0.0.0", "::1"}, {"::", "127.0.0.1"}} {
		l, err := n.Listen(t.Context(), net.JoinHostPort(pair[0], "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := l.Addr().(*net.TCPAddr).AddrPort()
		if c, err := n.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(pair[1]), at.Port())); err == nil {
			c.Close()
			t.Errorf("who listens at %s is reached at %s", at, pair[1])
		}
	}
	var port string
	for _, host := range []string{"0.0.0.0", "::"} {
		l, err := n.Listen(t.Context(), net.JoinHostPort(host, cmp.Or(port, "0")))
		if err != nil {
			t.Fatal("both families at one port:", err)
		}
		defer l.Close()
		_, port, _ = net.SplitHostPort(l.Addr().String())
		u, err := n.ListenPacket(t.Context(), l.Addr().String())
		if err != nil {
			t.Fatal("both families at one port over UDP:", err)
		}
		defer u.Close()
	}
}

func TestDialRefuses(t *testing.T) {
	n := network(NetworkConfig{})
	for _, addr := range []string{"0.0.0.0:80", "[::]:80", "[::ffff:0.0.0.0]:80", "224.0.0.1:80", "[ff02::1]:80", "127.0.0.1:0"} {
		if _, err := n.Dial(t.Context(), netip.MustParseAddrPort(addr)); err == nil || !strings.Contains(err.Error(), "not the address of a peer") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := n.Dial(t.Context(), netip.AddrPort{}); err == nil {
		t.Error("no address was dialled")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Dial(ctx, netip.MustParseAddrPort("127.0.0.1:1")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// names is a DNS server for tests: it answers questions for A records with the
// next address of a name, the last one for ever. Other questions have no answer.
type names struct {
	mu  sync.Mutex
	has map[string][]string
}

// dial is for net.Resolver.Dial: a datagram connection to the server.
func (s *names) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		q := make([]byte, 1500)
		for {
			// A pipe is no net.PacketConn, so messages are as over TCP: with a length.
			n, err := theirs.Read(q)
			if err != nil {
				return
			}
			for n < 2 || n < 2+int(binary.BigEndian.Uint16(q)) {
				more, err := theirs.Read(q[n:])
				if err != nil {
					return
				}
				n += more
			}
			a := s.answer(q[2:n])
			theirs.Write(binary.BigEndian.AppendUint16(nil, uint16(len(a))))
			theirs.Write(a)
		}
	}()
	return ours, nil
}

// answer is the reply to one question, RFC 1035 by hand.
func (s *names) answer(q []byte) []byte {
	var labels []string
	at := 12
	for q[at] != 0 {
		labels = append(labels, string(q[at+1:at+1+int(q[at])]))
		at += 1 + int(q[at])
	}
	question := q[12 : at+5]
	name := strings.Join(labels, ".")
	var addrs []string
	if binary.BigEndian.Uint16(q[at+1:]) == 1 { // A
		s.mu.Lock()
		if has := s.has[name]; len(has) > 0 {
			addrs = strings.Fields(has[0])
			s.has[name] = has[min(1, len(has)-1):]
		}
		s.mu.Unlock()
	}
	a := append([]byte{q[0], q[1], 0x84, 0, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0}, question...)
	for _, addr := range addrs {
		ip := netip.MustParseAddr(addr).As4()
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, ip[:]...)
	}
	return a
}

// network is a door that is known to open.
func network(c NetworkConfig) *Network {
	n, err := NewNetwork(c)
	if err != nil {
		panic(err)
	}
	return n
}

// lab is a network in which the world is 127.0.1.0/24, and the rest of loopback
// is local.
func lab(has map[string][]string) *Network {
	n := network(NetworkConfig{UserAgent: "bipfs/test"})
	n.local = func(ip netip.Addr) bool { return !netip.MustParsePrefix("127.0.1.0/24").Contains(ip.Unmap()) }
	n.resolver.PreferGo = true
	n.resolver.Dial = (&names{has: has}).dial
	return n
}

func TestResolve(t *testing.T) {
	many := make([]string, 2*MaxResolved)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()
	}
	n := lab(map[string][]string{"peer.example": {"10.0.0.1 10.0.0.2"}, "many.example": {strings.Join(many, " ")}})
	for peer, want := range map[string]string{
		"1.2.3.4:6881": "1.2.3.4:6881", "[2001:db8::1]:6881": "[2001:db8::1]:6881", "[::ffff:1.2.3.4]:1": "1.2.3.4:1",
		"peer.example:6881": "10.0.0.1:6881 10.0.0.2:6881",
	} {
		got, err := n.Resolve(t.Context(), peer)
		var all []string
		for _, a := range got {
			all = append(all, a.String())
		}
		if slices.Sort(all); strings.Join(all, " ") != want || err != nil {
			t.Errorf("%s: %v, %v", peer, got, err)
		}
	}
	if got, err := n.Resolve(t.Context(), "many.example:1"); len(got) != MaxResolved {
		t.Errorf("%d addresses of one name, %v", len(got), err)
	}
	for _, peer := range []string{"", "peer.example", ":6881", "peer.example:0", "peer.example:99999", "1.2.3.4:x", "bücher.example:1", "none.example:1"} {
		if got, err := n.Resolve(t.Context(), peer); err == nil {
			t.Errorf("%q: %v", peer, got)
		}
	}
}

func TestResolveEnds(t *testing.T) {
	n := lab(nil)
	n.resolver.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got, err := n.Resolve(ctx, "peer.example:1"); err == nil {
		t.Errorf("resolved to %v", got)
	}
}

func TestHTTPClientOfNoPurpose(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var _ *http.Client = network(NetworkConfig{}).HTTPClient(99)
}
