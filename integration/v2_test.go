package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// mixedV2 is a folder with every sort of length.
func mixedV2(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(tempDir(t), "content")
	for name, size := range map[string]int{"a": 1, "b/long": 300_000, "b/even": 65536, "c": 16384, "d/empty": 0, "e/é": 16385} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, randomBytes(t, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestV2Torrents: libtorrent reads what `bipfs create` makes as we do, and we
// read what it makes as it does.
func TestV2Torrents(t *testing.T) {
	t.Parallel()
	needLibtorrent(t)
	dir := mixedV2(t)
	one := filepath.Join(dir, "b/long")
	for _, path := range []string{dir, one} {
		for _, format := range []string{"hybrid", "v2"} {
			for _, length := range []int{16 << 10, 64 << 10, 1 << 20} {
				file := filepath.Join(tempDir(t), "made.torrent")
				r := run(t, 60*time.Second, bipfs, "create", "--"+format, "--piece-length", fmt.Sprint(length), "-o", file, path)
				agree(t, file, run(t, 60*time.Second, python, "testdata/v2.py", "load", file).out)
				m, err := metainfo.ParseMagnet(strings.Fields(r.out)[2])
				if err != nil || m.ID().HasV1() != (format == "hybrid") || !strings.HasPrefix(shown(t, file), fields(m)) {
					t.Errorf("%s: the magnet link is %+v, %v", format, m, err)
				}
				file = filepath.Join(tempDir(t), "theirs.torrent")
				agree(t, file, run(t, 60*time.Second, python, "testdata/v2.py", "create", format, fmt.Sprint(length), path, file).out)
			}
		}
	}
}

// TestV2Swarm: libtorrent seeds torrents of BEP 52 to bipfs, and bipfs to
// libtorrent; cells_test.go has the other clients.
func TestV2Swarm(t *testing.T) {
	foreign(t)
	t.Parallel()
	needLibtorrent(t)
	dir := mixedV2(t)
	for _, format := range []metainfo.Format{metainfo.Hybrid, metainfo.V2Only} {
		for _, path := range []string{dir, filepath.Join(dir, "b/long")} {
			made, err := metainfo.Create(t.Context(), path, metainfo.CreateOptions{Format: format, PieceLength: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			to := &torrent{made, path, filepath.Join(tempDir(t), "x.torrent")}
			if err := os.WriteFile(to.file, made.Encode(), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprint(format, " ", filepath.Base(path)), func(t *testing.T) {
				listen := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
				seeder := libtorrent(t, place{address: "127.0.0.1"}, filepath.Dir(path), to)
				link := (&metainfo.Magnet{V2: made.Info.V2, Hash: made.Info.V2.Short()}).String()
				for _, source := range []string{to.file, link} {
					m := mountBipfs(t, mounting{flags: []string{"--listen", listen, "--peer", seeder.addr}, sources: []string{source}})
					resolved(t, m, to)
					same(t, to.shown(m), to.content)
					if source == link {
						seeder.kill()
					}
					leechLibtorrent(t, place{address: "127.0.0.1"}, listen, to)
					leechLibtorrent(t, place{address: "127.0.0.1"}, listen, &torrent{made, path, link})
					m.stop(5 * time.Second)
				}
			})
		}
	}
}

// agree checks that we say of a torrent what libtorrent says.
func agree(t *testing.T, file, theirs string) {
	t.Helper()
	if ours := shown(t, file); ours != strings.TrimSpace(theirs) {
		t.Errorf("%s is %s to us, %s to libtorrent", filepath.Base(file), ours, theirs)
	}
}

// shown is what testdata/v2.py prints of a torrent.
func shown(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if missing := m.Info.Missing(); len(missing) > 0 {
		t.Errorf("%d piece layers are missing", len(missing))
	}
	return fmt.Sprint(fields(&metainfo.Magnet{Hash: m.Info.Hash, V2: m.Info.V2}), m.Info.Size())
}

// fields are the infohashes of v1 and v2.
func fields(m *metainfo.Magnet) string {
	if !m.ID().HasV1() {
		return fmt.Sprintf("- %v ", m.V2)
	}
	return fmt.Sprintf("%v %v ", m.Hash, m.V2)
}
