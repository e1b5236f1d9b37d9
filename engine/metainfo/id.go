package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"

	"bipfs/wire"
)

// ID is what a torrent is known by, as far as it is known: a magnet link may
// name one infohash of two.
type ID struct {
	// Hash is the v1 infohash or, if there is none, the beginning of V2. It is
	// what handshakes and trackers carry.
	Hash wire.Digest
	V2   wire.Hash // the v2 infohash (BEP 52); zero if there is none
}

// HasV1 reports whether there is a v1 infohash.
func (id ID) HasV1() bool { return id.V2 == wire.Hash{} || id.Hash != id.V2.Short() }

// HasV2 reports whether there is a v2 infohash.
func (id ID) HasV2() bool { return id.V2 != wire.Hash{} }

// String is 40 hexadecimal digits of the v1 infohash or, if there is none, 64
// of the v2 one.
func (id ID) String() string {
	if id.HasV1() {
		return id.Hash.String()
	}
	return id.V2.String()
}

// Names reports whether each infohash of id is one of whole, which are all of a
// torrent's.
func (id ID) Names(whole ID) bool {
	return (!id.HasV1() || whole.HasV1() && id.Hash == whole.Hash) && (!id.HasV2() || id.V2 == whole.V2)
}

// IsOf reports whether raw is the info dictionary that id names: by its v1
// infohash if it has one, which is the one that older peers check, too.
func (id ID) IsOf(raw []byte) bool {
	if id.HasV1() {
		return id.Hash == sha1.Sum(raw)
	}
	return id.V2 == sha256.Sum256(raw)
}
