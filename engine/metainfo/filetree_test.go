package metainfo

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bipfs/wire"
	"bipfs/wire/merkle"
)

// someRoot is a pieces root that nothing has to match.
var someRoot = hashes(2)[:32]

// leafFile is a file in a file tree, of so many bytes.
func leafFile(length int, more ...any) written {
	pairs := append([]any{}, more...)
	pairs = append(pairs, "length", length)
	if length > 0 {
		pairs = append(pairs, "pieces root", someRoot)
	}
	return dictionary("", dictionary(pairs...))
}

// v2 is an info dictionary of BEP 52.
func v2(version int, tree written) written {
	return dictionary("file tree", tree, "meta version", version, "name", "n", "piece length", 16384)
}

// hybrid is an info dictionary of both formats: a folder r with v1's files and
// v2's tree.
func hybrid(pieces int, tree written, files ...any) written {
	return dictionary("file tree", tree, "files", list(files...), "meta version", 2, "name", "r",
		"piece length", 16384, "pieces", hashes(pieces))
}

func v2Cases() []infoCase {
	ab := dictionary("a", leafFile(1), "b", leafFile(5))
	pad := file(".pad/16383", 16383, "attr", "p")
	return []infoCase{
		{"v2", v2(2, dictionary("n", leafFile(1))), ""},
		{"v2, folders", v2(2, dictionary("d", dictionary("e", dictionary("f", leafFile(40000)), "g", leafFile(0)), "h", leafFile(16384), "i", leafFile(3))), ""},
		{"v2, empty files only", v2(2, dictionary("a", leafFile(0), "b", leafFile(0))), ""},
		{"v2, an empty folder", v2(2, dictionary("a", dictionary(), "b", leafFile(1))), ""},
		{"v2, names that climb", v2(2, dictionary("..", leafFile(1), "/", dictionary(".", leafFile(2)))), ""},
		{"v2, a link", v2(2, dictionary("a", leafFile(1), "b", dictionary("", dictionary("attr", "l", "symlink path", list("a"))))), ""},
		{"v2, 100 deep", v2(2, many(100, "d1:a")+"d0:d6:lengthi0eee"+many(100, "e")), ""},
		{"v2, 101 deep", v2(2, many(101, "d1:a")+"d0:d6:lengthi0eee"+many(101, "e")), "more than 100 elements deep"},
		{"v2, 5,000 deep", v2(2, many(5000, "d1:a")+"de"+many(5000, "e")), "nested too deep"},
		{"v2, keys out of order", "d12:piece lengthi16384e4:name1:n12:meta versioni2e9:file tree" + dictionary("b", leafFile(1), "a", leafFile(2)) + "e", ""},

		{"v2, a root of 31 bytes", v2(2, dictionary("n", dictionary("", dictionary("length", 1, "pieces root", someRoot[:31])))), "pieces root of file 1"},
		{"v2, no root", v2(2, dictionary("n", dictionary("", dictionary("length", 1)))), "pieces root of file 1"},
		{"v2, a root of zeros", v2(2, dictionary("n", dictionary("", dictionary("length", 1, "pieces root", string(make([]byte, 32)))))), "pieces root of file 1"},
		{"v2, a root that is a number", v2(2, dictionary("n", dictionary("", dictionary("length", 1, "pieces root", 7)))), "pieces root of file 1"},
		{"v2, no length", v2(2, dictionary("n", dictionary("", dictionary()))), "length of file 1"},
		{"v2, length -1", v2(2, dictionary("n", leafFile(-1))), "length of file 1"},
		{"v2, length 2^63-1", v2(2, dictionary("n", dictionary("", dictionary("length", int64(1<<63-1), "pieces root", someRoot)))), "length of file 1"},
		{"v2, too many pieces", v2(2, dictionary("a", leafFile(1), "b", dictionary("", dictionary("length", int64(wire.MaxPieces*16384), "pieces root", someRoot)))), "too many pieces"},
		{"v2, no tree", dictionary("meta version", 2, "name", "n", "piece length", 16384), "no file tree"},
		{"v2, a tree that is a list", v2(2, list()), "not a dictionary"},
		{"v2, a tree with nothing in it", v2(2, dictionary()), "no files"},
		{"v2, a tree of empty folders", v2(2, dictionary("a", dictionary("b", dictionary()))), "no files"},
		{"v2, a file without a name", v2(2, leafFile(1)), "both a file and a directory"},
		{"v2, a file that is a folder", v2(2, dictionary("a", dictionary("", dictionary("length", 0), "b", leafFile(1)))), "both a file and a directory"},
		{"v2, a folder that is a file", v2(2, dictionary("a", dictionary("b", leafFile(1), "", dictionary("length", 0)))), "both a file and a directory"},
		{"v2, an entry that is a string", v2(2, dictionary("a", "b")), "neither a file nor a directory"},
		{"v2, a file that is a string", v2(2, dictionary("a", dictionary("", "b"))), "length of file 1"},
		{"v2, no meta version", dictionary("file tree", dictionary(), "name", "n", "piece length", 16384), "no meta version"},
		{"v2, no piece length", dictionary("file tree", dictionary("n", leafFile(1)), "meta version", 2, "name", "n"), "piece length"},
		{"v2, pieces of 8 KiB", dictionary("file tree", dictionary("n", leafFile(1)), "meta version", 2, "name", "n", "piece length", 8192), "power of two"},
		{"v2, pieces of 48 KiB", dictionary("file tree", dictionary("n", leafFile(1)), "meta version", 2, "name", "n", "piece length", 49152), "power of two"},
		{"meta version 3", v2(3, dictionary()), "meta version 3 are not supported"},
		{"meta version 3 beside v1", single(1, "meta version", 3), "meta version 3 are not supported"},
		{"meta version a string", single(1, "meta version", "2"), "meta version is not a number"},
		{"v1 with a file tree and no meta version", single(1, "file tree", dictionary()), ""},
		{"v1 that says so", single(1, "meta version", 1), ""},

		{"hybrid of one file", single(1, "meta version", 2, "file tree", dictionary("n", leafFile(1))), ""},
		{"hybrid", hybrid(2, ab, file("a", 1), pad, file("b", 5)), ""},
		{"hybrid, padded to the end", hybrid(2, ab, file("a", 1), pad, file("b", 5), file(".pad/1", 16379, "attr", "p")), ""},
		{"hybrid, two pads", hybrid(2, ab, file("a", 1), file(".pad/1", 1, "attr", "p"), file(".pad/2", 16382, "attr", "p"), file("b", 5)), ""},
		{"hybrid, an empty file anywhere", hybrid(2, dictionary("a", leafFile(1), "aa", leafFile(0), "b", leafFile(5)), file("a", 1), file("aa", 0), pad, file("b", 5)), ""},
		{"hybrid without a tree", single(1, "meta version", 2), "no file tree"},
		{"hybrid, pieces of 10,000", dictionary("file tree", dictionary("n", leafFile(1)), "length", 1, "meta version", 2, "name", "n", "piece length", 10000, "pieces", hashes(1)), "power of two"},
		{"hybrid, another name", single(1, "meta version", 2, "file tree", dictionary("m", leafFile(1))), "inconsistent hybrid torrent: file 1"},
		{"hybrid, another length", single(1, "meta version", 2, "file tree", dictionary("n", leafFile(2))), "inconsistent hybrid torrent: file 1"},
		{"hybrid, no pad", hybrid(1, ab, file("a", 1), file("b", 5)), "inconsistent hybrid torrent: file 2"},
		{"hybrid, a pad that is too short", hybrid(2, ab, file("a", 1), file(".pad/1", 16382, "attr", "p"), file("b", 5)), "inconsistent hybrid torrent: file 3"},
		{"hybrid, a pad that is a piece too long", hybrid(3, ab, file("a", 1), file(".pad/1", 16383+16384, "attr", "p"), file("b", 5)), "inconsistent hybrid torrent: file 3"},
		{"hybrid, a piece of padding at the end", hybrid(3, ab, file("a", 1), pad, file("b", 5), file(".pad/1", 16379+16384, "attr", "p")), "another shape"},
		{"hybrid, another order", hybrid(2, ab, file("b", 5), file(".pad/1", 16379, "attr", "p"), file("a", 1)), "inconsistent hybrid torrent: file 1"},
		{"hybrid, one file more in v1", hybrid(2, ab, file("a", 1), pad, file("b", 5), file("c", 0)), "file 4 is not in its file tree"},
		{"hybrid, one file more in v2", hybrid(1, ab, file("a", 1)), "file tree has more files"},
		{"hybrid, a pad as a file", hybrid(2, dictionary(".pad", dictionary("16383", leafFile(16383)), "b", leafFile(5)), pad, file("b", 5)), "inconsistent hybrid torrent"},
		{"hybrid, a folder of one file", dictionary("file tree", dictionary("r", leafFile(1)), "files", list(file("r", 1)), "meta version", 2, "name", "r", "piece length", 16384, "pieces", hashes(1)), "another shape"},
	}
}

