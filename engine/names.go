package engine

import (
	"encoding/base32"
	"encoding/hex"
	"strings"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// Names in the root of a mount. A torrent's shown name is chosen once, when
// its metadata is here, stored, and kept. What a user may type for a torrent
// without having it listed is reserved, so that no torrent can shadow it.

// hexDigest reads 40 hexadecimal digits.
func hexDigest(s string) (d wire.Digest, ok bool) {
	if len(s) != 2*len(d) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

// base32Digest reads 32 base32 digits of either case.
func base32Digest(s string) (d wire.Digest, ok bool) {
	if len(s) != 32 {
		return d, false
	}
	n, err := base32.StdEncoding.Decode(d[:], []byte(strings.ToUpper(s)))
	return d, err == nil && n == len(d)
}

// idOf reads an infohash in any of the forms that people have it in: 40
// hexadecimal or 32 base32 digits, or 64 hexadecimal ones of v2.
func idOf(s string) (id metainfo.ID, ok bool) {
	if id, ok = hexID(s); !ok {
		id.Hash, ok = base32Digest(s)
	}
	return id, ok
}

// hexID reads 40 hexadecimal digits of v1, or 64 of v2.
func hexID(s string) (id metainfo.ID, ok bool) {
	if id.V2, ok = hexHash(s); ok {
		id.Hash = id.V2.Short()
		return id, true
	}
	id.Hash, ok = hexDigest(s)
	return id, ok
}

// hexHash reads 64 hexadecimal digits.
func hexHash(s string) (h wire.Hash, ok bool) {
	if len(s) != 2*len(h) {
		return h, false
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return wire.Hash{}, false
	}
	return h, true
}

// reservedName reports whether the root keeps name for itself: its own tree,
// and everything that reads as an infohash, v1 or v2.
func reservedName(name string) bool {
	if name == "." || name == ".." || name == "" || name == ".bipfs" {
		return true
	}
	_, ok := idOf(name)
	return ok
}

// maxName is the length in bytes of the longest name (NAME_MAX).
const maxName = 255

// chooseName is the name under which a torrent is shown: want, or want with
// the first 8 or 16 digits of the infohash, which is full, when it is reserved
// or taken.
func chooseName(want, full string, taken func(string) bool) string {
	if want == full {
		return full // reserved for this very torrent
	}
	free := func(name string) bool { return !reservedName(name) && !taken(name) }
	if free(want) {
		return want
	}
	for _, digits := range []int{8, 16, 40} {
		if name := suffixed(want, " ["+full[:digits]+"]"); free(name) {
			return name
		}
	}
	return full
}

// suffixed is name with a suffix, cut so that it fits and ends on a whole rune.
func suffixed(name, suffix string) string {
	if len(name)+len(suffix) > maxName {
		name = strings.ToValidUTF8(name[:maxName-len(suffix)], "")
	}
	return name + suffix
}
