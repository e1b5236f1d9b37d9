package metainfo

import (
	"crypto/sha1"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bipfs/wire"
)

// mixed is a folder with every sort of length, order and entry.
func mixed(t *testing.T) string {
	return write(t, "mixed", map[string]string{
		"a": "1", "aa": "", "b/c/d": random(100_000), "b/c.x": random(32768), "b/d": random(16384), "*run": random(70_001),
		"link": "->b/d", "twin": random(100_000), "z": "",
	})
}

func TestCreateFormats(t *testing.T) {
	dir := mixed(t)
	for _, format := range []Format{V1, Hybrid, V2Only} {
		for _, pieceLength := range []int64{16 << 10, 32 << 10, 1 << 20} {
			var done, total int64
			m, err := Create(t.Context(), dir, CreateOptions{Format: format, PieceLength: pieceLength,
				Progress: func(d, n int64) { done, total = d, n }})
			if err != nil {
				t.Fatal(err)
			}
			i := m.Info
			checkInfo(t, i)
			if i.HasV1() != (format != V2Only) || i.HasV2() != (format != V1) || len(i.Missing()) > 0 || done != total {
				t.Errorf("format %d: v1 %v, v2 %v, %d layers missing, %d of %d bytes", format, i.HasV1(), i.HasV2(), len(i.Missing()), done, total)
			}
			want := []string{"a", "aa", "b/c/d", "b/c.x", "b/d", "link -> b/d", "run*", "twin", "z"}
			pad := func(path string) bool { return path[0] == '[' }
			if got := slices.DeleteFunc(shownAs(i), pad); !slices.Equal(got, want) {
				t.Errorf("format %d: files %q", format, got)
			}
			again, err := Parse(m.Encode())
			if err != nil || again.Info.Hash != i.Hash || again.Info.V2 != i.V2 || len(again.Info.Missing()) > 0 {
				t.Errorf("format %d: written and read: %v", format, err)
			}
			checkPieces(t, i, dir)
		}
	}
}

// checkPieces checks the hashes of both formats against what lies at dir.
func checkPieces(t *testing.T, i *Info, dir string) {
	t.Helper()
	all := make([]byte, i.Length)
	for k, f := range i.Files {
		at := filepath.Join(append([]string{dir}, f.Path...)...)
		if i.Single {
			at = dir
		}
		if f.Pad || f.Link != "" {
			continue
		}
		b, err := os.ReadFile(at)
		must(t, err)
		copy(all[f.Offset:], b)
		if !i.HasV2() || f.Length == 0 {
			continue
		}
		tree := i.treeOf(k)
		root, layer := layerOf(b, int(i.PieceLength/wire.BlockSize))
		if root != tree.Root {
			t.Errorf("%q has another root", f.Path)
		}
		if have, _ := i.Layer(root); !slices.Equal(have, HashesOf([]byte(layer))) {
			t.Errorf("%q has another piece layer", f.Path)
		}
	}
	for p := range wire.Piece(i.Pieces()) {
		at := i.Offset(p, 0)
		if i.HasV1() && i.PieceHash(p) != sha1.Sum(all[at:at+int64(i.PieceSize(p)+i.Gap(p))]) {
			t.Errorf("piece %d has another hash", p)
		}
	}
}

func TestCreateFormatsOfOneFile(t *testing.T) {
	for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64 << 10, 200_000} {
		at := filepath.Join(write(t, "d", map[string]string{"*tool": random(size)}), "tool")
		for _, format := range []Format{Hybrid, V2Only} {
			m, err := Create(t.Context(), at, CreateOptions{Format: format, PieceLength: 32 << 10})
			if err != nil || !m.Info.Single || m.Info.Length != int64(size) || !m.Info.Files[0].Executable {
				t.Fatalf("%d bytes: %+v, %v", size, m, err)
			}
			checkInfo(t, m.Info)
			checkPieces(t, m.Info, at)
		}
	}
}

// The v2-only torrent that libtorrent 2.0.8 makes of the same folder. Its
// hybrids end with a pad, ours with the last file.
func TestCreateEqualsLibtorrent(t *testing.T) {
	b := make([]byte, 100_000)
	for k := range b {
		b[k] = byte(k % 251)
	}
	dir := write(t, "d", map[string]string{"x.bin": string(b), "y/z": strings.Repeat("z", 5)})
	m, err := Create(t.Context(), dir, CreateOptions{Format: V2Only, PieceLength: 32 << 10})
	if want := "67ab61dacbbfe95da7b7b62ba790f62b7f0a3d3bcfc385a6facc16e449d9a0a5"; err != nil || m.Info.V2.String() != want {
		t.Errorf("%v, %v", m.Info.V2, err)
	}
}
