package extension

import (
	"net/netip"
	"slices"
	"testing"

	"bipfs/wire"
)

// TestAllowedFastSet holds the examples of BEP 6, and what it does not say.
func TestAllowedFastSet(t *testing.T) {
	var infohash [20]byte
	for i := range infohash {
		infohash[i] = 0xaa
	}
	seven := []wire.Piece{1059, 431, 808, 1217, 287, 376, 1188}
	for _, c := range []struct {
		name      string
		ip        string
		pieces, k int
		want      []wire.Piece
	}{
		{"BEP 6, seven", "80.4.4.200", 1313, 7, seven},
		{"BEP 6, nine", "80.4.4.200", 1313, 9, append(slices.Clip(seven), 353, 508)},
		{"same /24", "80.4.4.1", 1313, 7, seven},
		{"mapped into IPv6", "::ffff:80.4.4.200", 1313, 7, seven},
		{"IPv6", "2001:db8::1", 1313, 7, nil},
		{"none asked for", "80.4.4.200", 1313, 0, nil},
		{"fewer than none", "80.4.4.200", 1313, -1, nil},
		{"no pieces", "80.4.4.200", 0, 7, nil},
		{"one piece", "80.4.4.200", 1, 7, []wire.Piece{0}},
		{"as many as there are", "80.4.4.200", 3, 3, []wire.Piece{0, 1, 2}},
	} {
		set := AllowedFastSet(netip.MustParseAddr(c.ip), infohash, c.pieces, c.k)
		if !slices.Equal(set, c.want) {
			t.Errorf("%s: %v, want %v", c.name, set, c.want)
		}
	}
	if set := AllowedFastSet(netip.Addr{}, infohash, 1313, 7); set != nil {
		t.Errorf("no address: %v", set)
	}
}

// TestAllowedFastSetFull: the set has k different pieces, however few are left
// to choose from.
func TestAllowedFastSetFull(t *testing.T) {
	for pieces := 1; pieces < 120; pieces++ {
		for _, k := range []int{1, 10, pieces - 1, pieces, pieces + 1} {
			set := AllowedFastSet(netip.AddrFrom4([4]byte{byte(pieces), 1, 2, 3}), [20]byte{}, pieces, k)
			slices.Sort(set)
			if len(slices.Compact(set)) != min(max(k, 0), pieces) {
				t.Fatalf("%d of %d pieces: %v", k, pieces, set)
			}
			if len(set) > 0 && int(set[len(set)-1]) >= pieces {
				t.Fatalf("%d of %d pieces: %v", k, pieces, set)
			}
		}
	}
}
