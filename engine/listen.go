package engine

import (
	"fmt"
	"net"
	"net/netip"
)

// listen opens the listeners. Without addresses of the user's it listens at
// all addresses at one port, chosen once and kept.
func (c *Client) listen() error {
	if c.net.Proxied() {
		return nil // who connected would go around the proxy
	}
	addrs := c.cfg.Listen
	chosen := len(addrs) == 0
	if chosen {
		addrs = []string{fmt.Sprintf(":%d", c.state.Port)}
	}
	for _, addr := range addrs {
		ln, err := c.net.Listen(c.ctx, addr)
		if err != nil && chosen && c.state.Port != 0 {
			c.log.Warn("the kept port is taken by somebody else; another one is used", "port", c.state.Port, "err", err)
			ln, err = c.net.Listen(c.ctx, ":0")
		}
		if err != nil {
			return fmt.Errorf("listen at %s: %w", addr, err)
		}
		at := ln.Addr().(*net.TCPAddr).AddrPort()
		c.accepting = append(c.accepting, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
		if c.port == 0 {
			c.port = int(at.Port())
			host, _, _ := net.SplitHostPort(addr)
			c.listening = net.JoinHostPort(host, fmt.Sprint(c.port))
		}
		c.spawn(func() { c.hand.Serve(c.ctx, ln) })
	}
	if chosen && c.state.Port != c.port {
		c.state.Port = c.port
		return c.folder.saveClient(c.state)
	}
	return nil
}

// FirstStart is a sentence for who uses the data folder for the first time: what
// bipfs does by itself. Later it is empty.
func (c *Client) FirstStart() string {
	if !c.first {
		return ""
	}
	on := func(yes bool) string {
		if yes {
			return "on"
		}
		return "off"
	}
	where := "listening on " + c.listening
	if c.listening == "" {
		where = "not listening"
	}
	return fmt.Sprintf("first start: %s, upload %s, DHT %s, uTP %s (docs/PRIVACY.md)",
		where, on(!c.cfg.NoUpload), on(c.dht != nil), on(c.utp != nil))
}

// Port is the port that peers reach the client at.
func (c *Client) Port() int { return c.port }

// resolveAll looks up the names of peers. One that cannot be found is logged.
func (c *Client) resolveAll(peers []string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, hostport := range peers {
		addrs, err := c.net.Resolve(c.ctx, hostport)
		if err != nil {
			c.log.Warn("a peer cannot be looked up", "peer", hostport, "err", err)
			continue
		}
		out = append(out, addrs...)
	}
	return out
}
