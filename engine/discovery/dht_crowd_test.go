package discovery

import (
	"net/netip"
	"testing"
)

// TestCrowdedInfohash: of the nodes that are named to us those that lie nearer to
// what we look for than chance allows must have an id of their address.
func TestCrowdedInfohash(t *testing.T) {
	world, local := netip.MustParseAddrPort("20.0.3.1:80"), netip.MustParseAddrPort("10.0.3.1:80")
	proven := newID(world.Addr())
	flip := func(id nodeID, bit int) nodeID {
		id[bit/8] ^= 0x80 >> (bit % 8)
		return id
	}
	chosen := flip(proven, 2) // another prefix than BEP 42 demands of that address
	for name, c := range map[string]struct {
		target, id nodeID
		at         netip.AddrPort
		left       int
	}{
		"by chance":          {chosen, flip(chosen, chanceBits-1), world, 1},
		"at the edge":        {chosen, flip(chosen, chanceBits), world, 0},
		"the infohash":       {chosen, chosen, world, 0},
		"near, but proven":   {proven, flip(proven, 100), world, 1},
		"on a local network": {chosen, chosen, local, 1},
	} {
		g := newGate(false)
		g.inner = newInner(g)
		var asked krpcMessage
		g.send = func(b []byte, _ netip.AddrPort) error {
			asked, _ = parseKRPC(b)
			return nil
		}
		from := netip.MustParseAddrPort("10.0.0.9:1") // which may name both
		if err := g.give(appendKRPC(nil, krpcMessage{kind: 'q', method: methodGet, transaction: "x", id: idOf(1), target: c.target}), from); err != nil {
			t.Fatal(err)
		}
		g.take(appendKRPC(nil, krpcMessage{kind: 'r', transaction: asked.transaction, id: idOf(3), nodes: []nodeInfo{{c.id, c.at}}}), from)
		m, _ := parseKRPC((<-g.inner.in).b)
		if len(m.nodes) != c.left || m.transaction != "x" {
			t.Errorf("%s: %d nodes are left, %d bits of %x and %x are the same", name, len(m.nodes), shared(c.target, c.id), c.target, c.id)
		}
	}
}
