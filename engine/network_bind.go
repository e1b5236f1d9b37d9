package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrUnbound is that a packet would have to leave elsewhere than where the user
// bound the house.
var ErrUnbound = errors.New("not reachable from where --bind is")

// binding is the one device, or the one address, that packets leave from. A
// socket that is bound to a device that goes away reaches nobody: nothing falls
// back to another one. A nil binding binds nothing.
type binding struct {
	device string
	addr   netip.Addr // the zero Addr: any of the device's
}

// parseBinding reads IFACE or ADDR. It must be there now; a device may go and
// come back later.
func parseBinding(s string) (*binding, error) {
	if s == "" {
		return nil, nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		if _, err := net.InterfaceByName(s); err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a device of this machine", s)
		}
		return &binding{device: s}, nil
	}
	addr = addr.Unmap()
	devices, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		addrs, err := d.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr.WithZone("") {
				return &binding{device: d.Name, addr: addr}, nil
			}
		}
	}
	return nil, fmt.Errorf("no device of this machine has the address %s", addr)
}

// control binds a socket before it is used: the Control of net.Dialer and
// net.ListenConfig.
func (b *binding) control(_, _ string, c syscall.RawConn) error {
	if b == nil {
		return nil
	}
	var bound error
	if err := c.Control(func(fd uintptr) { bound = bindToDevice(int(fd), b.device) }); err != nil {
		return err
	}
	if bound != nil {
		return fmt.Errorf("%w: the device %s: %w", ErrUnbound, b.device, bound)
	}
	return nil
}

// source is the address of ours that a packet to ip leaves from; an invalid one
// leaves the choice to the kernel. It fails for a family that ours is not of.
func (b *binding) source(ip netip.Addr) (netip.Addr, error) {
	switch {
	case b == nil || !b.addr.IsValid():
		return netip.Addr{}, nil
	case b.addr.Is4() != ip.Unmap().Is4():
		return netip.Addr{}, fmt.Errorf("%s: %w", ip, ErrUnbound)
	}
	return b.addr, nil
}

// dialer is a dialer whose packets to ip leave where they may; an invalid ip is
// one that is not known yet.
func (n *Network) dialer(ip netip.Addr) (net.Dialer, error) {
	// The peer wire has keep-alives of its own (BEP 3).
	d := net.Dialer{Timeout: ConnectTime, KeepAlive: -1, Resolver: n.resolver, Control: n.bound.control}
	if !ip.IsValid() {
		if n.bound != nil && n.bound.addr.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(n.bound.addr, 0))
		}
		return d, nil
	}
	from, err := n.bound.source(ip)
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d, err
}

// newResolver looks names up without libc, so that its packets leave where all
// others do.
func (n *Network) newResolver() *net.Resolver {
	if n.bound == nil {
		return &net.Resolver{}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: ResolveTime, Control: n.bound.control}
		if from := n.bound.addr; from.IsValid() {
			if d.LocalAddr = net.Addr(net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))); network[:3] == "udp" {
				d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			}
		}
		return d.DialContext(ctx, network, address)
	}}
}
