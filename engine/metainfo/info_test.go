package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bipfs/wire"
)

// hashes is the digests of n pieces.
func hashes(n int) string { return strings.Repeat("0123456789abcdefghij", n) }

// single is the info dictionary of one file of so many bytes, one piece each
// 16 KiB. More pairs may follow.
func single(length int, more ...any) written {
	pairs := []any{"length", length, "name", "n", "piece length", 16384, "pieces", hashes((length + 16383) / 16384)}
	return dictionary(append(pairs, more...)...)
}

// folder is the info dictionary of a folder r with the given files, of 16 KiB
// altogether at most.
func folder(files ...any) written {
	return dictionary("files", list(files...), "name", "r", "piece length", 16384, "pieces", hashes(1))
}

// file is the dictionary of one file, its path written with slashes.
func file(path string, length int64, more ...any) written {
	var elements []any
	for e := range strings.SplitSeq(path, "/") {
		elements = append(elements, e)
	}
	return dictionary(append([]any{"length", length, "path", list(elements...)}, more...)...)
}

// pieces is the info dictionary of one file, with so many bytes of hashes.
func pieces(length, pieceLength int64, bytes int) written {
	return dictionary("length", length, "name", "n", "piece length", pieceLength, "pieces", string(make([]byte, bytes)))
}

func many(n int, s string) written { return written(strings.Repeat(s, n)) }

type infoCase struct {
	what string
	info written
	want string // what the error says; "" = none
}

func bencodeCases() []infoCase {
	return []infoCase{
		{"one file", single(16385), ""},
		{"a folder", folder(file("a/b", 1), file("c", 16383)), ""},
		{"keys that nobody knows", single(1, "source", "x", "zz", list(dictionary())), ""},
		{"keys out of order", "d12:piece lengthi16384e6:pieces20:01234567890123456789" + "4:name1:n6:lengthi1ee", ""},

		{"a list", list(), "`info` is not a dictionary"},
		{"a string", "4:info", "`info` is not a dictionary"},
		{"nothing", "", "cut short"},
		{"cut short", single(1)[:40], "cut short"},
		{"bytes behind it", single(1) + "x", "bytes after the value"},
		{"a key twice", single(1, "name", "m"), "key appears twice"},
		{"10,000 lists", single(1, "x", many(10_000, "l")+many(10_000, "e")), "nested too deep"},
		{"10,000 dictionaries", single(1, "x", many(10_000, "d1:a")+"i1e"+many(10_000, "e")), "nested too deep"},
		{"1,000,000 lists that are open", "d1:x" + many(1_000_000, "l"), "nested too deep"},
		{"a string longer than the rest", "d4:name5:ne", "cut short"},
		{"a string of 2^63 bytes", "d4:name9223372036854775808:ne", "broken torrent"},
		{"as deep as can be", single(1, "x", many(maxNesting-1, "l")+many(maxNesting-1, "e")), ""},
		{"one deeper", single(1, "x", many(maxNesting, "l")+many(maxNesting, "e")), "nested too deep"},
		{"as many items as can be", single(1, "x", "l"+many(maxItems-11, "0:")+"e"), ""},
		{"one more", single(1, "x", "l"+many(maxItems-10, "0:")+"e"), "too many items"},
		{"integer of 100,000 digits", single(1, "x", "i"+many(100_000, "1")+"e"), "integer"},
		{"integer -0", single(1, "x", written("i-0e")), "integer"},
		{"integer 03", single(1, "x", written("i03e")), "integer"},
		{"integer +1", single(1, "x", written("i+1e")), "integer"},
		{"integer 2^63", single(1, "x", written("i9223372036854775808e")), "integer"},
	}
}

