package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConfig: a mount takes its settings from a file, reads it again at SIGHUP, changes
// what can be changed, names what cannot, and is not moved by a file with an error.
func TestConfig(t *testing.T) {
	t.Parallel()
	base := tempDir(t)
	path := filepath.Join(base, "bipfs", "config.toml")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(tempDir(t), "control")
	configure("down = \"5MB/s\"\nbackground = \"1MB/s\"\nmax-peers = 7\ncontrol = \"" + dir + "\"\n")
	m := mountBipfs(t, mounting{prefix: []string{"env", "XDG_CONFIG_HOME=" + base, "BIPFS_UP=2MB/s"}, flags: []string{"--control", dir}})
	limits := func() string {
		t.Helper()
		return strings.Join(strings.Fields(run(t, longEnough, "env", "XDG_CONFIG_HOME="+base, bipfs, "limit").out), " ")
	}
	if got := limits(); got != "down 5MB/s up 2MB/s background 1MB/s" {
		t.Errorf("limits: %s", got)
	}
	run(t, longEnough, bipfs, "limit", "--control", dir, "--background", "9MB/s")

	configure("down = \"6MB/s\"\nbackground = \"1MB/s\"\nmax-peers = 8\nno-pex = true\n")
	m.signal(syscall.SIGHUP)
	m.prints("read again at SIGHUP", longEnough)
	configure("control = \"" + dir + "\"")
	if got := limits(); got != "down 6MB/s up 2MB/s background 9MB/s" {
		t.Errorf("limits after SIGHUP: %s", got)
	}
	if !strings.Contains(m.printed(), "needs a restart\" settings=\"max-peers no-pex\"") {
		t.Errorf("the log does not say what needs a restart")
	}

	configure("down = \"7MB/s\"\nnonsense = 1\n")
	m.signal(syscall.SIGHUP)
	m.prints("line 2: nonsense is not a key", longEnough)
	configure("control = \"" + dir + "\"")
	if got := limits(); got != "down 6MB/s up 2MB/s background 9MB/s" {
		t.Errorf("limits after a SIGHUP with an error: %s", got)
	}
	m.stop(5 * time.Second)
}
