package engine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// ListenDHT opens a UDP socket for each family of addresses that addr,
// "HOST:PORT", means: ":6881" is all addresses of both. One of the two may be
// nil: this machine may know one family only.
func (n *Network) ListenDHT(ctx context.Context, addr string) (four, six net.PacketConn, err error) {
	host, port, err := splitPort(addr)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot listen: %w", err)
	case n.proxy != nil:
		return nil, nil, fmt.Errorf("cannot listen for the DHT: %w", ErrProxied)
	case host == "" && n.bound != nil && n.bound.addr.IsValid():
		host = n.bound.addr.String()
	}
	ip, err := netip.ParseAddr(host)
	if host != "" && err != nil {
		return nil, nil, fmt.Errorf("cannot listen at %q: it is not an address", host)
	}
	c := net.ListenConfig{Control: n.bound.control}
	ip, all := ip.Unmap(), host == "" || ip == netip.IPv6Unspecified()
	if all || ip.Is4() {
		at := ip
		if all {
			at = netip.IPv4Unspecified()
		}
		four, err = c.ListenPacket(ctx, "udp4", netip.AddrPortFrom(at, port).String())
	}
	if all || ip.Is6() {
		at := ip
		if all {
			at = netip.IPv6Unspecified()
		}
		var err6 error
		if six, err6 = c.ListenPacket(ctx, "udp6", netip.AddrPortFrom(at, port).String()); err6 == nil {
			return four, six, nil
		} else if four == nil {
			err = err6
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot listen for the DHT at %s: %w", addr, err)
	}
	return four, nil, nil
}