func pieceCases() []infoCase {
	return []infoCase{
		{"no name", dictionary("length", 1, "piece length", 16384, "pieces", hashes(1)), "has no name"},
		{"a name that is a number", dictionary("length", 1, "name", 1, "piece length", 16384, "pieces", hashes(1)), "has no name"},

		{"piece length 0", pieces(1, 0, 20), "piece length"},
		{"piece length -1", pieces(1, -1, 20), "piece length"},
		{"piece length 1", pieces(3, 1, 60), ""},
		{"piece length odd", pieces(20000, 10001, 40), ""},
		{"piece length of 512 MiB", pieces(1, wire.MaxPieceLength, 20), ""},
		{"piece length over 512 MiB", pieces(1, wire.MaxPieceLength+1, 20), "piece length"},
		{"piece length 2^31", pieces(1, 1<<31, 20), "piece length"},
		{"piece length 2^62", pieces(1, 1<<62, 20), "piece length"},
		{"piece length a string", dictionary("length", 1, "name", "n", "piece length", "16384", "pieces", hashes(1)), "piece length"},
		{"no piece length", dictionary("length", 1, "name", "n", "pieces", hashes(1)), "piece length"},
		{"no pieces", dictionary("length", 1, "name", "n", "piece length", 16384), "no piece hashes"},
		{"pieces a list", dictionary("length", 1, "name", "n", "piece length", 16384, "pieces", list()), "no piece hashes"},
		{"pieces empty", pieces(1, 16384, 0), "0 bytes, and would have to be 20"},
		{"pieces not in twenties", pieces(1, 16384, 21), "21 bytes"},
		{"pieces too few", pieces(16385, 16384, 20), "20 bytes, and would have to be 40"},
		{"pieces too many", pieces(16384, 16384, 40), "40 bytes, and would have to be 20"},
		{"2^48 bytes of one hash", pieces(1<<48, wire.MaxPieceLength, 20), "would have to be"},
		{"17 billion pieces of one hash", pieces(1<<48, 16384, 20), "too many pieces"},
		{"as many pieces as can be", pieces(wire.MaxPieces, 1, 20*wire.MaxPieces), ""},
		{"one piece more", pieces(wire.MaxPieces+1, 1, 20*(wire.MaxPieces+1)), "too many pieces"},
	}
}

func fileCases() []infoCase {
	return []infoCase{
		{"length 0", single(0), ""},
		{"length -1", pieces(-1, 16384, 0), "length of file 1"},
		{"length 2^63-1", pieces(1<<63-1, 16384, 20), "too many pieces"},
		{"length 2^63", "d6:lengthi9223372036854775808ee", "integer"},
		{"length a string", dictionary("length", "1", "name", "n", "piece length", 16384, "pieces", hashes(1)), "length of file 1"},
		{"lengths that add up to 2^63", folder(file("a", 1<<62), file("b", 1<<62)), "length of file 2"},
		{"no length of a file", folder(dictionary("path", list("a"))), "length of file 1"},
		{"neither length nor files", dictionary("name", "n", "piece length", 16384, "pieces", ""), "neither files nor a length"},
		{"all files empty", dictionary("files", list(file("a", 0), file("b", 0)), "name", "r", "piece length", 16384, "pieces", ""), ""},
		{"no file", dictionary("files", list(), "name", "r", "piece length", 16384, "pieces", ""), "no files"},
		{"files a string", dictionary("files", "a", "name", "r", "piece length", 16384, "pieces", ""), "no files"},
		{"a file that is a string", folder("a"), "file 1 has no path"},
		{"no path", folder(dictionary("length", 1)), "file 1 has no path"},
		{"an empty path", folder(file("a", 1), dictionary("length", 1, "path", list())), "file 2 has no path"},
		{"a path that is a string", folder(dictionary("length", 1, "path", "a/b")), "file 1 has no path"},
		{"path elements that are numbers", folder(dictionary("length", 1, "path", list("a", 1))), "file 1 has no path"},
		{"a path of 100 elements", folder(file("a"+strings.Repeat("/a", 99), 1)), ""},
		{"a path of 101 elements", folder(file("a"+strings.Repeat("/a", 100), 1)), "more than 100 elements"},
		{"a path of 5,000 elements", folder(file("a"+strings.Repeat("/a", 4999), 1)), "more than 100 elements"},
	}
}

func TestParseInfo(t *testing.T) {
	for _, c := range slices.Concat(bencodeCases(), pieceCases(), fileCases(), v2Cases()) {
		i, err := ParseInfo([]byte(c.info))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.want == "":
			checkInfo(t, i)
		case err == nil || i != nil:
			t.Errorf("%s is accepted: %v, %v", c.what, i, err)
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		case strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 200:
			t.Errorf("%s: the error is no sentence: %q", c.what, err)
		}
	}
}

