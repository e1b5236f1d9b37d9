package extension

import (
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"slices"

	"bipfs/wire"
)

// AllowedFastSet is the pieces of a torrent that a peer at ip may ask for while
// it is choked (BEP 6): k of them, in the order of the BEP, or all in order if
// the torrent has no more. The same peer gets the same set from everybody, and
// a whole /24 does, so that changing the address brings nothing.
//
// The BEP knows IPv4 only: the set of another address is nil. k is the
// caller's own number and meant to be about ten; time grows with its square.
func AllowedFastSet(ip netip.Addr, infohash [20]byte, pieces, k int) []wire.Piece {
	ip = ip.Unmap()
	if !ip.Is4() || pieces <= 0 || k <= 0 {
		return nil
	}
	if k >= pieces {
		set := make([]wire.Piece, pieces)
		for i := range set {
			set[i] = wire.Piece(i)
		}
		return set
	}
	network := ip.As4()
	network[3] = 0
	x := sha1.Sum(append(network[:], infohash[:]...))
	set := make([]wire.Piece, 0, k)
	// Chance would have the set full long before; the bound is for a chain of
	// hashes that bites its tail.
	for round := 0; round < 16*k; round++ {
		for i := 0; i < len(x); i += 4 {
			p := wire.Piece(binary.BigEndian.Uint32(x[i:]) % uint32(pieces))
			if !slices.Contains(set, p) {
				set = append(set, p)
			}
			if len(set) == k {
				return set
			}
		}
		x = sha1.Sum(x[:])
	}
	return set
}
