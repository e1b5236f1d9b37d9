package integration

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// thousands writes n .torrents of eight files each, that nobody has, into a folder.
func thousands(t testing.TB, n int) (dir string) {
	t.Helper()
	dir = tempDir(t)
	for i := range n {
		name := fmt.Sprintf("torrent %05d", i)
		unheld{name: name, files: 8, perFolder: 4, each: 100_000, pieceLength: 64 << 10}.write(t, filepath.Join(dir, name+".torrent"))
	}
	return dir
}

// costs are the figures of a mount of thousands of torrents.
type costs struct {
	add, restart, list float64 // s
	each               float64 // bytes of resident memory, over those of an empty mount
	idle               float64 // per cent of a processor
}

// measureThousands adds n torrents by one command, and mounts them once more. Each is listed, and is
// the same inode again.
func measureThousands(t testing.TB, n int, rest time.Duration) (c costs) {
	t.Helper()
	torrents := thousands(t, n)
	o := mounting{data: filepath.Join(tempDir(t), "data"), flags: []string{"--control", tempDir(t)}}
	m := mountBipfs(t, o)
	empty := m.status("VmRSS")
	r := sh(t, 5*time.Minute, `cd "$1"; "$2" add --control "$3" *.torrent | wc -l`, torrents, bipfs, m.control())
	if got, _ := strconv.Atoi(strings.TrimSpace(r.out)); got != n {
		t.Fatalf("%d are added: %v", got, r)
	}
	c.add = r.took.Seconds()
	list := func() string {
		r := sh(t, time.Minute, `ls -i "$1"`, m.dir)
		if got := strings.Count(r.out, "\n"); got != n {
			t.Fatalf("%d are listed", got)
		}
		c.list = r.took.Seconds()
		return r.out
	}
	before := list()
	m.stop(20 * time.Second)
	o.dir = m.dir
	m = mountBipfs(t, o)
	c.restart = m.took.Seconds()
	if list() != before {
		t.Error("after a restart others are there, or the same as other inodes")
	}
	c.each = float64(m.status("VmRSS")-empty) / float64(n)
	used := processor(t, m.pid())
	time.Sleep(rest)
	c.idle = 100 * (processor(t, m.pid()) - used).Seconds() / rest.Seconds()
	m.stop(20 * time.Second)
	return c
}

// TestThousands: a thousand torrents are added by one command, and are there after a
// restart; each takes no more than 20 kB.
func TestThousands(t *testing.T) {
	foreign(t)
	if c := measureThousands(t, 1000, time.Millisecond); c.each > 20_000 {
		t.Errorf("each takes %.0f bytes of memory", c.each)
	}
}

// BenchmarkThousands is what ten thousand cost.
func BenchmarkThousands(b *testing.B) {
	for b.Loop() {
		c := measureThousands(b, 10_000, 20*time.Second)
		b.ReportMetric(c.add, "add-s")
		b.ReportMetric(c.restart, "restart-s")
		b.ReportMetric(c.list, "ls-s")
		b.ReportMetric(c.each, "bytes-each")
		b.ReportMetric(c.idle, "idle-%")
		b.ReportMetric(0, "ns/op")
	}
}
