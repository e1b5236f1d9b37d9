package metainfo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"

	"bipfs/wire"
	"bipfs/wire/bencode"
	"bipfs/wire/merkle"
)

// The piece layers of BEP 52. They are beside the info dictionary, not in it:
// a .torrent has them, a magnet link's metadata has not, and then they are
// asked for from peers. Whatever the way, a layer is taken in only if the root
// of its file follows from it.

// layers are the piece layers that are here, by root, each with those above it
// up to the root: files with the same content share them.
type layers struct {
	mu sync.RWMutex
	of map[wire.Hash][][]wire.Hash

	sorting sync.Once
	files   map[wire.Hash]int // the first file of each root
}

var (
	// ErrLayer is the error for a piece layer that is not that of its root.
	ErrLayer = errors.New("a piece layer is not that of its file")

	errLayers = errors.New("broken torrent: " + ErrLayer.Error())
)

// HashTree is the hash tree that proves one file.
type HashTree struct {
	merkle.Tree
	Root  wire.Hash
	First wire.Piece // the first piece of the file
}

// TreeOf is the hash tree of the file that piece p, which must be Valid, is
// of. The torrent must have been made for BEP 52 (HasV2).
func (i *Info) TreeOf(p wire.Piece) HashTree {
	at := i.Offset(p, 0)
	return i.treeOf(sort.Search(len(i.Files), func(k int) bool { return i.Files[k].Offset+i.Files[k].Length > at }))
}

// treeOf is the hash tree of file k, which has bytes and is no pad.
func (i *Info) treeOf(k int) HashTree {
	f := i.Files[k]
	return HashTree{
		Tree: merkle.Tree{Length: f.Length, PieceLength: i.PieceLength},
		Root: i.roots[k], First: wire.Piece(f.Offset / i.PieceLength),
	}
}

// Node is the node of piece p, which must be Valid, in the piece layer of its
// file, and which layer of the tree that is: what the leaves of the piece are
// verified by. It is zero, which is the node of nothing, while the layer is not
// here. Safe for concurrent use.
func (i *Info) Node(p wire.Piece) (node wire.Hash, layer int) {
	t := i.TreeOf(p)
	if !t.HasLayer() {
		return t.Root, t.PieceLayer()
	}
	if nodes, ok := i.Layer(t.Root); ok {
		node = nodes[p-t.First]
	}
	return node, t.PieceLayer()
}

// Root is the pieces root of file k; zero if it has none.
func (i *Info) Root(k int) (root wire.Hash) {
	if i.roots != nil {
		root = i.roots[k]
	}
	return root
}

// Layer is the piece layer under a root; not ok while it is not here. Nobody
// may change it. Safe for concurrent use.
func (i *Info) Layer(root wire.Hash) (layer []wire.Hash, ok bool) {
	i.layers.mu.RLock()
	defer i.layers.mu.RUnlock()
	if up, ok := i.layers.of[root]; ok {
		return up[0], true
	}
	return nil, false
}

// Layers is the piece layer under a root and all above it, up to the root; not ok
// while they are not here. Nobody may change them. Safe for concurrent use.
func (i *Info) Layers(root wire.Hash) (up [][]wire.Hash, ok bool) {
	i.layers.mu.RLock()
	defer i.layers.mu.RUnlock()
	up, ok = i.layers.of[root]
	return up, ok
}

// Below is the piece whose leaves answer a hash request: one for a layer below
// the piece layer, of hashes that are all of one piece. Of files with the same
// content it is a piece of the first. It is not ok if there is none. Safe for
// concurrent use.
func (i *Info) Below(r wire.HashRange) (p wire.Piece, ok bool) {
	i.layers.sorting.Do(func() {
		i.layers.files = map[wire.Hash]int{}
		for k, root := range slices.Backward(i.roots) {
			if root != (wire.Hash{}) {
				i.layers.files[root] = k
			}
		}
	})
	k, ok := i.layers.files[r.Root]
	if !ok {
		return p, false
	}
	t := i.treeOf(k)
	low := t.PieceLayer()
	if !t.Has(r) || int(r.Base) >= low {
		return p, false
	}
	up := low - int(r.Base)
	first, last := int64(r.Index)>>up, (int64(r.Index)+int64(r.Length)-1)>>up
	return t.First + wire.Piece(first), first == last && first < t.Pieces()
}

