package merkle

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"testing"

	"bipfs/wire"
)

// naive is all nodes of a tree, pads included, by layer: made the way the BEP
// tells it, with none of the shortcuts.
func naive(leaves []wire.Hash) [][]wire.Hash {
	n := 1
	for n < len(leaves) {
		n *= 2
	}
	layers := [][]wire.Hash{make([]wire.Hash, n)}
	copy(layers[0], leaves)
	for n > 1 {
		below := layers[len(layers)-1]
		n /= 2
		layer := make([]wire.Hash, n)
		for i := range layer {
			layer[i] = sha256.Sum256(append(append([]byte(nil), below[2*i][:]...), below[2*i+1][:]...))
		}
		layers = append(layers, layer)
	}
	return layers
}

func someLeaves(n int) []wire.Hash {
	leaves := make([]wire.Hash, n)
	for i := range leaves {
		leaves[i] = Leaf([]byte{byte(i), byte(i >> 8)})
	}
	return leaves
}

// shapes calls f with each small tree, its nodes and blocks to a piece.
func shapes(t *testing.T, f func(tree Tree, nodes [][]wire.Hash, perPiece int)) {
	for blocks := 1; blocks <= 35; blocks++ {
		for perPiece := 1; perPiece <= 16; perPiece *= 2 {
			tree := Tree{int64(blocks)*wire.BlockSize - int64(blocks%3), int64(perPiece) * wire.BlockSize}
			if tree.Blocks() != int64(blocks) {
				t.Fatalf("%+v has %d blocks", tree, tree.Blocks())
			}
			f(tree, naive(someLeaves(blocks)), perPiece)
		}
	}
}

func TestShape(t *testing.T) {
	shapes(t, func(tree Tree, nodes [][]wire.Hash, perPiece int) {
		blocks := int(tree.Blocks())
		if tree.Height() != len(nodes)-1 {
			t.Fatalf("%+v: height %d, want %d", tree, tree.Height(), len(nodes)-1)
		}
		if want := (blocks + perPiece - 1) / perPiece; tree.Pieces() != int64(want) || tree.HasLayer() != (want > 1) {
			t.Fatalf("%+v: %d pieces, layer %v, want %d", tree, tree.Pieces(), tree.HasLayer(), want)
		}
		layer := tree.PieceLayer()
		if !tree.HasLayer() && layer != tree.Height() || tree.HasLayer() && 1<<layer != perPiece {
			t.Fatalf("%+v: piece layer %d", tree, layer)
		}
		// Any layer, cut where the file ends, gives the root.
		for l := range nodes {
			n := (blocks + 1<<l - 1) >> l
			if got := Root(nodes[l][:n], l, tree.Height()); got != nodes[tree.Height()][0] {
				t.Fatalf("%+v: layer %d gives another root", tree, l)
			}
		}
		for l, layer := range Layers(nodes[0][:blocks], 0, tree.Height()) {
			if !slices.Equal(layer, nodes[l][:(blocks+1<<l-1)>>l]) {
				t.Fatalf("%+v: layer %d is another", tree, l)
			}
		}
		// And the leaves of each piece its node in the piece layer.
		leaves := nodes[0][:blocks]
		for p := range int(tree.Pieces()) {
			if got := Root(leaves[p*perPiece:min((p+1)*perPiece, blocks)], 0, layer); got != nodes[layer][p] {
				t.Fatalf("%+v: piece %d has another node", tree, p)
			}
		}
	})
}

