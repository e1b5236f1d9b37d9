package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// TestLeafRead: 64 KiB in the middle of a cold torrent with pieces of 16 MiB come
// in a few round trips, and not after a piece, from four seeds of libtorrent of
// 2 MB/s each, 50 ms away: those that have hashed their content, and those that
// have not and learn the leaves of a piece when they serve it. Beside it the same
// content in a torrent of v1.
func TestLeafRead(t *testing.T) {
	needLibtorrent(t)
	needFuse(t)
	const size, at, n = 48 << 20, 24<<20 + 12345, 64 << 10
	const delay, rate = 25 * time.Millisecond, 2_000_000
	path := filepath.Join(tempDir(t), "content")
	if err := os.WriteFile(path, randomBytes(t, size), 0o644); err != nil {
		t.Fatal(err)
	}
	var worst, v1 time.Duration
	for _, c := range []struct {
		name   string
		format metainfo.Format
		prefix string // of the seeds' role
		trips  int    // that it cannot do without; 0: it is v1
	}{
		// connection, handshake, interest and unchoke, request and block
		{"v2", metainfo.V2Only, "hashed-", 4},
		{"hybrid", metainfo.Hybrid, "hashed-", 4},
		// and the leaves, when the first block is here
		{"v2, unhashed seeds", metainfo.V2Only, "", 5},
		{"v1", metainfo.V1, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := metainfo.Create(t.Context(), path, metainfo.CreateOptions{Format: c.format, PieceLength: 16 << 20})
			if err != nil {
				t.Fatal(err)
			}
			to := &torrent{made, path, filepath.Join(tempDir(t), "x.torrent")}
			if err := os.WriteFile(to.file, made.Encode(), 0o644); err != nil {
				t.Fatal(err)
			}
			flags := []string{"--no-utp", "--encryption", "off"}
			var relays []*streamRelay
			for range 4 {
				seed := libtorrentRole(t, c.prefix+"seed", filepath.Dir(path), to)
				r := relayStreams(t, seed.addr, delay, rate)
				relays = append(relays, r)
				flags = append(flags, "--peer", r.addr)
			}
			m := mountBipfs(t, mounting{flags: flags, sources: []string{to.file}})
			f, err := os.Open(to.shown(m))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got := make([]byte, n)
			w := startWatch()
			if _, err := f.ReadAt(got, at); err != nil {
				t.Fatal(err)
			}
			took := time.Since(w.begin)
			var came int64
			for _, r := range relays {
				came += r.delivered.Load()
			}
			if want := readFile(t, path, at, n); !bytes.Equal(got, want) {
				t.Error("wrong bytes")
			}
			least := time.Duration(c.trips)*2*delay + n*time.Second/rate
			if c.trips == 0 {
				least = 4*2*delay + (16<<20)*time.Second/(4*rate)
			}
			t.Logf("%v, %.2f of the least (%v); %d kB had come", took.Round(time.Millisecond), took.Seconds()/least.Seconds(), least, came/1000)
			if c.trips > 0 && came > 2<<20 {
				t.Errorf("%d bytes came before the read was answered", came)
			}
			if c.trips > 0 {
				worst = max(worst, w.took())
			} else {
				v1 = took
			}
			m.stop(5 * time.Second)
		})
	}
	if 2*worst > v1 {
		t.Errorf("%v at worst, and %v when a piece has to come", worst, v1)
	}
}

// TestLeafShapes: the leaves that libtorrent tells of files of all sorts of lengths
// are those of the blocks: nobody is banned, and every byte is right. Ends of files
// first: there the tree is over pads.
func TestLeafShapes(t *testing.T) {
	needLibtorrent(t)
	needFuse(t)
	dir := filepath.Join(tempDir(t), "content")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{1<<20 + 40_000, 600_000, 2<<20 + 16384 + 1, 3 << 20, 16385, 1<<20 - 1, 530_000} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), randomBytes(t, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, format := range []metainfo.Format{metainfo.V2Only, metainfo.Hybrid} {
		made, err := metainfo.Create(t.Context(), dir, metainfo.CreateOptions{Format: format, PieceLength: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		to := &torrent{made, dir, filepath.Join(tempDir(t), "x.torrent")}
		if err := os.WriteFile(to.file, made.Encode(), 0o644); err != nil {
			t.Fatal(err)
		}
		seed := libtorrentRole(t, "hashed-seed", filepath.Dir(dir), to)
		r := relayStreams(t, seed.addr, 5*time.Millisecond, 20_000_000)
		m := mountBipfs(t, mounting{flags: []string{"--no-utp", "--encryption", "off", "--peer", r.addr}, sources: []string{to.file}})
		for _, f := range made.Info.Files {
			if f.Pad {
				continue
			}
			at, n := max(0, f.Length-20_000), 20_000
			name := filepath.Join(f.Path...)
			if want, got := readFile(t, filepath.Join(dir, name), at, n), readFile(t, filepath.Join(to.shown(m), name), at, n); !bytes.Equal(got, want) {
				t.Errorf("wrong bytes at the end of %s", name)
			}
		}
		sameTree(t, to.shown(m), dir)
		if out := m.printed(); strings.Contains(out, "banned") || strings.Contains(out, "not what their leaves") {
			t.Errorf("an honest seed is not believed:\n%s", out)
		}
		m.stop(5 * time.Second)
	}
}

// libtorrentRole starts a libtorrent session in a role of client.py.
func libtorrentRole(t *testing.T, role, folder string, to *torrent) *client {
	t.Helper()
	c := &client{addr: "127.0.0.1:" + freePort(t, "127.0.0.1")}
	c.process = start(t, "libtorrent-"+role, python, "testdata/client.py", role, c.addr, folder, to.file)
	c.prints("ready", 20*time.Second)
	return c
}

// readFile is n bytes of a file.
func readFile(t *testing.T, path string, at int64, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil && err != io.EOF {
		t.Fatal(fmt.Errorf("%s: %w", path, err))
	}
	return b
}