// checkInfo checks what is true of every Info.
func checkInfo(t *testing.T, i *Info) {
	t.Helper()
	if i.HasV1() && i.Hash != sha1.Sum(i.Raw) || i.HasV2() && i.V2 != sha256.Sum256(i.Raw) || !i.HasV1() && i.Hash != i.V2.Short() {
		t.Error("a hash is not that of the raw bytes")
	}
	if i.HasV1() && len(i.pieces) != 20*i.Pieces() || i.Pieces() > wire.MaxPieces {
		t.Errorf("%d pieces, %d bytes of hashes", i.Pieces(), len(i.pieces))
	}
	if i.HasV2() {
		checkV2(t, i)
	}
	checkName(t, i.Name, i.Name)
	if len(i.Files) == 0 || len(i.Tails) > 0 && !i.HasV2() || i.Single && (len(i.Files) != 1 || len(i.Files[0].Path) != 1 || i.Files[0].Path[0] != i.Name) {
		t.Fatalf("single %v, files %v", i.Single, i.Files)
	}
	var length int64
	seen := make(map[string]int)
	for k, f := range i.Files {
		if f.Offset != length || f.Length < 0 {
			t.Errorf("file %d is at %d, the one before ends at %d", k, f.Offset, length)
		}
		length += f.Length
		if len(f.Path) == 0 || len(f.Path) > MaxDepth {
			t.Fatalf("file %d has a path of %d elements", k, len(f.Path))
		}
		for _, e := range f.Path {
			checkName(t, e, e)
		}
		if path := strings.Join(f.Path, "/"); !f.Pad {
			if other, ok := seen[path]; ok {
				t.Errorf("files %d and %d are both %q", k, other, path)
			}
			seen[path] = k
		}
		checkLink(t, f)
	}
	if length != i.Length {
		t.Errorf("files of %d bytes in a torrent of %d", length, i.Length)
	}
	checkTree(t, i)
	checkFollow(t, i)
}

// checkLink checks that a link stays inside the torrent, as a kernel follows it.
func checkLink(t *testing.T, f File) {
	t.Helper()
	if f.Link == "" {
		return
	}
	rest := f.Link
	up := 0
	for strings.HasPrefix(rest, "../") {
		rest, up = rest[3:], up+1
	}
	if up > len(f.Path)-1 || filepath.IsAbs(rest) || len(f.Link) > maxLink || f.Executable || f.Pad {
		t.Errorf("%q links to %q", f.Path, f.Link)
	}
	for e := range strings.SplitSeq(rest, "/") {
		checkName(t, e, e)
	}
}