// Every range that a small tree has, and every one beside it, asked and
// answered.
func TestEveryRange(t *testing.T) {
	shapes(t, func(tree Tree, nodes [][]wire.Hash, perPiece int) {
		if perPiece > 1 {
			return // ranges know nothing of pieces
		}
		height := tree.Height()
		node := func(layer int, index int64) (wire.Hash, bool) {
			if index<<layer >= tree.Blocks() {
				t.Fatalf("%+v: a pad is asked for: %d in layer %d", tree, index, layer)
			}
			return nodes[layer][index], true
		}
		for base := 0; base <= height+1; base++ {
			for length := 0; length <= 64+1; length++ {
				for index := 0; index <= 64; index++ {
					for proof := 0; proof <= height+1; proof++ {
						r := wire.HashRange{Base: uint32(base), Index: uint32(index), Length: uint32(length), Proof: uint32(proof)}
						want := base < height && length >= 2 && length&(length-1) == 0 && index%length == 0 &&
							index+length <= len(nodes[base]) && proof <= height-base-1
						if tree.Has(r) != want {
							t.Fatalf("%+v has %+v: %v", tree, r, !want)
						}
						if !want {
							continue
						}
						hashes, ok := tree.Answer(r, node)
						top, folded := Fold(r, hashes)
						layer, at := Top(r)
						if !ok || !folded || top != nodes[layer][at] {
							t.Fatalf("%+v, %+v: %v, %v, not node %d of layer %d", tree, r, ok, folded, at, layer)
						}
						for i := range length {
							if hashes[i] != nodes[base][index+i] {
								t.Fatalf("%+v, %+v: hash %d is another", tree, r, i)
							}
						}
					}
				}
			}
		}
	})
}

// For every run of blocks, the range is the smallest that proves it.
func TestOver(t *testing.T) {
	shapes(t, func(tree Tree, nodes [][]wire.Hash, perPiece int) {
		blocks, layer := tree.Blocks(), tree.PieceLayer()
		for first := int64(-1); first <= blocks; first++ {
			for last := first - 1; last <= blocks; last++ {
				r, ok := tree.Over(nodes[tree.Height()][0], first, last, layer)
				inside := 0 <= first && first <= last && last < int64(len(nodes[0])) && layer > 0 && first>>layer == last>>layer
				if ok != inside {
					t.Fatalf("%+v: blocks %d to %d: %v", tree, first, last, ok)
				}
				if !ok {
					continue
				}
				top, at := Top(r)
				if !tree.Has(r) || r.Root != nodes[tree.Height()][0] || top != layer || int64(at) != first>>layer {
					t.Fatalf("%+v: blocks %d to %d: %+v is proven by %d of layer %d", tree, first, last, r, at, top)
				}
				from, to := int64(r.Index), int64(r.Index+r.Length)
				half := int64(r.Length / 2)
				if from > first || to <= last || half > 1 && (from+half <= first || from+half > last) {
					t.Fatalf("%+v: blocks %d to %d: %+v", tree, first, last, r)
				}
			}
		}
	})
}

// The ranges of the piece layer cover it once, and are proven by the root.
func TestLayer(t *testing.T) {
	for _, pieces := range []int64{1, 2, 3, 511, 512, 513, 1024, 1025, 5000} {
		tree := Tree{pieces*4*wire.BlockSize - 5, 4 * wire.BlockSize}
		at := int64(0)
		for k := 0; ; k++ {
			r, ok := tree.Layer(wire.Hash{1}, k)
			if !ok {
				break
			}
			if layer, top := Top(r); layer != tree.Height() || top != 0 || !tree.Has(r) || r.Base != 2 || int64(r.Index) > at {
				t.Fatalf("%d pieces: %+v is proven by %d of layer %d", pieces, r, top, layer)
			}
			at = int64(r.Index + r.Length)
		}
		if pieces > 1 && at < pieces || pieces == 1 && at > 0 {
			t.Errorf("%d pieces: %d are asked for", pieces, at)
		}
	}
}

// The largest tree there can be, and a file that the wire has no numbers for.
func TestLargest(t *testing.T) {
	tree := Tree{wire.MaxPieces * wire.MaxPieceLength, wire.MaxPieceLength}
	if tree.Height() != wire.MaxHashLayers || tree.PieceLayer() != 15 || tree.Pieces() != wire.MaxPieces {
		t.Errorf("height %d, piece layer %d", tree.Height(), tree.PieceLayer())
	}
	r, ok := tree.Over(wire.Hash{}, math.MaxUint32-1, math.MaxUint32, tree.Height())
	if !ok || !tree.Has(r) || r.Uncles() != wire.MaxHashLayers-1 {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, ok := tree.Over(wire.Hash{}, math.MaxUint32+1, math.MaxUint32+2, tree.Height()); ok {
		t.Error("an index of 33 bits")
	}
	if _, ok := tree.Over(wire.Hash{}, 0, wire.MaxHashes, 15); ok {
		t.Error("more hashes than may be asked for")
	}
	if !strings.HasPrefix(Pad(1).String(), "f5a5fd42d16a2030") || Pad(0) != (wire.Hash{}) {
		t.Errorf("pads %v, %v", Pad(0), Pad(1))
	}
}

func TestRootPanics(t *testing.T) {
	for _, c := range []struct{ n, layer, height int }{{3, 0, 1}, {2, 1, 1}, {1, 2, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v has a root", c)
				}
			}()
			Root(make([]wire.Hash, c.n), c.layer, c.height)
		}()
	}
}

