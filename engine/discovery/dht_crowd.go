package discovery

import (
	"math/bits"
	"slices"
)

// Who holds the nodes nearest to an infohash says who its peers are. Ids can be
// chosen, so a crowd of nodes can gather around one and answer that there is
// nobody. With some ten million nodes in the world the nearest of them shares
// about 24 bits with an infohash by chance, and one infohash in 400 has an honest
// node that shares chanceBits. So a node that others name to us so near to what we
// look for must have an id that its address allows (BEP 42): that leaves to an
// address one place in 2^18.
const chanceBits = 32

// sent is a query of ours that waits for its answer.
type sent struct {
	transaction string // the library's
	target      nodeID // zero if it has none
}

// uncrowded leaves out the nodes that gather around target.
func uncrowded(nodes []nodeInfo, target nodeID) []nodeInfo {
	return slices.DeleteFunc(nodes, func(n nodeInfo) bool {
		return shared(n.id, target) >= chanceBits && !secureID(n.id, n.addr.Addr())
	})
}

// shared is how many of their first bits two ids have in common.
func shared(a, b nodeID) (n int) {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return n + bits.LeadingZeros8(x)
		}
		n += 8
	}
	return n
}