func TestPieceHash(t *testing.T) {
	i, err := ParseInfo([]byte(dictionary("length", 3, "name", "n", "piece length", 1,
		"pieces", "aaaaaaaaaaaaaaaaaaaa"+"bbbbbbbbbbbbbbbbbbbb"+"cccccccccccccccccccc")))
	if err != nil {
		t.Fatal(err)
	}
	for p, c := range "abc" {
		if h := i.PieceHash(wire.Piece(p)); string(h[:]) != strings.Repeat(string(c), 20) {
			t.Errorf("piece %d has the hash %q", p, h)
		}
	}
	if n := testing.AllocsPerRun(100, func() { i.PieceHash(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("the hash of a piece that is none")
		}
	}()
	i.PieceHash(3)
}

func TestPrivate(t *testing.T) {
	for _, c := range []struct {
		value any
		want  bool
	}{
		{1, true}, {0, false}, {2, false}, {-1, false}, {"1", false}, {list(1), false}, {dictionary("private", 1), false},
	} {
		i, err := ParseInfo([]byte(single(1, "private", c.value)))
		if err != nil || i.Private != c.want {
			t.Errorf("private = %v: %v, %v", c.value, i.Private, err)
		}
	}
	if i, err := ParseInfo([]byte(single(1, "x", dictionary("private", 1)))); err != nil || i.Private {
		t.Errorf("private inside another dictionary: %v, %v", i.Private, err)
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct{ what, name, twin, want string }{
		{"plain", "a b", "", "a b"},
		{"parent", "..", "", "%2E%2E"},
		{"absolute", "/etc", "", "%2Fetc"},
		{"reserved", ".bipfs", "", ".bipfs"}, // what is reserved in the mount is the mount's to say
		{"another encoding", "\xb0\xa1", "가", "가"},
		{"a twin that is not UTF-8", "a", "\xb0", "a"},
	} {
		more := []any{}
		if c.twin != "" {
			more = append(more, "name.utf-8", c.twin)
		}
		info := dictionary(append([]any{"length", 1, "name", c.name, "piece length", 16384, "pieces", hashes(1)}, more...)...)
		i, err := ParseInfo([]byte(info))
		if err != nil || i.Name != c.want || i.Files[0].Path[0] != c.want {
			t.Errorf("%s: %q, %v", c.what, i.Name, err)
		}
	}
	i, err := ParseInfo([]byte(dictionary("length", 1, "name", "", "piece length", 16384, "pieces", hashes(1))))
	if err != nil || i.Name != hex.EncodeToString(i.Hash[:]) {
		t.Errorf("a torrent without a name is called %q, %v", i.Name, err)
	}
}

// Both keys: `files` counts.
func TestFilesAndLength(t *testing.T) {
	i, err := ParseInfo([]byte(single(16384, "files", list(file("a", 16383), file("b", 1)))))
	if err != nil || i.Single || len(i.Files) != 2 {
		t.Errorf("%+v, %v", i, err)
	}
}

// Claims are checked before anything is allocated for them.
func TestClaimsAllocateNothing(t *testing.T) {
	for _, info := range []written{
		dictionary("length", int64(1<<48), "name", "n", "piece length", wire.MaxPieceLength, "pieces", hashes(1)),
		dictionary("length", int64(1<<40), "name", "n", "piece length", wire.MaxPieceLength, "pieces", hashes(1)),
		"d4:name2147483647:ne",
		"d" + written(strings.Repeat("l", 100_000)),
	} {
		b := []byte(info)
		if got := allocated(func() {
			if _, err := ParseInfo(b); err == nil {
				t.Errorf("%.60s is accepted", info)
			}
		}); got > 64<<10 {
			t.Errorf("%.60s: %d bytes allocated", info, got)
		}
	}
}

func TestTooLong(t *testing.T) {
	b := append([]byte(dictionary("info", single(1))), make([]byte, MaxFile)...)
	if _, err := Parse(b[:MaxFile]); err != nil {
		t.Error(err)
	}
	b = b[:MaxFile+1]
	if _, err := ParseInfo(b); err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Error(err)
	}
	if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Error(err)
	}
}

func TestFixtures(t *testing.T) {
	for _, c := range []struct {
		file, hash, name string
		files            int
		length           int64
	}{
		{"alice", "722fe65b2aa26d14f35b4ad627d20236e481d924", "alice.txt", 1, 163783},
		{"bunny", "af8f10f30bf9aefecf3686922bfa0d5bd290a395", "bbb_sunflower_1080p_30fps_stereo_abl.mp4", 1, 434839491},
		{"folder", "b88da2caac6648e6c7d7687e3f89085f7e230e6b", "folder", 1, 15},
		{"leaves-metadata", "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36", "Leaves of Grass by Walt Whitman.epub", 1, 362017},
		{"leaves", "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36", "Leaves of Grass by Walt Whitman.epub", 1, 362017},
		{"lots-of-numbers", "114ead6243792ba56297edbb9a78dfba84d4fc00", "lots-of-numbers", 6, 12},
		{"numbers", "89d97c2261a21b040cf11caa661a3ba7233bb7e6", "numbers", 3, 6},
		{"sintel", "c334138ef5bfc2d568ea7324e0e2a3a7ec229bdd", "Sintel.2010.4K.DMRip.x264.DD.DTS.SRT-MaLLIeHbKa.mkv", 1, 5490455272},
	} {
		m, err := Parse(fixture(t, c.file))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		i := m.Info
		checkInfo(t, i)
		if hex.EncodeToString(i.Hash[:]) != c.hash || i.Name != c.name || len(i.Files) != c.files || i.Length != c.length {
			t.Errorf("%s: %x %q, %d files of %d bytes", c.file, i.Hash, i.Name, len(i.Files), i.Length)
		}
	}
	if _, err := Parse(fixture(t, "corrupt")); err == nil || err.Error() != "broken torrent: it has no name" {
		t.Errorf("corrupt: %v", err)
	}
}

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata/webtorrent-fixtures", name+".torrent"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
