package engine

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bipfs/engine/discovery"
)

// A relay is a proxy of the tests, SOCKS5 and HTTP at one port. It notes where
// it is asked to connect to, and knows names that nobody else does.
type relay struct {
	addr  string
	user  string // "user:password"; "" asks for none
	names map[string]string

	mu    sync.Mutex
	asked []string
	open  []net.Conn
}

func newRelay(t *testing.T, user string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &relay{addr: l.Addr().String(), user: user, names: map[string]string{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.keep(c)
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.open {
			c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

func (p *relay) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, c)
}

func (p *relay) url(scheme string) string {
	return scheme + "://" + strings.Trim(p.user+"@"+p.addr, "@")
}

// serve is one connection.
func (p *relay) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	to, answer := "", ""
	if first[0] == 5 {
		to, answer = p.socks(r, c), "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	} else {
		to, answer = p.connect(r, c), "HTTP/1.1 200 Connected\r\n\r\n"
	}
	if to == "" {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, to)
	p.mu.Unlock()
	if host, port, _ := net.SplitHostPort(to); p.names[host] != "" {
		to = net.JoinHostPort(p.names[host], port)
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		io.WriteString(c, "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")
		return
	}
	p.keep(out)
	defer out.Close()
	io.WriteString(c, answer)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { io.Copy(out, r); out.Close() })
	io.Copy(c, out)
	c.Close()
}

func (p *relay) socks(r *bufio.Reader, c net.Conn) string {
	b := make([]byte, 512)
	io.ReadFull(r, b[:2])
	io.ReadFull(r, b[:b[1]])
	if p.user == "" {
		c.Write([]byte{5, 0})
	} else {
		c.Write([]byte{5, 2})
		io.ReadFull(r, b[:2])
		name := make([]byte, b[1])
		io.ReadFull(r, name)
		io.ReadFull(r, b[:1])
		word := make([]byte, b[0])
		io.ReadFull(r, word)
		if string(name)+":"+string(word) != p.user {
			c.Write([]byte{1, 1})
			return ""
		}
		c.Write([]byte{1, 0})
	}
	io.ReadFull(r, b[:4])
	size := map[byte]int{1: 4, 4: 16}[b[3]]
	host := ""
	if size == 0 {
		io.ReadFull(r, b[:1])
		name := make([]byte, b[0])
		io.ReadFull(r, name)
		host = string(name)
	} else {
		io.ReadFull(r, b[:size])
		ip, _ := netip.AddrFromSlice(b[:size])
		host = ip.String()
	}
	io.ReadFull(r, b[:2])
	return net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(b)))
}

func (p *relay) connect(r *bufio.Reader, c net.Conn) string {
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != http.MethodConnect {
		return ""
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user))
	if p.user != "" && req.Header.Get("Proxy-Authorization") != want {
		io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
		return ""
	}
	return req.Host
}

// TestProxy: peers and URLs are reached through the proxy, which looks names
// up; nothing else is done.
func TestProxy(t *testing.T) {
	server := serveAt(t, "127.0.0.1", hello)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server, "http://"))
	for _, scheme := range []string{"socks5", "socks5h", "http"} {
		for _, user := range []string{"", "me:secret"} {
			t.Run(scheme+" "+user, func(t *testing.T) {
				p := newRelay(t, user)
				p.names["nowhere.example"] = "127.0.0.1"
				n := network(NetworkConfig{Proxy: p.url(scheme)})
				if got, err := get(n, ForTorrent, "http://nowhere.example:"+port+"/"); got != "hello" || err != nil {
					t.Errorf("a URL: %q, %v", got, err)
				}
				c, err := n.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:"+port))
				if err != nil {
					t.Fatal(err)
				}
				if _, raw := c.(*net.TCPConn); !raw {
					t.Errorf("a peer's socket is a %T", c)
				}
				fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
				if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "hello") {
					t.Errorf("a peer: %q, %v", b, err)
				}
				c.Close()
				if want := []string{"nowhere.example:" + port, "127.0.0.1:" + port}; !slices.Equal(p.asked, want) {
					t.Errorf("the proxy was asked for %q, want %q", p.asked, want)
				}
				if _, err := n.Listen(t.Context(), "127.0.0.1:0"); !errors.Is(err, ErrProxied) {
					t.Errorf("listening: %v", err)
				}
				if _, err := n.Resolve(t.Context(), "peer.example:1"); !errors.Is(err, ErrProxied) {
					t.Errorf("looking up a name: %v", err)
				}
			})
		}
	}
}

