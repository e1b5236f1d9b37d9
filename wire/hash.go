package wire

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Hash is a SHA-256: a node of a file's hash tree, the root of one, or an
// infohash of BEP 52.
type Hash [32]byte

// String is the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short is the first 20 bytes of h: what a v2 infohash is in handshakes, to
// trackers and in the DHT (BEP 52).
func (h Hash) Short() Digest { return Digest(h[:len(Digest{})]) }

const (
	// MaxHashes is the most hashes of the base layer that one hash request may
	// ask for (BEP 52).
	MaxHashes = 512

	// MaxHashLayers is the most layers that a hash tree has above its leaves:
	// those of a file of MaxPieces pieces of MaxPieceLength, which has 2^36
	// blocks.
	MaxHashLayers = 36
)

// HashRange is what a hash request asks for, and what hashes and a hash reject
// answer (BEP 52): Length hashes of a layer of a file's hash tree, and the
// uncles that prove them.
type HashRange struct {
	Root   Hash   // pieces root: of which file
	Base   uint32 // the layer; 0 is the leaves
	Index  uint32 // of the first hash in its layer; a multiple of Length
	Length uint32 // hashes of the layer; a power of two
	Proof  uint32 // layers above the base that a proof is wanted from
}

// HashRangeSize is the length in bytes of a HashRange on the wire: all of a
// hash request and of a hash reject, and the beginning of hashes.
const HashRangeSize = len(Hash{}) + 4*4

// MaxHashPayload is the longest payload of hashes, in bytes.
const MaxHashPayload = HashRangeSize + (MaxHashes+MaxHashLayers)*len(Hash{})

// Bounded reports whether r keeps the rules that BEP 52 makes for every tree:
// a power of two of hashes from 2 to MaxHashes, at a multiple of their number.
// Whether a tree has them is merkle.Tree's to say.
func (r HashRange) Bounded() bool {
	return r.Length >= 2 && r.Length <= MaxHashes && bits.OnesCount32(r.Length) == 1 &&
		r.Index%r.Length == 0 && r.Base <= MaxHashLayers && r.Proof <= MaxHashLayers
}

// Uncles is the number of hashes behind those of the base layer: one for each
// layer of the proof, but for the layers that follow from the base. r must be
// Bounded.
func (r HashRange) Uncles() int {
	return max(0, int(r.Proof)-(bits.Len32(r.Length)-2))
}

// AppendHashRange appends r as the payload of a hash request or hash reject,
// or the beginning of that of hashes.
func AppendHashRange(b []byte, r HashRange) []byte {
	b = append(b, r.Root[:]...)
	for _, n := range [...]uint32{r.Base, r.Index, r.Length, r.Proof} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// ParseHashes reads the payload of a hash request, hashes or hash reject. The
// hashes stay inside b. It is not ok if b is no HashRange and whole hashes.
// Nothing is said about the numbers: Bounded does.
func ParseHashes(b []byte) (r HashRange, hashes []byte, ok bool) {
	if len(b) < HashRangeSize || (len(b)-HashRangeSize)%len(Hash{}) != 0 {
		return r, nil, false
	}
	r.Root = Hash(b)
	for i, n := range [...]*uint32{&r.Base, &r.Index, &r.Length, &r.Proof} {
		*n = binary.BigEndian.Uint32(b[len(Hash{})+4*i:])
	}
	return r, b[HashRangeSize:], true
}

func isHash(k Kind) bool { return k >= HashRequest && k <= HashReject }

// hashPayload reports whether a hash message of kind k can have a payload of n
// bytes.
func hashPayload(k Kind, n uint32) bool {
	if k != Hashes {
		return n == uint32(HashRangeSize)
	}
	return n >= uint32(HashRangeSize) && n <= uint32(MaxHashPayload) &&
		(n-uint32(HashRangeSize))%uint32(len(Hash{})) == 0
}
