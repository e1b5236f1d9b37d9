package extension

import (
	"maps"
	"math"
	"net/netip"
	"slices"

	"bipfs/wire/bencode"
)

// Bounds of a handshake. What is over one of them is cut or left out: it is
// odd, but no reason to lose a peer.
const (
	MaxExtensions = 64      // names in M; the first ones stay
	MaxName       = 64      // bytes of a name in M; longer ones are left out
	MaxVersion    = 128     // bytes of V; cut
	MaxReqq       = 1 << 16 // more is taken as this
)

// handshakeLimits leave room for what other clients put into a handshake.
var handshakeLimits = bencode.Limits{Depth: 8, Items: 1024, Trailing: true}

// Handshake is what a client says about itself in the extended handshake
// (BEP 10). A zero field was not said, or was said wrong.
type Handshake struct {
	// M is the ids by which the sender of the handshake wants the messages of
	// each extension to be sent to it. 0 turns an extension off. A later
	// handshake of the same connection changes only the names it has. In a
	// parsed handshake, no two names have one id, except 0.
	M            map[string]uint8
	V            string     // client and version; what the peer wrote, any bytes
	Reqq         int        // requests that the sender queues; 1..MaxReqq
	MetadataSize int64      // bytes of the info dictionary (BEP 9); 1..MaxMetadata
	Port         int        // port that the sender listens on; 1..65535
	YourIP       netip.Addr // address of the receiver, as the sender sees it
	UploadOnly   bool       // the sender wants no pieces (BEP 21)
	Downloads    bool       // takes back an UploadOnly of before; written only, never parsed
}

// ParseHandshake parses the payload of an extended message with id
// HandshakeID. It keeps nothing of b. Bytes after the dictionary are ignored,
// as other clients do.
//
// A payload over MaxPayload, one that does not begin with a dictionary in valid
// bencode, or one with a key twice is an error. Everything else that is wrong
// with a field (another kind, out of range) leaves the field zero. An id that
// two names in M share belongs to neither: a message sent by it might be
// taken for the other one's.
func ParseHandshake(b []byte) (Handshake, error) {
	if _, err := dictionary(b, handshakeLimits); err != nil {
		return Handshake{}, err
	}
	var h Handshake
	for key, v := range bencode.Dictionary(b) {
		switch string(key) {
		case "m":
			h.M = parseM(v)
		case "metadata_size":
			h.MetadataSize = within(v, 1, MaxMetadata)
		case "p":
			h.Port = int(within(v, 1, math.MaxUint16))
		case "reqq":
			h.Reqq = int(min(within(v, 1, math.MaxInt64), MaxReqq))
		case "upload_only":
			h.UploadOnly = within(v, 1, math.MaxInt64) != 0
		case "v":
			s, _ := bencode.String(v)
			h.V = string(s[:min(len(s), MaxVersion)])
		case "yourip":
			s, _ := bencode.String(v)
			ip, _ := netip.AddrFromSlice(s)
			h.YourIP = ip.Unmap()
		}
	}
	return h, nil
}

// parseM is the extensions of a handshake's dictionary m.
func parseM(v bencode.Raw) map[string]uint8 {
	m := make(map[string]uint8)
	var names [math.MaxUint8 + 1]int // that claim each id
	for name, id := range bencode.Dictionary(v) {
		n, ok := bencode.Integer(id)
		if !ok || n < 0 || n > math.MaxUint8 || len(name) > MaxName {
			continue
		}
		if len(m) == MaxExtensions {
			break
		}
		m[string(name)] = uint8(n)
		names[n]++
	}
	maps.DeleteFunc(m, func(_ string, id uint8) bool { return id != 0 && names[id] > 1 })
	return m
}

// Append appends the handshake as a payload to b: keys in order, and zero
// fields left out (M is always there).
func (h Handshake) Append(b []byte) []byte {
	b = append(b, "d1:md"...)
	for _, name := range slices.Sorted(maps.Keys(h.M)) {
		b = bencode.AppendString(b, name)
		b = bencode.AppendInteger(b, int64(h.M[name]))
	}
	b = append(b, 'e')
	b = appendNumber(b, "metadata_size", h.MetadataSize)
	b = appendNumber(b, "p", int64(h.Port))
	b = appendNumber(b, "reqq", int64(h.Reqq))
	switch {
	case h.UploadOnly:
		b = appendNumber(b, "upload_only", 1)
	case h.Downloads:
		b = bencode.AppendString(b, "upload_only")
		b = bencode.AppendInteger(b, 0)
	}
	if h.V != "" {
		b = bencode.AppendString(b, "v")
		b = bencode.AppendString(b, h.V)
	}
	if h.YourIP.IsValid() {
		b = bencode.AppendString(b, "yourip")
		b = bencode.AppendString(b, h.YourIP.Unmap().AsSlice())
	}
	return append(b, 'e')
}

// appendNumber appends a key and its number, unless that is 0.
func appendNumber(b []byte, key string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = bencode.AppendString(b, key)
	return bencode.AppendInteger(b, n)
}
