package diskcache

import (
	"crypto/sha1"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"bipfs/wire"
)

// newTruthV2 is a v2-only torrent of files of the given lengths.
func newTruthV2(pieceLength int64, lengths ...int64) *truth {
	x := &truth{Geometry: wire.Geometry{PieceLength: pieceLength}, files: []File{}}
	for k, length := range lengths {
		if tail := x.Length % pieceLength; tail > 0 && length > 0 {
			x.Tails = append(x.Tails, wire.Extent{Piece: wire.Piece(x.Length / pieceLength), Length: uint32(tail)})
			x.files = append(x.files, File{Length: pieceLength - tail, Pad: true})
			x.bytes = append(x.bytes, make([]byte, pieceLength-tail)...)
		}
		content := make([]byte, length)
		rand.NewChaCha8([32]byte{byte(k)}).Read(content)
		x.bytes = append(x.bytes, content...)
		x.files = append(x.files, File{Length: length, Root: wire.Hash{byte(k + 1)}})
		x.Length = int64(len(x.bytes))
	}
	return x
}

// padEnd is the torrent with a pad behind its last file, as libtorrent's have.
func (x *truth) padEnd() *truth {
	last := wire.Piece(x.Pieces() - 1)
	x.Tails = append(x.Tails, x.Whole(last))
	pad := x.PieceLength - int64(x.PieceSize(last))
	x.files = append(x.files, File{Length: pad, Pad: true})
	x.bytes = append(x.bytes, make([]byte, pad)...)
	x.Length += pad
	return x
}

// nodeOver is the node over blocks and zeros, by the definition.
func nodeOver(blocks [][]byte, leaves int) (node wire.Hash) {
	if len(blocks) == 0 && leaves == 1 {
		return node
	}
	if leaves == 1 {
		return sha256.Sum256(blocks[0])
	}
	half := min(leaves/2, len(blocks))
	left, right := nodeOver(blocks[:half], leaves/2), nodeOver(blocks[half:], leaves/2)
	return sha256.Sum256(slices.Concat(left[:], right[:]))
}

// specV2 is the truth's spec, proven by nodes. A file that fits in a piece has
// no more leaves than it needs.
func (x *truth) specV2(dir string) Spec {
	return Spec{Dir: dir, Geometry: x.Geometry, Files: x.files, Node: func(p wire.Piece) (wire.Hash, int) {
		blocks := slices.Collect(slices.Chunk(x.piece(p), wire.BlockSize))
		layer, at := 0, int64(0)
		for _, f := range x.files {
			if at == x.Offset(p, 0) && f.Length <= x.PieceLength && !f.Pad {
				for 1<<layer < len(blocks) {
					layer++
				}
				return nodeOver(blocks, 1<<layer), layer
			}
			at += f.Length
		}
		for int64(wire.BlockSize)<<layer < x.PieceLength {
			layer++
		}
		return nodeOver(blocks, 1<<layer), layer
	}}
}

// specHybrid is the truth's spec, proven by SHA-1 as v1 peers know it, over the
// gaps as well, and by nodes.
func (x *truth) specHybrid(dir string) Spec {
	return Spec{Dir: dir, Geometry: x.Geometry, Files: x.files, Node: x.specV2(dir).Node, Hash: func(p wire.Piece) wire.Digest {
		off := x.Offset(p, 0)
		return sha1.Sum(x.bytes[off:min(off+x.PieceLength, int64(len(x.bytes)))])
	}}
}

// bothSpecs calls f with every truth in both formats of BEP 52.
func bothSpecs(t *testing.T, f func(t *testing.T, x *truth, spec func(dir string) Spec)) {
	for name, x := range truthsV2() {
		t.Run("v2 only/"+name, func(t *testing.T) { f(t, x, x.specV2) })
		t.Run("hybrid/"+name, func(t *testing.T) { f(t, x, x.specHybrid) })
	}
}

func truthsV2() map[string]*truth {
	return map[string]*truth{
		"one byte":          newTruthV2(16<<10, 1),
		"pieces of a block": newTruthV2(16<<10, 100_000, 16384, 5, 0, 70_000),
		"small files":       newTruthV2(128<<10, 1, 0, 20_000, 40_000, 128<<10, 7),
		"long files":        newTruthV2(64<<10, 300_000, 65536, 0, 1_000_000),
		"padded to the end": newTruthV2(64<<10, 70_000, 5).padEnd(),
		"spilled":           newTruthV2(2<<20, 2<<20, 3<<20, 5<<20+1),
	}
}

// TestV2: pieces of BEP 52 are fetched, read, found again after a restart, and
// found in files that somebody else filled.
func TestV2(t *testing.T) {
	bothSpecs(t, func(t *testing.T, x *truth, spec func(dir string) Spec) {
		dir := t.TempDir()
		r := rand.New(rand.NewPCG(1, 2))
		open := func() *bench { return newBenchOf(t, x, Config{}, spec(dir)) }
		b := open()
		for _, p := range r.Perm(x.Pieces()) {
			b.fetch(wire.Piece(p), r)
		}
		b.readAll(70_000)
		b.close()
		b = open()
		if n := b.Have().Count(); n != x.Pieces() {
			t.Fatalf("%d of %d pieces after reopening", n, x.Pieces())
		}
		b.readAll(33_333)
		for p := range wire.Piece(x.Pieces()) {
			b.absent(p, ErrAbsent)
		}
		if n, err := b.Verify(t.Context()); n != x.Pieces() || err != nil {
			t.Errorf("%d of %d pieces are found, %v", n, x.Pieces(), err)
		}
		b.close()
	})
}

// TestBadPieceV2: one bit wrong in any block is a bad piece.
func TestBadPieceV2(t *testing.T) {
	bothSpecs(t, func(t *testing.T, x *truth, spec func(dir string) Spec) {
		synctest.Test(t, func(t *testing.T) {
			b := newBenchOf(t, x, Config{FS: newSimFS()}, spec("/x"))
			for p := range wire.Piece(x.Pieces()) {
				b.Expect(p) // or it may be dropped before it is stored
				for _, bad := range []int{0, x.Blocks(p) - 1} {
					if b.bringAll(p, bad).OK || b.Local(x.Whole(p)) {
						t.Fatalf("piece %d is here, with block %d bad", p, bad)
					}
				}
				if !b.bringAll(p, -1).OK {
					t.Fatalf("piece %d is bad", p)
				}
			}
			b.readAll(1 << 20)
			b.close()
		})
	})
}

// A journal of other roots is another content's.
func TestOtherRoots(t *testing.T) {
	x := newTruthV2(64<<10, 100_000)
	dir := t.TempDir()
	b := newBenchOf(t, x, Config{}, x.specV2(dir))
	b.fetch(0, rand.New(rand.NewPCG(1, 2)))
	b.close()
	x.files[0].Root[0] ^= 1
	b = newBenchOf(t, x, Config{}, x.specV2(dir))
	if b.Have().Count() != 0 {
		t.Error("pieces of another content are here")
	}
	b.close()
}
