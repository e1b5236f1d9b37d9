package engine

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// Family is the address family that a tracker is asked over (BEP 7).
type Family uint8

// The families of addresses.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// network is the name of a network, "tcp" or "udp", of this family alone.
func (f Family) network(name string) string {
	switch f {
	case IPv4:
		return name + "4"
	case IPv6:
		return name + "6"
	}
	panic(fmt.Sprintf("engine: no address family %d", f))
}

// DialTracker gives a UDP socket that is connected to the host and port of a
// tracker's URL, over one family: no packet of another sender gets in. Nothing
// is sent. Addresses are judged as those of HTTP trackers are: a local one is
// reached only if the URL's path ends in "announce".
func (n *Network) DialTracker(ctx context.Context, f Family, tracker *url.URL) (net.Conn, error) {
	if !ascii(tracker.Hostname()) {
		return nil, ErrNotASCII
	}
	if _, port, err := splitPort(tracker.Host); err != nil || port == 0 {
		return nil, fmt.Errorf("%q is not HOST:PORT", tracker.Host)
	}
	if n.proxy != nil {
		return nil, fmt.Errorf("a UDP tracker: %w", ErrProxied)
	}
	h := &hop{purpose: ForTracker, announce: announcePath(tracker.EscapedPath())}
	d := net.Dialer{
		Timeout:  ResolveTime,
		Resolver: n.resolver,
		ControlContext: func(_ context.Context, network, address string, c syscall.RawConn) error {
			if err := n.allow(h, address); err != nil {
				return err
			}
			return n.bound.control(network, address, c)
		},
	}
	if n.bound != nil && n.bound.addr.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.bound.addr, 0))
	}
	return d.DialContext(ctx, f.network("udp"), tracker.Host)
}

// TrackerClient is HTTPClient(ForTracker) over one family.
func (n *Network) TrackerClient(f Family) *http.Client {
	return n.trackers[f]
}