// An answer that lacks a hash, has one too many, or one that is wrong.
func TestWrongAnswers(t *testing.T) {
	nodes := naive(someLeaves(13))
	tree := Tree{13 * wire.BlockSize, 4 * wire.BlockSize}
	r := wire.HashRange{Index: 4, Length: 4, Proof: 3}
	good, _ := tree.Answer(r, func(layer int, i int64) (wire.Hash, bool) { return nodes[layer][i], true })
	if len(good) != 6 {
		t.Fatalf("%d hashes", len(good))
	}
	for i := range good {
		bad := append([]wire.Hash(nil), good...)
		bad[i][31] ^= 1
		if top, ok := Fold(r, bad); !ok || top == nodes[4][0] {
			t.Errorf("a wrong hash %d passes", i)
		}
	}
	for _, n := range []int{0, 5} {
		if _, ok := Fold(r, good[:n]); ok {
			t.Errorf("%d hashes pass", n)
		}
	}
	if _, ok := Fold(r, append(good, wire.Hash{})); ok {
		t.Error("one hash too many passes")
	}
	for lacks := range 2 {
		if _, ok := tree.Answer(r, func(layer int, i int64) (wire.Hash, bool) {
			return wire.Hash{}, layer == lacks*2
		}); ok {
			t.Error("answered without all nodes")
		}
	}
}

// Whatever a peer asks or answers, nobody panics or is made to build more than
// the bounds allow.
func FuzzRange(f *testing.F) {
	f.Add(int64(1)<<20, uint8(2), make([]byte, wire.HashRangeSize))
	f.Add(int64(1)<<50, uint8(15), wire.AppendHashRange(nil, wire.HashRange{Index: 512, Length: 512, Proof: 20}))
	f.Add(int64(100_000), uint8(2), wire.AppendHashRange(nil, wire.HashRange{Index: 4, Length: 4, Proof: 2}))
	f.Fuzz(func(t *testing.T, length int64, shift uint8, b []byte) {
		tree := Tree{length, wire.BlockSize << (shift % 16)}
		r, payload, ok := wire.ParseHashes(b)
		if length < 1 || tree.Pieces() > wire.MaxPieces || !ok || !r.Bounded() {
			return
		}
		var hashes []wire.Hash
		for ; len(payload) > 0; payload = payload[len(wire.Hash{}):] {
			hashes = append(hashes, wire.Hash(payload))
		}
		Fold(r, hashes)
		if !tree.Has(r) {
			return
		}
		answer, ok := tree.Answer(r, func(layer int, index int64) (wire.Hash, bool) { return wire.Hash{byte(layer), byte(index)}, true })
		if _, folded := Fold(r, answer); !ok || !folded || len(answer) > wire.MaxHashes+wire.MaxHashLayers {
			t.Fatalf("%+v, %+v: %d hashes", tree, r, len(answer))
		}
		if layer, _ := Top(r); layer > tree.Height() {
			t.Fatalf("%+v, %+v: proven by layer %d of %d", tree, r, layer, tree.Height())
		}
	})
}

func BenchmarkLeaf(b *testing.B) {
	block := make([]byte, wire.BlockSize)
	b.SetBytes(wire.BlockSize)
	for b.Loop() {
		Leaf(block)
	}
}

// A piece of 4 MiB from its leaves; beside BenchmarkLeaf, what the tree costs.
func BenchmarkRoot(b *testing.B) {
	leaves := someLeaves(256)
	b.SetBytes(256 * wire.BlockSize)
	for b.Loop() {
		Root(leaves, 0, 8)
	}
}