// AddLayer takes in the piece layer of a file, or is ErrLayer if the root of
// the file does not follow from it. layer must not change any more. Safe for
// concurrent use.
func (i *Info) AddLayer(t HashTree, layer []wire.Hash) error {
	if !t.HasLayer() || int64(len(layer)) != t.Pieces() {
		return ErrLayer
	}
	up := merkle.Layers(layer, t.PieceLayer(), t.Height())
	if up[len(up)-1][0] != t.Root {
		return ErrLayer
	}
	i.layers.mu.Lock()
	defer i.layers.mu.Unlock()
	if i.layers.of == nil {
		i.layers.of = map[wire.Hash][][]wire.Hash{}
	}
	i.layers.of[t.Root] = up
	return nil
}

// Answer is the hashes that answer a hash request; not ok if r is of no file
// of the torrent, or of a layer that is not here: what is below the piece layer
// is Below's. Safe for concurrent use.
func (i *Info) Answer(r wire.HashRange) (hashes []wire.Hash, ok bool) {
	i.layers.mu.RLock()
	defer i.layers.mu.RUnlock()
	up := i.layers.of[r.Root]
	if up == nil {
		return nil, false
	}
	// All files of one root have one length, or their layer would not be here.
	t := merkle.Tree{Length: int64(len(up[0])) * i.PieceLength, PieceLength: i.PieceLength}
	low := t.PieceLayer()
	if !t.Has(r) || int(r.Base) < low {
		return nil, false
	}
	return t.Answer(r, func(layer int, index int64) (wire.Hash, bool) { return up[layer-low][index], true })
}

// Missing are the trees whose piece layers are not here, one for each root, in
// the order of their first files.
func (i *Info) Missing() (trees []HashTree) {
	seen := map[wire.Hash]bool{}
	for k, root := range i.roots {
		if root == (wire.Hash{}) || seen[root] || !i.treeOf(k).HasLayer() {
			continue
		}
		seen[root] = true
		if _, ok := i.Layer(root); !ok {
			trees = append(trees, i.treeOf(k))
		}
	}
	return trees
}

// readLayers takes in the `piece layers` of a .torrent. What is of no file of
// the torrent is left out.
func (i *Info) readLayers(v bencode.Raw) error {
	if !i.HasV2() || v == nil {
		return nil
	}
	if !bencode.IsDictionary(v) {
		return errors.New("broken torrent: its piece layers are not a dictionary")
	}
	written := map[wire.Hash][]byte{}
	for key, v := range bencode.Dictionary(v) {
		if b, ok := bencode.String(v); ok && len(key) == len(wire.Hash{}) {
			written[wire.Hash(key)] = b
		}
	}
	taken := map[wire.Hash]int64{} // the pieces of what was taken in
	for k, root := range i.roots {
		b, ok := written[root]
		if !ok || root == (wire.Hash{}) {
			continue
		}
		t := i.treeOf(k)
		if !t.HasLayer() {
			continue
		}
		if have, want := int64(len(b)), t.Pieces()*int64(len(root)); have != want {
			return fmt.Errorf("broken torrent: the piece layer of file %d is %d bytes, and would have to be %d", k+1, have, want)
		}
		if taken[root] == t.Pieces() {
			continue
		}
		if i.AddLayer(t, HashesOf(b)) != nil {
			return errLayers
		}
		taken[root] = t.Pieces()
	}
	return nil
}

// HashesOf is the hashes that lie in b one behind the other.
func HashesOf(b []byte) []wire.Hash {
	hashes := make([]wire.Hash, len(b)/len(wire.Hash{}))
	for k := range hashes {
		hashes[k] = wire.Hash(b[k*len(wire.Hash{}):])
	}
	return hashes
}

// encodeLayers is the `piece layers` of a .torrent, or nil if there are none.
func (i *Info) encodeLayers() bencode.Raw {
	i.layers.mu.RLock()
	defer i.layers.mu.RUnlock()
	if len(i.layers.of) == 0 {
		return nil
	}
	roots := slices.SortedFunc(maps.Keys(i.layers.of), func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) })
	b := []byte{'d'}
	for _, root := range roots {
		b = bencode.AppendString(b, root[:])
		var layer []byte
		for _, h := range i.layers.of[root][0] {
			layer = append(layer, h[:]...)
		}
		b = bencode.AppendString(b, layer)
	}
	return append(b, 'e')
}
