package diskcache

import (
	"crypto/sha1"
	"hash"

	"bipfs/wire"
	"bipfs/wire/merkle"
)

// zeros is a block of a gap.
var zeros wire.Buf

// proof is what a piece is verified by, as its blocks come in order: its SHA-1
// (BEP 3), with the gap behind it as zeros, or in a torrent that is v2 only the node over its leaves (BEP 52).
type proof struct {
	sha    hash.Hash // nil if v2 only
	leaves []wire.Hash
}

// newProof is the proof of a piece of so many blocks.
func (s *Spec) newProof(blocks int) *proof {
	if s.Hash != nil {
		return &proof{sha: sha1.New()}
	}
	return &proof{leaves: make([]wire.Hash, 0, blocks)}
}

// add takes the next block, as long as it is. got is its leaf if that is known
// already, else zero.
func (h *proof) add(block []byte, got wire.Hash) {
	switch {
	case h.sha != nil:
		h.sha.Write(block)
	case got != wire.Hash{}:
		h.leaves = append(h.leaves, got)
	default:
		h.leaves = append(h.leaves, merkle.Leaf(block))
	}
}

// reset forgets what was added.
func (h *proof) reset() {
	if h.sha != nil {
		h.sha.Reset()
	}
	h.leaves = h.leaves[:0]
}

// right reports whether the blocks are those of piece p. All must have come.
func (h *proof) right(s *Spec, p wire.Piece) bool {
	if h.sha != nil {
		for gap := s.Gap(p); gap > 0; gap -= min(gap, wire.BlockSize) {
			h.sha.Write(zeros[:min(gap, wire.BlockSize)])
		}
		var sum wire.Digest
		h.sha.Sum(sum[:0])
		return sum == s.Hash(p)
	}
	node, layer := s.Node(p)
	return merkle.Root(h.leaves, 0, layer) == node
}
