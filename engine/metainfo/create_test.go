package metainfo

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bipfs/wire"
)

// write makes files of the given contents below a new directory called name.
// A path that ends in a slash is an empty directory, a content that begins
// with -> a link, and * in front of a path makes it executable.
func write(t *testing.T, name string, files map[string]string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), name)
	must(t, os.Mkdir(dir, 0o755))
	for path, content := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(path, "*") {
			path, mode = path[1:], 0o755
		}
		at := filepath.Join(dir, path)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		switch {
		case strings.HasSuffix(path, "/"):
			must(t, os.Mkdir(at, 0o755))
		case strings.HasPrefix(content, "->"):
			must(t, os.Symlink(content[2:], at))
		default:
			must(t, os.WriteFile(at, []byte(content), mode))
		}
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// random is n bytes that are the same every time.
func random(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return string(b)
}

// The same folders that other programs made torrents of: the same infohash.
func TestCreateEqualsOthers(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		hash  string
	}{
		{"numbers", map[string]string{"1.txt": "1", "2.txt": "22", "3.txt": "333"}, "89d97c2261a21b040cf11caa661a3ba7233bb7e6"},
		{"lots-of-numbers", map[string]string{
			"big numbers/10.txt": "10", "big numbers/11.txt": "11", "big numbers/12.txt": "12",
			"small numbers/1.txt": "1", "small numbers/2.txt": "22", "small numbers/3.txt": "333",
		}, "114ead6243792ba56297edbb9a78dfba84d4fc00"},
	} {
		m, err := Create(t.Context(), write(t, c.name, c.files), CreateOptions{})
		if err != nil || hex.EncodeToString(m.Info.Hash[:]) != c.hash {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
	}
}

func TestCreate(t *testing.T) {
	files := map[string]string{
		"b.bin": random(100_000), "empty": "", "a": "1", "a.d/f": "2", "sub/x.txt": "hi", "Ünï": "é",
		"*sub/deep/run.sh": random(50_000), "nothing/": "",
		"zzz/link": "->../b.bin", "zzz/here": "->./there", "dirlink": "->sub/deep",
		"out": "->/etc/passwd", "zzz/out": "->../../x", "self": "->.",
	}
	dir := write(t, "my folder", files)
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	var calls []int64
	m, err := Create(t.Context(), dir, CreateOptions{
		Trackers: []string{"http://a/announce", "udp://b:80"},
		WebSeeds: []string{"https://w/", "http://v/x"},
		Created:  time.Unix(1_000_000_000, 5),
		Progress: func(done, total int64) {
			if calls = append(calls, done); total != 150_006 {
				t.Errorf("of %d bytes", total)
			}
		},
	})
	must(t, err)
	checkInfo(t, m.Info)
	want := []string{"a", "a.d/f", "b.bin", "dirlink -> sub/deep", "empty", "sub/deep/run.sh*", "sub/x.txt",
		"zzz/here -> there", "zzz/link -> ../b.bin", "Ünï"}
	if got := shownAs(m.Info); !slices.Equal(got, want) {
		t.Errorf("files %q", got)
	}
	if m.Info.Name != "my folder" || m.Info.Single || m.Info.PieceLength != 16<<10 || m.Created.Unix() != 1_000_000_000 {
		t.Errorf("%+v", m)
	}
	if !slices.IsSorted(calls) || len(calls) != m.Info.Pieces() || calls[len(calls)-1] != m.Info.Length {
		t.Errorf("progress %v", calls)
	}
	checkHashes(t, m.Info, dir)
	again, err := Parse(m.Encode())
	if err != nil || again.Info.Hash != m.Info.Hash || !again.Created.Equal(m.Created) ||
		!reflect.DeepEqual(again.Trackers, [][]string{{"http://a/announce"}, {"udp://b:80"}}) || !slices.Equal(again.WebSeeds, []string{"https://w/", "http://v/x"}) {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := Create(t.Context(), dir, CreateOptions{WebSeeds: []string{"ftp://w/"}}); err == nil {
		t.Error("a web seed at an ftp URL")
	}
}

// checkHashes checks the digests against what lies at dir.
func checkHashes(t *testing.T, i *Info, dir string) {
	t.Helper()
	var all []byte
	for _, f := range i.Files {
		at := filepath.Join(append([]string{dir}, f.Path...)...)
		if i.Single {
			at = dir
		}
		if f.Link == "" {
			b, err := os.ReadFile(at)
			must(t, err)
			all = append(all, b...)
		}
	}
	for p := range wire.Piece(i.Pieces()) {
		from := i.Offset(p, 0)
		if i.PieceHash(p) != sha1.Sum(all[from:from+int64(i.PieceSize(p))]) {
			t.Errorf("piece %d has a wrong hash", p)
		}
	}
}

func TestCreateOfOneFile(t *testing.T) {
	for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 1 << 20} {
		dir := write(t, "d", map[string]string{"*tool": random(size), "link": "->tool"})
		for _, at := range []string{"tool", "link"} {
			at = filepath.Join(dir, at)
			m, err := Create(t.Context(), at, CreateOptions{})
			must(t, err)
			checkInfo(t, m.Info)
			checkHashes(t, m.Info, at)
			if !m.Info.Single || m.Info.Name != filepath.Base(at) || m.Info.Length != int64(size) || !m.Info.Files[0].Executable {
				t.Errorf("%+v", m.Info)
			}
		}
	}
}

