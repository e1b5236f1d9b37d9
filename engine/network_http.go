package engine

// A request of ours goes through the door hop by hop. Each hop is dialled
// anew, and the addresses that its host name resolves to are judged at the
// moment of the connect:
//
//	URL ──> checkURL ──> resolve ──> allow(address) ──> connect ──> TLS ──> answer
//	          ^                                                               │
//	          └──────────── redirect (at most 5, judged again) <──────────────┘
//
// A name that resolves to one address when it is looked at and to another when
// it is used ("DNS rebinding") gains nothing: there is one look-up.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
)

// Purpose is what an HTTP client of the house is for. It decides which local
// addresses the first hop may reach.
type Purpose uint8

const (
	// ForTorrent fetches a .torrent whose URL the user gave: it may be local.
	ForTorrent Purpose = iota
	// ForTracker announces to a tracker that a torrent names: a local address
	// is reached only under a path that ends in "announce".
	ForTracker
	// ForWebSeed fetches parts of files from a web seed that a torrent names: a
	// local address is told no query (network_webseed.go).
	ForWebSeed
)

// MaxRedirects is how many redirects of one request are followed.
const MaxRedirects = 5

// MaxHeader bounds the header of an answer, in bytes.
const MaxHeader = 64 << 10

// Reasons why a request is refused before a byte of it is sent.
var (
	ErrLocalAddress = errors.New("refused to reach a local address")
	ErrScheme       = errors.New("only http and https URLs are fetched")
	ErrNotASCII     = errors.New("the host name is not ASCII: write it in its xn-- form")
	ErrRedirect     = errors.New("refused to follow a redirect")
	ErrTooLong      = errors.New("the answer is too long")
)

// HTTPClient is the client for one purpose. It verifies TLS certificates,
// keeps no connection and no cookie, sends no Referer (the URL of a private
// tracker is a secret), and unpacks gzip. How long a request may take is the
// caller's ctx; how long an answer may be is for the caller to bound, with
// ReadBounded.
//
// ForWebSeed makes a new client each time, for one web seed. It keeps its
// connections, until CloseIdleConnections, and unpacks nothing.
func (n *Network) HTTPClient(p Purpose) *http.Client {
	if p == ForWebSeed {
		return n.newWebSeedClient()
	}
	c, ok := n.clients[p]
	if !ok {
		panic(fmt.Sprintf("engine: no HTTP client for purpose %d", p))
	}
	return c
}

// newClient is a client for p whose hops are connected by dial.
func (n *Network) newClient(p Purpose, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	t := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    ConnectTime,
		MaxResponseHeaderBytes: MaxHeader,
		// A kept connection could serve a hop that may not dial it; and a
		// tracker is asked twice an hour.
		DisableKeepAlives: true,
	}
	return &http.Client{Transport: &door{n, p, t}, CheckRedirect: countRedirects}
}

// door is the RoundTripper that judges each hop.
type door struct {
	network   *Network
	purpose   Purpose
	transport *http.Transport
}

// hop is one request of a chain of redirects, kept in the request's context.
type hop struct {
	purpose   Purpose
	announce  bool        // the path is one that trackers use
	fromWorld bool        // a server in the world sent us here, at this hop or an earlier one
	world     atomic.Bool // this hop's server is in the world; set by the dialler
}

type hopKey struct{}

// RoundTrip sends one hop.
func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	req, _, err := d.network.hop(req, d.purpose)
	if err != nil {
		return nil, err
	}
	return d.transport.RoundTrip(req)
}

// hop is the request of one hop as it is sent, with what is known of the hop in
// its context. Requests of the house have no body.
func (n *Network) hop(req *http.Request, p Purpose) (*http.Request, *hop, error) {
	if err := checkURL(req.URL); err != nil {
		return nil, nil, err
	}
	h := &hop{purpose: p, announce: announcePath(req.URL.EscapedPath())}
	if req.Response != nil { // a redirect: the answer that sent us here
		from := req.Response.Request
		if err := checkStep(from.URL, req.URL); err != nil {
			return nil, nil, err
		}
		last, ok := from.Context().Value(hopKey{}).(*hop)
		h.fromWorld = !ok || last.fromWorld || last.world.Load()
	}
	req = req.Clone(context.WithValue(req.Context(), hopKey{}, h))
	req.Header.Del("Referer")
	req.Header.Set("User-Agent", n.agent)
	return req, h, nil
}