// TestProxiedTracker: that the proxy is on this machine does not make the trackers behind
// it neighbours, who may name peers here.
func TestProxiedTracker(t *testing.T) {
	server := serveAt(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "d8:intervali1800e5:peers12:\x7f\x00\x00\x01\x00\x50\x08\x08\x08\x08\x00\x50e")
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server, "http://"))
	p := newRelay(t, "")
	p.names["tracker.example"] = "127.0.0.1"
	way := discovery.HTTP{Client: network(NetworkConfig{Proxy: p.url("socks5")}).TrackerClient(IPv4)}
	for host, want := range map[string]string{"tracker.example": "[8.8.8.8:80]", "127.0.0.1": "[127.0.0.1:80 8.8.8.8:80]"} {
		answer, err := way.Announce(t.Context(), "http://"+host+":"+port+"/announce", discovery.Announce{})
		if got := fmt.Sprint(answer.Peers); got != want || err != nil {
			t.Errorf("%s names %s, want %s, %v", host, got, want, err)
		}
	}
}

// TestProxyRefuses: what a torrent names may not press buttons here through the
// proxy either, and a proxy that refuses or says nothing is an end.
func TestProxyRefuses(t *testing.T) {
	p := newRelay(t, "")
	n := network(NetworkConfig{Proxy: p.url("socks5")})
	for _, u := range []string{"http://127.0.0.1:1/x", "http://[::1]:1/x", "http://localhost:1/x", "http://LOCALHOST.:1/x", "http://a.localhost:1/x", "http://10.0.0.1:1/"} {
		if _, err := get(n, ForTracker, u); !errors.Is(err, ErrLocalAddress) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if len(p.asked) > 0 {
		t.Errorf("the proxy was asked for %q", p.asked)
	}
	guarded := newRelay(t, "me:secret")
	for _, scheme := range []string{"socks5", "http"} {
		u, _ := url.Parse(guarded.url(scheme))
		u.User = url.UserPassword("me", "wrong")
		_, err := network(NetworkConfig{Proxy: u.String()}).Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"))
		if err == nil || !strings.HasPrefix(err.Error(), "through the proxy") || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	for name, says := range map[string]string{"an endless answer": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*MaxHeader), "nonsense": "hello\r\n\r\n"} {
		addr := serveOnce(t, says)
		if _, err := network(NetworkConfig{Proxy: "http://" + addr}).Dial(t.Context(), netip.MustParseAddrPort("1.2.3.4:1")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// serveOnce writes says to whoever connects first.
func serveOnce(t *testing.T, says string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(longEnough))
		io.WriteString(c, says)
		io.Copy(io.Discard, c)
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func TestParseProxy(t *testing.T) {
	for _, s := range []string{"", "socks5://127.0.0.1:9050", "socks5h://u:p@proxy.example:1080/", "http://[::1]:3128"} {
		if _, err := ParseProxy(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"127.0.0.1:9050", "socks4://h:1", "https://h:1", "socks5://h", "socks5://:1", "socks5://h:0", "socks5://h:65536", "socks5://h:1/x", "http://h:1?x", "http://h:1#x", "%"} {
		if u, err := ParseProxy(s); err == nil {
			t.Errorf("%q: %v", s, u)
		}
	}
}

// TestBinding: packets leave from the address or device that was named, or not
// at all.
func TestBinding(t *testing.T) {
	var from []netip.Addr
	var mu sync.Mutex
	server := serveAt(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from = append(from, netip.MustParseAddrPort(r.RemoteAddr).Addr())
		hello(w, r)
	})
	to := netip.MustParseAddrPort(strings.TrimPrefix(server, "http://"))
	n := network(NetworkConfig{Bind: "127.0.0.1"})
	if got, err := get(n, ForTorrent, server); got != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c, err := n.Dial(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if a := netip.MustParseAddrPort(c.LocalAddr().String()).Addr(); a != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("a peer sees %v", a)
	}
	c.Close()
	if _, err := n.Dial(t.Context(), netip.MustParseAddrPort("[::1]:1")); !errors.Is(err, ErrUnbound) {
		t.Errorf("another family: %v", err)
	}
	l, err := n.Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	if a := netip.MustParseAddrPort(l.Addr().String()).Addr(); a != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("it listens at %v", a)
	}
	l.Close()
	gone := network(NetworkConfig{Bind: "lo"})
	if _, err := get(gone, ForTorrent, server); err != nil {
		t.Errorf("by device: %v", err)
	}
	gone.bound.device = "gone0"
	if _, err := get(gone, ForTorrent, server); !errors.Is(err, ErrUnbound) {
		t.Errorf("a URL without the device: %v", err)
	}
	if _, err := gone.Dial(t.Context(), to); !errors.Is(err, ErrUnbound) {
		t.Errorf("a peer without the device: %v", err)
	}
	if _, err := gone.Resolve(t.Context(), "peer.example:1"); err == nil {
		t.Error("a name was looked up without the device")
	}
	for _, s := range []string{"nosuchdevice0", "192.0.2.77", "2001:db8::77"} {
		if _, err := NewNetwork(NetworkConfig{Bind: s}); err == nil || !strings.HasPrefix(err.Error(), "--bind "+s) {
			t.Errorf("%s: %v", s, err)
		}
	}
}
