package handshake

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Priority is the canonical priority of a connection between two peers (BEP 40),
// the same for both: of many addresses those of the greatest are dialled first,
// so that the swarm is a graph by chance that nobody can arrange. Both addresses
// are of one family, or it is 0.
func Priority(a, b netip.AddrPort) uint32 {
	x, y := a.Addr().AsSlice(), b.Addr().AsSlice()
	if len(x) != len(y) || len(x) == 0 {
		return 0
	}
	if bytes.Equal(x, y) {
		x, y = binary.BigEndian.AppendUint16(nil, a.Port()), binary.BigEndian.AppendUint16(nil, b.Port())
	} else {
		whole := sharedBytes(x, y)
		for i := whole; i < len(x); i++ {
			x[i] &= 0x55
			y[i] &= 0x55
		}
	}
	if bytes.Compare(x, y) > 0 {
		x, y = y, x
	}
	return crc32.Checksum(append(x, y...), castagnoli)
}

// sharedBytes is how many bytes of two addresses are taken whole: of the others
// every second bit is left out. The nearer they are, the more.
func sharedBytes(x, y []byte) int {
	least, most := 2, 4 // /16, and one more for each of /16 and /24 that they share
	if len(x) == 16 {
		least, most = 6, 8 // /48, /48 and /56
	}
	n := least
	for n < most && bytes.Equal(x[:n], y[:n]) {
		n++
	}
	return n
}

// ourselves is our address of each family; invalid if it is not known.
type ourselves struct{ four, six netip.AddrPort }

// us asks for them. The lock is not held.
func (h *Handshaker) us() (o ourselves) {
	if h.config.Us != nil {
		o = ourselves{h.config.Us(false), h.config.Us(true)}
	}
	return o
}

// rank is the priority of a connection to a peer.
func (o ourselves) rank(peer netip.AddrPort) uint32 {
	if peer.Addr().Is4() {
		return Priority(o.four, peer)
	}
	return Priority(o.six, peer)
}
