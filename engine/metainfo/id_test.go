package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"
	"testing"

	"bipfs/wire"
)

func TestID(t *testing.T) {
	raw := []byte("d1:ai1ee")
	v1, v2 := wire.Digest(sha1.Sum(raw)), wire.Hash(sha256.Sum256(raw))
	old, hybrid, v2Only := ID{Hash: v1}, ID{v1, v2}, ID{v2.Short(), v2}
	for _, c := range []struct {
		id     ID
		string string
		names  [3]bool // old, hybrid, v2 only
	}{
		{old, v1.String(), [3]bool{true, true, false}},
		{hybrid, v1.String(), [3]bool{false, true, false}},
		{v2Only, v2.String(), [3]bool{false, true, true}},
		{ID{Hash: v2.Short()}, v2.Short().String(), [3]bool{}}, // what looks like v2 is a v1 infohash
		{ID{Hash: wire.Digest{1}}, wire.Digest{1}.String(), [3]bool{}},
		{ID{v1, wire.Hash{1}}, v1.String(), [3]bool{}},
		{ID{wire.Digest{1}, v2}, wire.Digest{1}.String(), [3]bool{}},
	} {
		if c.id.String() != c.string {
			t.Errorf("%+v", c.id)
		}
		for k, whole := range []ID{old, hybrid, v2Only} {
			if c.id.Names(whole) != c.names[k] {
				t.Errorf("%v names %v: %v", c.id, whole, !c.names[k])
			}
		}
	}
	for _, id := range []ID{old, hybrid, v2Only} {
		if !id.IsOf(raw) || id.IsOf(raw[1:]) {
			t.Errorf("%v is not of its metadata, or of another", id)
		}
	}
}
