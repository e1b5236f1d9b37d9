package engine

import (
	"context"
	"net"
	"net/netip"

	"bipfs/engine/discovery"
)

// What the router is asked, and what is said of its answer.

// reachable is the port where peers of other machines are accepted; 0: nowhere.
func (c *Client) reachable() uint16 {
	for _, at := range c.accepting {
		if !at.Addr().IsLoopback() {
			return at.Port()
		}
	}
	return 0
}

// mapPorts has the router let peers in, from the first torrent that searches
// to the end of the client: a mount of dormant torrents says nothing.
func (c *Client) mapPorts() {
	if c.cfg.NoPortMap || c.net.Proxied() || c.reachable() == 0 || c.mapping.Load() != nil {
		return
	}
	m := discovery.NewPortMap(discovery.PortMapConfig{Routers: c.net, Ports: c.mappable, Log: c.log})
	if !c.mapping.CompareAndSwap(nil, m) {
		return
	}
	c.spawn(func() {
		m.Run(c.ctx)
		ctx, cancel := context.WithTimeout(c.farewell, stoppedAnnounce)
		defer cancel()
		m.Stop(ctx)
	})
}

// mappable are the ports where somebody is met who comes to an address of ours:
// those that peers are accepted at, and that of uTP and the DHT.
func (c *Client) mappable(ours netip.Addr) (ports []discovery.MappedPort) {
	met := func(transport discovery.Transport, at netip.AddrPort) {
		// All addresses of IPv6 may be those of both families.
		ip := at.Addr().Unmap()
		if ip == ours || ip.IsUnspecified() && (ip.Is6() || ours.Is4()) {
			ports = append(ports, discovery.MappedPort{Transport: transport, Port: at.Port()})
		}
	}
	for _, at := range c.accepting {
		met(discovery.MapTCP, at)
	}
	if c.udp != nil {
		met(discovery.MapUDP, c.udp.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return ports
}

// outerPort is the port that the world reaches us at.
func (c *Client) outerPort() int {
	if m := c.mapping.Load(); m != nil {
		if at := m.External(discovery.MappedPort{Transport: discovery.MapTCP, Port: uint16(c.port)}); at.Port() != 0 {
			return int(at.Port())
		}
	}
	return c.port
}

// portOver is the port that the world reaches us at over one family.
func (c *Client) portOver(six bool) int {
	if six {
		return c.port
	}
	return c.outerPort()
}

// outerAddr is our address of one family as the world sees it, as far as that is
// known: by the word of most who told us (nodes of the DHT, trackers, peers), or
// by the router's.
func (c *Client) outerAddr(six bool) netip.Addr {
	if c.dht != nil {
		if us := c.dht.Address(six); us.IsValid() {
			return us
		}
	}
	if m := c.mapping.Load(); m != nil && !six {
		at := m.External(discovery.MappedPort{Transport: discovery.MapTCP, Port: uint16(c.port)})
		if !Local(at.Addr()) {
			return at.Addr()
		}
	}
	return netip.Addr{}
}

// outer is where the world reaches us over one family; invalid while we do not
// know.
func (c *Client) outer(six bool) netip.AddrPort {
	if us := c.outerAddr(six); us.IsValid() {
		return netip.AddrPortFrom(us, uint16(c.portOver(six)))
	}
	return netip.AddrPort{}
}

// toldUs takes what a peer says that our address is.
func (c *Client) toldUs(peer, us netip.Addr) {
	if c.dht != nil && us.IsValid() {
		c.dht.Us(peer, us)
	}
}

// portFor is the port that a peer reaches us at: one in our neighbourhood, or
// that speaks IPv6, is not on the far side of the router's translation.
func (c *Client) portFor(peer netip.Addr) int {
	if Local(peer) || peer.Is6() {
		return c.port
	}
	return c.outerPort()
}