// Pieces longer than a worker's buffer, and files that end anywhere in them.
func TestCreateLongPieces(t *testing.T) {
	dir := write(t, "d", map[string]string{"a": random(700_001), "b": random(1), "c": "", "d": random(1<<20 + 3)})
	for _, l := range []int64{16 << 10, 512 << 10, 1 << 20, 4 << 20, wire.MaxPieceLength} {
		m, err := Create(t.Context(), dir, CreateOptions{PieceLength: l})
		must(t, err)
		if m.Info.PieceLength != l {
			t.Errorf("piece length %d", m.Info.PieceLength)
		}
		checkHashes(t, m.Info, dir)
	}
}

// A folder that is a link, and one that is named by a dot.
func TestCreateFolderByOtherNames(t *testing.T) {
	dir := write(t, "real", map[string]string{"a": "x"})
	link := filepath.Join(filepath.Dir(dir), "link")
	must(t, os.Symlink("real", link))
	m, err := Create(t.Context(), link, CreateOptions{})
	if err != nil || m.Info.Name != "link" || !slices.Equal(shownAs(m.Info), []string{"a"}) {
		t.Errorf("%+v, %v", m, err)
	}
	t.Chdir(dir)
	m, err = Create(t.Context(), ".", CreateOptions{})
	if err != nil || m.Info.Name != "real" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestPieceLengthFor(t *testing.T) {
	for _, c := range []struct{ length, want int64 }{
		{0, 16 << 10},
		{1500*16<<10 - 1, 16 << 10},
		{1500 * 16 << 10, 32 << 10},
		{700 << 20, 512 << 10},
		{4 << 30, 4 << 20},
		{1 << 40, 16 << 20},
		{1 << 60, 16 << 20},
	} {
		if got := pieceLengthFor(c.length); got != c.want {
			t.Errorf("%d bytes in pieces of %d, want %d", c.length, got, c.want)
		}
	}
}

func TestCreateErrors(t *testing.T) {
	dir := write(t, "d", map[string]string{
		"empty/": "", "f": "x", "links/a": "->/etc", "none/pipes/": "",
		strings.Repeat("d/", MaxDepth) + "f": "x",
	})
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	for _, c := range []struct {
		at   string
		opt  CreateOptions
		want string
	}{
		{"missing", CreateOptions{}, "missing: no such file"},
		{"empty", CreateOptions{}, "empty: no files in it"},
		{"links", CreateOptions{}, "links: no files in it"},
		{"none", CreateOptions{}, "none: no files in it"},
		{"pipe", CreateOptions{}, "pipe: neither a file nor a folder"},
		{".", CreateOptions{}, "d/f: more than 99 folders deep"},
		{"../../../../../../../../../../..", CreateOptions{}, "no name"},
		{"f", CreateOptions{PieceLength: 8 << 10}, "piece length 8192"},
		{"f", CreateOptions{PieceLength: 48 << 10}, "piece length 49152"},
		{"f", CreateOptions{PieceLength: 1 << 30}, "piece length 1073741824"},
		{"f", CreateOptions{PieceLength: -1 << 63}, "piece length -9223372036854775808"},
		{"f", CreateOptions{Trackers: []string{"wss://x"}}, `tracker "wss://x" is not`},
	} {
		_, err := Create(t.Context(), filepath.Join(dir, c.at), c.opt)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v, want %q", c.at, c.opt, err, c.want)
		}
	}
}

