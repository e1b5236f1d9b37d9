package engine

import (
	"net/netip"

	"bipfs/engine/discovery"
	"bipfs/handshake"
)

// joinLSD takes part in local service discovery, if the user wants it.
func (c *Client) joinLSD() {
	if !c.cfg.LSD || c.net.Proxied() {
		return
	}
	sockets, err := c.net.ListenLSD(c.ctx)
	if err != nil {
		c.log.Warn("there is no local service discovery", "err", err)
		return
	}
	c.lsd = discovery.NewLSD(discovery.LSDConfig{Sockets: sockets, Port: c.port, Found: c.heard})
}

// heard takes a peer that announced a torrent to a network that we are in. One
// that is dormant here, or private, is left alone.
func (c *Client) heard(infohash [20]byte, peer netip.AddrPort) {
	c.mu.Lock()
	t := c.torrents[infohash]
	c.mu.Unlock()
	if t == nil || t.running() == nil {
		return
	}
	if info := t.Info(); info == nil || !info.Private {
		c.hand.Offer(infohash, handshake.LSD, peer)
	}
}
