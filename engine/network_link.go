package engine

import (
	"fmt"
	"net"
	"net/netip"
)

// device is a device of this machine that takes multicast, and the networks
// that are on its link.
type device struct {
	net.Interface
	on []netip.Prefix
}

// devices are those that we may use.
func (n *Network) devices() (out []device, err error) {
	if n.proxy != nil {
		return nil, fmt.Errorf("multicast: %w", ErrProxied)
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	const needed = net.FlagUp | net.FlagMulticast
	for _, i := range all {
		if i.Flags&needed != needed || i.Flags&net.FlagLoopback != 0 || n.bound != nil && i.Name != n.bound.device {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		d := device{Interface: i}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				d.on = append(d.on, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
			}
		}
		if len(d.on) > 0 {
			out = append(out, d)
		}
	}
	return out, nil
}