// checkURL judges what can be judged before a name is looked up.
func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return ErrScheme
	}
	if u.Hostname() == "" {
		return errors.New("the URL names no host")
	}
	if !ascii(u.Hostname()) {
		// Names that look like others can be written with letters of other
		// scripts; in the xn-- form nobody is deceived.
		return ErrNotASCII
	}
	return nil
}

// checkStep judges the step from one hop to the next.
func checkStep(from, to *url.URL) error {
	switch {
	case from.Scheme == "https" && to.Scheme == "http":
		return fmt.Errorf("%w from https to http", ErrRedirect)
	case to.User != nil:
		return fmt.Errorf("%w that carries a user name", ErrRedirect)
	}
	return nil
}

// countRedirects ends a chain of redirects that is too long. All else is
// judged by the door, hop by hop.
func countRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return fmt.Errorf("%w: more than %d in a row", ErrRedirect, MaxRedirects)
	}
	return nil
}

// dialHop connects one hop. Every address is judged after it was resolved and
// before the first packet goes to it.
func (n *Network) dialHop(ctx context.Context, network, address string) (net.Conn, error) {
	h, ok := ctx.Value(hopKey{}).(*hop)
	if !ok {
		panic("engine: an HTTP request went around the door")
	}
	c, err := n.dialJudged(ctx, network, address, func(_ context.Context, _, to string, _ syscall.RawConn) error {
		return n.allow(h, to)
	})
	if err != nil {
		return nil, err
	}
	at := c.RemoteAddr().String()
	if n.proxy != nil { // that is the proxy's
		at, _ = literal(address)
		c = proxied{c, at}
	}
	to, err := netip.ParseAddrPort(at)
	h.world.Store(err != nil || !n.local(to.Addr()))
	return c, nil
}

// dialJudged connects to one of the addresses of a name that judge has nothing
// against. A proxy looks the name up itself, in a network that is not ours: only
// what is written as an address, or means this machine everywhere, can be judged
// then.
func (n *Network) dialJudged(ctx context.Context, network, address string,
	judge func(context.Context, string, string, syscall.RawConn) error) (net.Conn, error) {
	if n.proxy != nil {
		if to, ok := literal(address); ok {
			if err := judge(ctx, network, to, nil); err != nil {
				return nil, err
			}
		}
		return n.dialProxy(ctx, address)
	}
	d, err := n.dialer(netip.Addr{})
	if err != nil {
		return nil, err
	}
	d.Control = nil
	d.ControlContext = func(ctx context.Context, network, to string, c syscall.RawConn) error {
		if err := judge(ctx, network, to, c); err != nil {
			return err
		}
		return n.bound.control(network, to, c)
	}
	return d.DialContext(ctx, network, address)
}

// literal is the address that "HOST:PORT" is everywhere, if it is one.
func literal(hostport string) (to string, ok bool) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", false
	}
	ip, err := netip.ParseAddr(host)
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); err != nil && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		ip, err = netip.IPv6Loopback(), nil
	}
	if err != nil {
		return "", false
	}
	return net.JoinHostPort(ip.String(), port), true
}

// allow judges an address that a hop is about to connect to.
func (n *Network) allow(h *hop, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrLocalAddress, address)
	}
	switch {
	case !n.local(to.Addr()):
		return nil
	case h.fromWorld:
		return fmt.Errorf("%w (%s) that another server sent us to", ErrLocalAddress, to.Addr())
	case h.purpose == ForTracker && !h.announce:
		return fmt.Errorf("%w (%s): the path of a tracker there must end in /announce", ErrLocalAddress, to.Addr())
	}
	return nil
}

// ReadBounded reads r to its end, at most limit bytes; more is ErrTooLong. An
// answer that was packed with gzip is counted unpacked, so that a small
// download cannot fill the memory.
func ReadBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLong, limit)
	}
	return b, nil
}

// ascii reports whether s is printable ASCII, without spaces.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
