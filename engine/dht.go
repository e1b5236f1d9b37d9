package engine

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"bipfs/engine/discovery"
	"bipfs/handshake"
	"bipfs/wire"
)

// DHTNodes are the nodes that a DHT without a table asks first, unless the user
// names others.
var DHTNodes = []string{"router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401"}

// joinDHT takes part in the DHT, over the socket of uTP. It sends nothing yet.
func (c *Client) joinDHT() {
	if !c.cfg.DHT || c.udp == nil {
		return
	}
	var four, six net.PacketConn // nil for a family that the socket is not of
	at := c.udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if at.Is4() || strings.HasPrefix(c.listening, ":") { // all addresses of both
		four = c.udp.Node()
	}
	if at.Is6() {
		six = c.udp.Node6()
	}
	var err error
	c.dht, err = discovery.NewDHT(discovery.DHTConfig{
		Conn4: four, Conn6: six, Nodes: c.cfg.DHTNodes, Resolve: c.net.Resolve,
		State: c.folder.loadDHT(), Log: c.log,
		Save: func(b []byte) {
			if err := c.folder.write(".", "dht", b); err != nil {
				c.log.Warn("the DHT nodes cannot be saved", "err", err)
			}
		},
	})
	if err != nil {
		c.log.Warn("there is no DHT", "err", err)
	}
}

// loadDHT is the file of the DHT's nodes; nil if there is none to read. A long
// one is cut, and then no longer what it was.
func (f *folder) loadDHT() []byte {
	file, err := os.Open(filepath.Join(f.dir, "dht"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []byte{} // which the DHT reports
	}
	defer file.Close()
	b, _ := ReadBounded(file, discovery.MaxState)
	if b == nil {
		b = []byte{}
	}
	return b
}

// searchOpenly looks for peers in the DHT and by LSD, and announces us there,
// until the loop ends. A private torrent has neither (BEP 27).
func (l *loop) searchOpenly() {
	t := l.t
	if l.leaveOpen != nil || l.private() {
		return
	}
	var ctx context.Context
	ctx, l.leaveOpen = context.WithCancel(l.ctx)
	for _, hash := range t.infohashes() {
		if t.c.dht != nil {
			t.c.spawn(func() {
				t.c.dht.Search(ctx, hash, t.c.portOver, func(peers []netip.AddrPort) {
					if ctx.Err() == nil {
						t.c.hand.Offer(hash, handshake.DHT, peers...)
					}
				})
			})
		}
		if t.c.lsd != nil {
			t.c.spawn(func() { t.c.lsd.Announce(ctx, hash) })
		}
	}
}

// namePort tells a peer that is a node of the DHT where ours is (BEP 5).
func (l *loop) namePort(k *link) {
	if l.t.c.dht != nil && k.hand.Node() && !l.private() {
		k.side(wire.Message{Kind: wire.Port, Port: uint16(l.t.c.port)}, nil)
	}
}

// portNamed takes the port of a peer's node. One word of each is enough. It
// runs in the goroutine that reads the connection.
func (k *link) portNamed(port uint16) {
	if d := k.loop.t.c.dht; d != nil && !k.named && !k.loop.private() {
		k.named = true
		d.Meet(netip.AddrPortFrom(k.hand.Addr.Addr(), port))
	}
}
