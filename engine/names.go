package engine

import (
	"encoding/base32"
	"encoding/hex"
	"strings"

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

// digestOf reads an infohash in any of the forms that a magnet link has it in.
func digestOf(s string) (wire.Digest, bool) {
	if d, ok := hexDigest(s); ok {
		return d, true
	}
	return base32Digest(s)
}

// reservedName reports whether the root keeps name for itself: its own tree,
// and everything that reads as an infohash, v1 or v2.
func reservedName(name string) bool {
	if name == "." || name == ".." || name == "" || name == ".bipfs" {
		return true
	}
	if _, ok := digestOf(name); ok {
		return true
	}
	_, err := hex.DecodeString(name)
	return len(name) == 64 && err == nil
}

// maxName is the length in bytes of the longest name (NAME_MAX).
const maxName = 255

// chooseName is the name under which a torrent is shown: want, or want with
// the first 8 or 16 digits of the infohash when it is reserved or taken.
func chooseName(want string, hash wire.Digest, taken func(string) bool) string {
	full := hash.String()
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