// checkV2 checks what is true of every Info of BEP 52.
func checkV2(t *testing.T, i *Info) {
	t.Helper()
	if len(i.roots) != len(i.Files) {
		t.Fatalf("%d roots of %d files", len(i.roots), len(i.Files))
	}
	next := wire.Piece(0)
	for k, f := range i.Files {
		if bare := f.Length == 0 || f.Pad; bare != (i.roots[k] == wire.Hash{}) {
			t.Fatalf("file %d: %+v has the root %v", k, f, i.roots[k])
		} else if bare {
			continue
		}
		tree := i.treeOf(k)
		if f.Offset%i.PieceLength != 0 || tree.First != next || tree.Length != f.Length {
			t.Fatalf("file %d: %+v, %+v, next piece %d", k, f, tree, next)
		}
		last := next + wire.Piece(tree.Pieces()) - 1
		for _, p := range []wire.Piece{next, (next + last) / 2, last} {
			if got := i.TreeOf(p); got != tree {
				t.Fatalf("piece %d is of %+v, not %+v", p, got, tree)
			}
		}
		size := f.Length - int64(last-next)*i.PieceLength
		if int64(i.PieceSize(last)) != size {
			t.Fatalf("the last piece of file %d has %d bytes, not %d", k, i.PieceSize(last), size)
		}
		next = last + 1
	}
	if int(next) != i.Pieces() {
		t.Fatalf("the files have %d pieces of %d", next, i.Pieces())
	}
}

