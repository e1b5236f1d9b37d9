// Package merkle is the hash trees of BEP 52: SHA-256 over blocks of 16 KiB,
// one tree for each file.
//
//	layer 3  height                     root = pieces root
//	                          ┌───────────┴───────────┐
//	layer 2                   o                       o        ◀── piece layer, when a piece
//	                    ┌─────┴─────┐           ┌─────┴─────┐      is four blocks long
//	layer 1             o           o           o           P1
//	                 ┌──┴──┐     ┌──┴──┐     ┌──┴──┐     ┌──┴──┐
//	layer 0          L     L     L     L     L     L     0     0   leaves: blocks, then zeros
//
// A leaf is the hash of the bytes of a block that are there. Leaves behind the
// end of the file, up to a power of two, are zero hashes; a node over nothing
// but such leaves is the pad of its layer. A file that fits in one piece has no
// piece layer: its root takes its place, over no more leaves than the file
// needs.
//
// The package is pure.
package merkle

import (
	"crypto/sha256"
	"math"
	"math/bits"
	"slices"

	"bipfs/wire"
)

// Leaf is the leaf of a block: at most wire.BlockSize bytes, and all of it
// that lies in the file.
func Leaf(block []byte) wire.Hash { return sha256.Sum256(block) }

// Parent is the node over two others.
func Parent(left, right wire.Hash) wire.Hash {
	var both [2 * len(wire.Hash{})]byte
	copy(both[:], left[:])
	copy(both[len(left):], right[:])
	return sha256.Sum256(both[:])
}

// pads are the nodes over nothing but zero leaves, by layer.
var pads = func() (pads [wire.MaxHashLayers + 1]wire.Hash) {
	for layer := range wire.MaxHashLayers {
		pads[layer+1] = Parent(pads[layer], pads[layer])
	}
	return pads
}()

// Pad is the node of a layer (0 to wire.MaxHashLayers) that is over nothing
// but zero leaves.
func Pad(layer int) wire.Hash { return pads[layer] }

// Root is the node of layer height over nodes of a lower layer; behind them
// are pads. More nodes than the tree has room for are a bug of the caller and
// panic.
func Root(nodes []wire.Hash, layer, height int) wire.Hash {
	if layer > height || int64(len(nodes)) > 1<<(height-layer) {
		panic("merkle: more nodes than the tree has room for")
	}
	return root(nodes, layer, height)
}

func root(nodes []wire.Hash, layer, height int) wire.Hash {
	switch {
	case len(nodes) == 0:
		return Pad(height)
	case layer == height:
		return nodes[0]
	}
	half := int(min(int64(len(nodes)), 1<<(height-layer-1)))
	return Parent(root(nodes[:half], layer, height-1), root(nodes[half:], layer, height-1))
}

// Layers are the layers of a tree from a lower one up to that of height, which
// is one node; pads are left out. nodes are those of the lower one, at least
// one, and Layers goes on using them.
func Layers(nodes []wire.Hash, layer, height int) [][]wire.Hash {
	layers := [][]wire.Hash{nodes}
	for ; layer < height; layer++ {
		above := make([]wire.Hash, 0, (len(nodes)+1)/2)
		for pair := range slices.Chunk(nodes, 2) {
			right := Pad(layer)
			if len(pair) == 2 {
				right = pair[1]
			}
			above = append(above, Parent(pair[0], right))
		}
		nodes = above
		layers = append(layers, nodes)
	}
	return layers
}

// Tree is the shape of one file's tree.
type Tree struct {
	Length      int64 // bytes of the file, above 0
	PieceLength int64 // bytes: a power of two, wire.BlockSize or more
}

// Blocks is the number of leaves that are not zero.
func (t Tree) Blocks() int64 { return (t.Length-1)/wire.BlockSize + 1 }

// Pieces is the number of pieces of the file.
func (t Tree) Pieces() int64 { return (t.Length-1)/t.PieceLength + 1 }

// Height is the layer of the root.
func (t Tree) Height() int { return heightOver(t.Blocks()) }

// PieceLayer is the layer whose nodes are over one piece each: the root's, if
// the file fits in one.
func (t Tree) PieceLayer() int {
	if t.Length <= t.PieceLength {
		return t.Height()
	}
	return bits.Len64(uint64(t.PieceLength/wire.BlockSize)) - 1
}

// HasLayer reports whether the file has a piece layer of its own, below its
// root: `piece layers` has an entry for such files only.
func (t Tree) HasLayer() bool { return t.Length > t.PieceLength }

