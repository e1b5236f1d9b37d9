package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPassthrough: a file that is complete is read by the kernel itself; after a
// restart at once; and not when it was touched meanwhile, until all of it has been
// read again.
func TestPassthrough(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("passthrough needs root")
	}
	t.Parallel()
	to := torrentOf(t, file(t, "passed.bin", 32<<20), 256<<10)
	seeder := scripted(t, manner{}, to)
	o := mounting{dir: tempDir(t), data: tempDir(t) + "/data", flags: peerFlags(seeder), sources: []string{to.file}}
	m := mountBipfs(t, o)
	if readAlone(t, m, to) {
		t.Error("a file that is not here was read without bipfs")
	}
	until := time.Now().Add(20 * time.Second)
	for !readAlone(t, m, to) {
		if time.Now().After(until) {
			t.Fatal("a complete file is not read by the kernel")
		}
	}
	stamps, _ := filepath.Glob(filepath.Join(o.data, "torrents", "*", "stamps"))
	for ; len(stamps) == 0 && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		stamps, _ = filepath.Glob(filepath.Join(o.data, "torrents", "*", "stamps"))
	}
	m.kill()
	m.unmountDead()
	seeder.close()

	o.flags, o.sources = nil, nil
	m = mountBipfs(t, o)
	if !readAlone(t, m, to) {
		t.Error("it is not after a restart")
	}
	m.stop(5 * time.Second)
	data, _ := filepath.Glob(filepath.Join(o.data, "torrents", "*", "data", "0"))
	if err := os.Chtimes(data[0], time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	m = mountBipfs(t, o)
	if readAlone(t, m, to) {
		t.Error("a file that was touched is read without a look")
	}
	if !readAlone(t, m, to) {
		t.Error("it is not when it has been looked at again")
	}
	m.stop(5 * time.Second)
}

// readAlone reports whether the kernel reads a file by itself: bipfs says next to
// nothing then, to nobody.
func readAlone(t testing.TB, m *mount, to *torrent) bool {
	t.Helper()
	freshPages(t, to.shown(m))
	before := wrote(t, m.process)
	same(t, to.shown(m), to.content)
	return wrote(t, m.process)-before < to.Info.Length/8
}

// wrote is how many bytes a process has written anywhere.
func wrote(t testing.TB, p *process) int64 {
	t.Helper()
	lines, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		if n, ok := strings.CutPrefix(line, "wchar: "); ok {
			bytes, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return bytes
		}
	}
	t.Fatalf("no wchar: %s", lines)
	return 0
}