// rootOf is the root of content, by the definition.
func rootOf(nodes []wire.Hash, leaves int) wire.Hash {
	if leaves == 1 {
		return nodes[0]
	}
	half := leaves / 2
	left, right := rootOf(nodes[:half], half), rootOf(nodes[half:], half)
	return sha256.Sum256(slices.Concat(left[:], right[:]))
}

// layerOf is the piece layer of content, and its root.
func layerOf(content []byte, perPiece int) (root wire.Hash, layer string) {
	var nodes []wire.Hash
	for b := range slices.Chunk(content, wire.BlockSize) {
		nodes = append(nodes, sha256.Sum256(b))
	}
	blocks, n := len(nodes), 1
	for n < blocks {
		n *= 2
	}
	nodes = append(nodes, make([]wire.Hash, n-blocks)...)
	if blocks > perPiece {
		for p := 0; p < blocks; p += perPiece {
			h := rootOf(nodes[p:p+perPiece], perPiece)
			layer += string(h[:])
		}
	}
	return rootOf(nodes, n), layer
}

func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestLayers(t *testing.T) {
	const perPiece = 4
	names := []string{"a", "b", "c", "d"}
	contents := [][]byte{content(100_000), content(7), content(65536), content(1_000_000)}
	tree, layers := []any{}, []any{}
	for k, c := range contents {
		root, layer := layerOf(c, perPiece)
		tree = append(tree, names[k], dictionary("", dictionary("length", len(c), "pieces root", string(root[:]))))
		if layer != "" {
			layers = append(layers, string(root[:]), layer)
		}
	}
	info := dictionary("file tree", dictionary(tree...), "meta version", 2, "name", "n", "piece length", perPiece*wire.BlockSize)
	m, err := Parse([]byte(dictionary("info", info, "piece layers", dictionary(append(layers, someRoot, "x")...))))
	if err != nil {
		t.Fatal(err)
	}
	i := m.Info
	checkInfo(t, i)
	if len(i.Missing()) != 0 || len(i.Tails) != 2 {
		t.Errorf("missing %v, tails %v", i.Missing(), i.Tails)
	}
	for p := range wire.Piece(i.Pieces()) {
		tree := i.TreeOf(p)
		k := slices.IndexFunc(contents, func(c []byte) bool { return int64(len(c)) == tree.Length })
		from := int(p-tree.First) * perPiece * wire.BlockSize
		var leaves []wire.Hash
		for b := range slices.Chunk(contents[k][from:from+int(i.PieceSize(p))], wire.BlockSize) {
			leaves = append(leaves, merkle.Leaf(b))
		}
		if node, layer := i.Node(p); layer != tree.PieceLayer() || merkle.Root(leaves, 0, layer) != node {
			t.Errorf("piece %d is not that of its node", p)
		}
	}
	again, err := Parse(m.Encode())
	if err != nil || len(again.Info.Missing()) != 0 || !bytes.Equal(again.Encode(), m.Encode()) {
		t.Errorf("written and read: %v", err)
	}
	checkMissing(t, m, []byte(info))
}

