package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// lighttpd starts a web server of a folder; it is its URL.
func lighttpd(t testing.TB, folder string) string {
	t.Helper()
	need(t, "lighttpd")
	at := place{address: "127.0.0.1"}
	port := freePort(t, at.address)
	config := filepath.Join(tempDir(t), "lighttpd.conf")
	lines := fmt.Sprintf("server.document-root = %q\nserver.bind = %q\nserver.port = %s\n", folder, at.address, port)
	if err := os.WriteFile(config, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, "lighttpd", "lighttpd", "-D", "-f", config)
	at.listening(t, net.JoinHostPort(at.address, port))
	return "http://" + net.JoinHostPort(at.address, port) + "/"
}

// onTheWeb is the torrent with web seeds.
func (to *torrent) onTheWeb(t testing.TB, urls ...string) *torrent {
	t.Helper()
	c := *to.Torrent
	c.WebSeeds = urls
	file := filepath.Join(tempDir(t), filepath.Base(to.file))
	if err := os.WriteFile(file, c.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
	return &torrent{&c, to.content, file}
}

// TestWebSeedOnly: a web server that knows nothing of torrents is enough, for a
// folder of names of all kinds and for a large file of a magnet link, whose
// metadata comes from a peer that has nothing else.
func TestWebSeedOnly(t *testing.T) {
	long(t)
	t.Parallel()
	needFuse(t)
	url := lighttpd(t, contentDir())

	t.Run("folder", func(t *testing.T) {
		to := torrentOf(t, folder(t), 256<<10).onTheWeb(t, url)
		m := mountBipfs(t, mounting{sources: []string{to.file}})
		begin := time.Now()
		sh(t, readPatience, `cp -r "$1" "$3/copy"; diff -r "$3/copy" "$2"`, to.shown(m), to.content, tempDir(t))
		t.Logf("cp -r and diff -r of 300 files: %.2f s", time.Since(begin).Seconds())
		m.stop(5 * time.Second)
	})
	t.Run("magnet", func(t *testing.T) {
		const size = 200 << 20
		to := torrentOf(t, file(t, "webseed.bin", size), 1<<20)
		holder := transmission(t, place{address: "127.0.0.9"}, tempDir(t), to)
		link := metainfo.Magnet{Hash: to.Info.Hash, Name: to.Info.Name, Peers: []string{holder.addr}, WebSeeds: []string{url}}
		m := mountBipfs(t, mounting{flags: []string{"--no-upload"}, sources: []string{link.String()}})
		resolved(t, m, to)
		begin := time.Now()
		same(t, to.shown(m), to.content)
		t.Logf("cmp of 200 MiB: %.0f MB/s", size/1e6/time.Since(begin).Seconds())
		m.stop(5 * time.Second)
	})
}

// BenchmarkWebSeed: cat of a file that one web seed has, beside curl of the same
// file from the same server.
func BenchmarkWebSeed(b *testing.B) {
	need(b, "curl")
	needFuse(b)
	const size = 200 << 20
	url := lighttpd(b, contentDir())
	to := torrentOf(b, file(b, "webseed.bin", size), 1<<20).onTheWeb(b, url)
	var ours, theirs time.Duration
	for b.Loop() {
		m := mountBipfs(b, mounting{sources: []string{to.file}})
		begin := time.Now()
		sh(b, readPatience, `cat "$1" >/dev/null`, to.shown(m))
		ours += time.Since(begin)
		m.stop(5 * time.Second)
		begin = time.Now()
		sh(b, readPatience, `curl -sf "$1" >/dev/null`, url+to.Info.Name)
		theirs += time.Since(begin)
	}
	b.ReportMetric(size/1e6*float64(b.N)/ours.Seconds(), "MB/s")
	b.ReportMetric(size/1e6*float64(b.N)/theirs.Seconds(), "curl-MB/s")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "times-curl")
}
