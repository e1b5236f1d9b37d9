package engine

import (
	"net/netip"

	"bipfs/engine/discovery"
	"bipfs/handshake"
)

// joinLSD is ready for local service discovery, if the user wants it. It joins
// nothing before a torrent searches.
func (c *Client) joinLSD() {
	if !c.cfg.LSD || c.net.Proxied() {
		return
	}
	c.lsd = discovery.NewLSD(discovery.LSDConfig{
		Port: c.reachable(), Links: c.net, Log: c.log, Peer: c.near,
	})
	c.spawn(func() { c.lsd.Run(c.ctx) })
}

// near takes a peer on a link of ours.
func (c *Client) near(infohash [20]byte, peer netip.AddrPort) {
	c.hand.Offer(infohash, handshake.LSD, peer)
}