// A sparse file of more pieces than there may be is refused before it is read.
func TestCreateTooLarge(t *testing.T) {
	at := filepath.Join(t.TempDir(), "large")
	must(t, os.WriteFile(at, nil, 0o644))
	const length = wire.MaxPieces*minPieceLength + 1
	if err := os.Truncate(at, length); err != nil {
		t.Skipf("no sparse file of %d bytes here: %v", int64(length), err)
	}
	_, err := Create(t.Context(), at, CreateOptions{PieceLength: minPieceLength})
	if err == nil || !strings.Contains(err.Error(), "too large for pieces of 16384 bytes") {
		t.Error(err)
	}
}

func TestCreateOfUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := write(t, "d", map[string]string{"a": "x", "secret": "x", "dir/b": "x"})
	must(t, os.Chmod(filepath.Join(dir, "secret"), 0))
	if _, err := Create(t.Context(), dir, CreateOptions{}); err == nil || !strings.Contains(err.Error(), "d/secret: permission denied") {
		t.Error(err)
	}
	must(t, os.Chmod(filepath.Join(dir, "secret"), 0o644))
	must(t, os.Chmod(filepath.Join(dir, "dir"), 0))
	defer os.Chmod(filepath.Join(dir, "dir"), 0o755)
	if _, err := Create(t.Context(), dir, CreateOptions{}); err == nil || !strings.Contains(err.Error(), "d/dir: permission denied") {
		t.Error(err)
	}
}

// Whatever happens to a file while it is read is an error that names it.
func TestCreateOfChanging(t *testing.T) {
	for what, change := range map[string]func(at string) error{
		"grows":    func(at string) error { return os.WriteFile(at, []byte(random(200_001)), 0o644) },
		"shrinks":  func(at string) error { return os.Truncate(at, 10) },
		"goes":     os.Remove,
		"rewrites": func(at string) error { return os.Chtimes(at, time.Unix(1, 0), time.Unix(1, 0)) },
		"becomes a pipe": func(at string) error {
			return errors.Join(os.Remove(at), syscall.Mkfifo(at, 0o644))
		},
		"becomes a folder": func(at string) error {
			return errors.Join(os.Remove(at), os.Mkdir(at, 0o755))
		},
	} {
		for _, name := range []string{"a", "z"} { // already hashed, and not yet
			dir := write(t, "d", map[string]string{"a": random(200_000), "m": random(200_000), "z": random(200_000)})
			changed := false
			_, err := Create(t.Context(), dir, CreateOptions{Progress: func(done, total int64) {
				if !changed && done > 100_000 {
					changed = true
					must(t, change(filepath.Join(dir, name)))
				}
			}})
			if err == nil || !strings.Contains(err.Error(), "d/"+name) {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
	}
}

func TestCreateCancelled(t *testing.T) {
	dir := write(t, "d", map[string]string{"a": random(1 << 20)})
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := Create(ctx, dir, CreateOptions{Progress: func(done, total int64) {
		calls++
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || calls > hashWorkers {
		t.Errorf("%v after %d pieces", err, calls)
	}
	if _, err := Create(ctx, dir, CreateOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkCreate(b *testing.B) {
	at := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(at, []byte(random(64<<20)), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Create(b.Context(), at, CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