// heightOver is the smallest layer that one node of which is over n leaves.
func heightOver(n int64) int { return bits.Len64(uint64(n - 1)) }

// Has reports whether r can be asked of the tree: it is Bounded, lies inside a
// layer (pads included), and its proof does not reach up to the root itself,
// which everybody knows. It is the gate for every range that a peer names.
func (t Tree) Has(r wire.HashRange) bool {
	height := t.Height()
	return r.Bounded() && int(r.Base) < height &&
		int64(r.Index)+int64(r.Length) <= 1<<(height-int(r.Base)) &&
		int(r.Base)+int(r.Proof) < height
}

// Over is the range that proves the leaves of blocks first to last of the
// file, with the fewest hashes, against the node of layer top (at most Height)
// that they are under. It is not ok if no range can: they are the whole of a
// tree of one leaf, are more than wire.MaxHashes, are not under one node of
// that layer, or have an index that the wire has no room for.
func (t Tree) Over(root wire.Hash, first, last int64, top int) (r wire.HashRange, ok bool) {
	return t.over(root, 0, first, last, top)
}

// Layer is range k of those that together bring the piece layer, proven
// against the root; not ok when there are no more, or none at all.
func (t Tree) Layer(root wire.Hash, k int) (r wire.HashRange, ok bool) {
	first := int64(k) * wire.MaxHashes
	if !t.HasLayer() || first >= t.Pieces() {
		return r, false
	}
	return t.over(root, t.PieceLayer(), first, min(first+wire.MaxHashes, t.Pieces())-1, t.Height())
}

func (t Tree) over(root wire.Hash, base int, first, last int64, top int) (r wire.HashRange, ok bool) {
	run := max(1, bits.Len64(uint64(first^last))) // layers from the base to the node over both
	length := int64(1) << run
	if first < 0 || first > last || top > t.Height() || base+run > top || length > wire.MaxHashes {
		return r, false
	}
	index := first &^ (length - 1)
	if index > math.MaxUint32 || last >= 1<<(t.Height()-base) {
		return r, false
	}
	r = wire.HashRange{Root: root, Base: uint32(base), Index: uint32(index), Length: uint32(length)}
	if uncles := top - base - run; uncles > 0 {
		r.Proof = uint32(uncles + run - 1)
	}
	return r, true
}

// Top is the node that an answer to r, which must be Bounded, is proven by:
// its layer and its index there.
func Top(r wire.HashRange) (layer int, index uint32) {
	up := bits.Len32(r.Length) - 1 + r.Uncles()
	return int(r.Base) + up, uint32(uint64(r.Index) >> up)
}

// Fold is the node Top(r) as the hashes of an answer make it: those of the
// base layer, then the uncles, the lowest first. r must be Bounded, and not ok
// is an answer with another number of hashes.
func Fold(r wire.HashRange, hashes []wire.Hash) (top wire.Hash, ok bool) {
	n := int(r.Length)
	if len(hashes) != n+r.Uncles() {
		return top, false
	}
	run := bits.Len32(r.Length) - 1
	top = Root(hashes[:n], 0, run) // without a pad: which layer is 0 does not matter
	for i, uncle := range hashes[n:] {
		if right := uint64(r.Index)>>(run+i)&1 == 1; right {
			top = Parent(uncle, top)
		} else {
			top = Parent(top, uncle)
		}
	}
	return top, true
}

// Answer is the hashes that answer r, which the tree must have. node is the
// nodes of the tree that are not pads, by layer and index; not ok if it does
// not have one that is needed.
func (t Tree) Answer(r wire.HashRange, node func(layer int, index int64) (wire.Hash, bool)) (hashes []wire.Hash, ok bool) {
	get := func(layer int, index int64) bool {
		h := Pad(layer)
		if index<<layer < t.Blocks() {
			if h, ok = node(layer, index); !ok {
				return false
			}
		}
		hashes = append(hashes, h)
		return true
	}
	hashes = make([]wire.Hash, 0, int(r.Length)+r.Uncles())
	for i := range int64(r.Length) {
		if !get(int(r.Base), int64(r.Index)+i) {
			return nil, false
		}
	}
	run := bits.Len32(r.Length) - 1
	for i := range r.Uncles() {
		if !get(int(r.Base)+run+i, (int64(r.Index)>>(run+i))^1) {
			return nil, false
		}
	}
	return hashes, true
}
