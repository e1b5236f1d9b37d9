package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of the network door.
const (
	// ConnectTime is how long one TCP connect or one TLS handshake may take.
	ConnectTime = 10 * time.Second
	// ResolveTime is how long the name of a peer may take to resolve.
	ResolveTime = 10 * time.Second
	// MaxResolved is how many addresses of one host name are used.
	MaxResolved = 16
)

// Network is the one door of the house to the network: whatever dials,
// listens or looks a name up does it here, so that one rule holds for all of
// it. Its methods may be called from any goroutine.
type Network struct {
	agent    string
	resolver *net.Resolver
	local    func(netip.Addr) bool
	blocked  atomic.Pointer[Blocklist]
	bound    *binding // nil: packets leave where the kernel sends them
	proxy    *url.URL // nil: none
	clients  map[Purpose]*http.Client
	trackers map[Family]*http.Client // those ForTracker, over one family each
}

// NetworkConfig says how the house looks from outside.
type NetworkConfig struct {
	// UserAgent is what HTTP servers are told, "bipfs/0.1.0".
	UserAgent string
	// Bind is a device or an address of this machine that all packets leave
	// from; "" = any.
	Bind string
	// Proxy is the URL of a proxy that everything goes through; "" = none.
	Proxy string
}

// NewNetwork opens the door. It starts no goroutine and holds no socket.
//
// Proxies of the environment (http_proxy and the like) are not used: a proxy is
// for everything or for nothing.
func NewNetwork(c NetworkConfig) (*Network, error) {
	n := &Network{agent: c.UserAgent, local: Local}
	var err error
	if n.bound, err = parseBinding(c.Bind); err != nil {
		return nil, fmt.Errorf("--bind %s: %w", c.Bind, err)
	}
	if n.proxy, err = ParseProxy(c.Proxy); err != nil {
		return nil, fmt.Errorf("--proxy: %w", err) // without the URL, which may hold a password
	}
	n.resolver = n.newResolver()
	n.clients = map[Purpose]*http.Client{
		ForTorrent: n.newClient(ForTorrent, n.dialHop),
		ForTracker: n.newClient(ForTracker, n.dialHop),
	}
	n.trackers = map[Family]*http.Client{}
	for _, f := range []Family{IPv4, IPv6} {
		n.trackers[f] = n.newClient(ForTracker, func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.dialHop(ctx, f.network(network), address)
		})
	}
	return n, nil
}

// Dial connects to a peer over TCP. How long it takes is bounded by ctx and by
// ConnectTime.
func (n *Network) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	ip := addr.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || addr.Port() == 0 {
		// The kernel takes 0.0.0.0 for this machine: a swarm must not be able
		// to point us at ourselves.
		return nil, fmt.Errorf("%s is not the address of a peer", addr)
	}
	if n.Blocked(ip) {
		return nil, fmt.Errorf("%s: %w", addr, ErrBlocked)
	}
	to := netip.AddrPortFrom(ip, addr.Port()).String()
	if n.proxy != nil {
		return n.dialProxy(ctx, to)
	}
	d, err := n.dialer(ip)
	if err != nil {
		return nil, err
	}
	return d.DialContext(ctx, "tcp", to)
}

// Block has the door refuse the peers on a list, instead of those on the one
// before; nil: none.
func (n *Network) Block(list *Blocklist) { n.blocked.Store(list) }

// Blocked reports whether no peer may have an address.
func (n *Network) Blocked(ip netip.Addr) bool { return n.blocked.Load().Has(ip) }

// Listen accepts TCP connections at addr, "HOST:PORT": ":6881" means all
// addresses of both families, "0.0.0.0:6881" and "[::]:6881" those of one, port 0
// lets the kernel choose. The error says what to do when the port is taken.
func (n *Network) Listen(ctx context.Context, addr string) (net.Listener, error) {
	addr, err := n.listenAt(addr)
	if err != nil {
		return nil, err
	}
	c := net.ListenConfig{KeepAlive: -1, Control: n.bound.control}
	// Peers do not speak multipath TCP, which Go would listen for.
	c.SetMultipathTCP(false)
	l, err := c.Listen(ctx, listenNetwork("tcp", addr), addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	return l, nil
}

// listenNetwork is network, or that of one family for all addresses of that family:
// Go would take 0.0.0.0 and [::] for all addresses of both, so that nobody could
// listen at the two.
func listenNetwork(network, addr string) string {
	at, err := netip.ParseAddrPort(addr)
	switch ip := at.Addr(); {
	case err != nil || !ip.IsUnspecified():
		return network
	case ip.Is4():
		return IPv4.network(network)
	}
	return IPv6.network(network)
}

// listenError says what to do about a port that cannot be listened at.
func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen at %s: the port is taken by another program; choose another port: %w", addr, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen at %s: no permission; choose a port above 1023: %w", addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen at %s: this machine has no such address: %w", addr, err)
	}
	return fmt.Errorf("cannot listen at %s: %w", addr, err)
}

// listenAt is where to listen when the user said addr: all addresses are the one
// that the house is bound to.
func (n *Network) listenAt(addr string) (string, error) {
	host, port, err := splitPort(addr)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot listen: %w", err)
	case n.proxy != nil:
		return "", fmt.Errorf("cannot listen at %s: %w", addr, ErrProxied)
	case host == "" && n.bound != nil && n.bound.addr.IsValid():
		return netip.AddrPortFrom(n.bound.addr, port).String(), nil
	}
	return addr, nil
}

// Resolve gives the addresses of a peer named "HOST:PORT", at most
// MaxResolved, with IPv4 addresses in their short form. An address is not
// looked up. It takes at most ResolveTime.
func (n *Network) Resolve(ctx context.Context, peer string) ([]netip.AddrPort, error) {
	host, port, err := splitPort(peer)
	if err == nil && (host == "" || port == 0) {
		err = fmt.Errorf("%q is not HOST:PORT", peer)
	}
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	if !ascii(host) {
		return nil, fmt.Errorf("%q: %w", host, ErrNotASCII)
	}
	if n.proxy != nil {
		return nil, fmt.Errorf("looking up %q: %w: give its address", host, ErrProxied)
	}
	ctx, cancel := context.WithTimeout(ctx, ResolveTime)
	defer cancel()
	ips, err := n.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	for _, ip := range ips[:min(len(ips), MaxResolved)] {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return addrs, nil
}

// splitPort parts "HOST:PORT"; the port is a number.
func splitPort(addr string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not HOST:PORT", addr)
	}
	p, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q has no port from 0 to 65535", addr)
	}
	return host, uint16(p), nil
}
