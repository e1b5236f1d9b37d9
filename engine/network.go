package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
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
	clients  map[Purpose]*http.Client
}

// NetworkConfig says how the house looks from outside.
type NetworkConfig struct {
	// UserAgent is what HTTP servers are told, "bipfs/0.1.0".
	UserAgent string
}

// NewNetwork opens the door. It starts no goroutine and holds no socket.
//
// Proxies of the environment (http_proxy and the like) are not used: a proxy
// looks names up itself, so the rule on local addresses could not be kept.
func NewNetwork(c NetworkConfig) *Network {
	n := &Network{agent: c.UserAgent, resolver: &net.Resolver{}, local: Local}
	n.clients = map[Purpose]*http.Client{
		ForTorrent: n.newClient(ForTorrent),
		ForTracker: n.newClient(ForTracker),
	}
	return n
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
	// The peer wire has keep-alives of its own (BEP 3).
	d := net.Dialer{Timeout: ConnectTime, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, addr.Port()).String())
}

// Listen accepts TCP connections at addr, "HOST:PORT": ":6881" means all
// addresses of both families, port 0 lets the kernel choose. The error says
// what to do when the port is taken.
func (n *Network) Listen(ctx context.Context, addr string) (net.Listener, error) {
	if _, _, err := splitPort(addr); err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	c := net.ListenConfig{KeepAlive: -1}
	// Peers do not speak multipath TCP, which Go would listen for.
	c.SetMultipathTCP(false)
	l, err := c.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	return l, nil
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