// checkMissing has the layers of m, which is of info, asked for and taken in.
func checkMissing(t *testing.T, m *Torrent, info []byte) {
	t.Helper()
	i, err := ParseInfo(info)
	if err != nil {
		t.Fatal(err)
	}
	missing := i.Missing()
	if len(missing) != 2 || missing[0].First != 0 || missing[1].First != 4 {
		t.Fatalf("missing: %+v", missing)
	}
	for _, tree := range missing {
		if node, _ := i.Node(tree.First); node != (wire.Hash{}) {
			t.Error("a piece has a node, and its layer is not here")
		}
		layer, _ := m.Info.Layer(tree.Root)
		wrong := slices.Clone(layer)
		wrong[1][0] ^= 1
		if i.AddLayer(tree, wrong) != ErrLayer || i.AddLayer(tree, layer[1:]) != ErrLayer || i.AddLayer(tree, nil) != ErrLayer {
			t.Error("a wrong layer is taken in")
		}
		if err := i.AddLayer(tree, layer); err != nil {
			t.Error(err)
		}
	}
	if len(i.Missing()) != 0 {
		t.Error("a layer is missing still")
	}
}

func TestBadLayers(t *testing.T) {
	root, layer := layerOf(content(100_000), 1)
	r := string(root[:])
	tree := dictionary("n", dictionary("", dictionary("length", 100_000, "pieces root", r)))
	info := v2(2, tree)
	two := v2(2, dictionary("a", dictionary("", dictionary("length", 100_000, "pieces root", r)),
		"b", dictionary("", dictionary("length", 90_000, "pieces root", r))))
	both := single(100_000, "meta version", 2, "file tree", tree)
	for _, c := range []struct {
		what   string
		info   written
		layers any
		want   string
	}{
		{"right", info, dictionary(r, layer), ""},
		{"none", info, dictionary(), ""},
		{"right, of a hybrid", both, dictionary(r, layer), ""},
		{"of v1", single(100_000), "x", ""},
		{"a string", info, "x", "piece layers are not a dictionary"},
		{"a hash short", info, dictionary(r, layer[32:]), "192 bytes, and would have to be 224"},
		{"a byte short", info, dictionary(r, layer[1:]), "223 bytes"},
		{"a hash too long", info, dictionary(r, layer+r), "256 bytes"},
		{"a bit wrong", info, dictionary(r, string([]byte{layer[0] ^ 1})+layer[1:]), errLayers.Error()},
		{"wrong, of a hybrid", both, dictionary(r, strings.Repeat("x", 224)), errLayers.Error()},
		{"empty", info, dictionary(r, ""), "0 bytes"},
		{"a list", info, dictionary(r, list()), ""},
		{"of a root that is no root", info, dictionary("x", layer, r, layer), ""},
		{"of two files of one root and two lengths", two, dictionary(r, layer), "192"},
	} {
		m, err := Parse([]byte(dictionary("info", c.info, "piece layers", c.layers)))
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		case err == nil:
			checkInfo(t, m.Info)
		}
	}
}

// Time is linear however deep the tree is.
func BenchmarkFileTree(b *testing.B) {
	for _, depth := range []int{1, MaxDepth - 1} {
		var files strings.Builder
		for k := range 200_000 {
			fmt.Fprintf(&files, "7:f%06dd0:d6:lengthi0eee", k)
		}
		info := []byte(v2(2, many(depth, "d1:a")+written("d"+files.String()+"e")+many(depth, "e")))
		b.Run(fmt.Sprint(depth, " deep"), func(b *testing.B) {
			for b.Loop() {
				if _, err := ParseInfo(info); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
