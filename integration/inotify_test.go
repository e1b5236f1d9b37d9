package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// watches is an inotifywait of the root of a mount and of all below it.
func watches(t *testing.T, m *mount) *process {
	t.Helper()
	need(t, "inotifywait")
	p := start(t, "inotifywait", "inotifywait", "-m", "-r", "--format", "%e %w%f", m.dir)
	p.prints("Watches established.", 20*time.Second)
	return p
}

// watching waits until a program has so many inotify watches.
func watching(t *testing.T, program *process, watches int) {
	t.Helper()
	eventually(t, 20*time.Second, fmt.Sprintf("%d directories are watched", watches), func() bool {
		n := 0
		infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", program.pid()))
		for _, info := range infos {
			b, _ := os.ReadFile(info)
			n += strings.Count(string(b), "inotify wd:")
		}
		return n >= watches
	})
}

// TestInotify: a torrent that comes is a CREATE, a file that is complete a
// CLOSE_WRITE, a torrent that goes a DELETE, one that gets its name a MOVED_TO. The
// directory that was seen to come is the one that is there, and nobody else may do
// what was done.
func TestInotify(t *testing.T) {
	t.Parallel()
	c := torrentOf(t, file(t, "inotify.bin", 1_000_000), 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, c), "--seed-ratio", "0")
	events := watches(t, m)
	ok := func(args ...string) {
		t.Helper()
		if r := command(args...); r.code != 0 {
			t.Fatal(r)
		}
	}
	ok("add", c.file)
	dir := m.path(c.Info.Name)
	events.prints("CREATE,ISDIR "+dir+"\n", 10*time.Second)
	watching(t, events, 2)
	same(t, c.shown(m), c.content)
	events.prints("CLOSE_WRITE,CLOSE "+c.shown(m)+"\n", 10*time.Second)
	same(t, c.shown(m), c.content)
	ok("rm", c.hash())
	events.prints("DELETE,ISDIR "+dir+"\n", 10*time.Second)
	if r := try(5*time.Second, "stat", dir); r.code != 1 {
		t.Errorf("after its removal: %v", r)
	}

	// Again, with its data: and by a link, that gets its name later.
	ok("rm", "--delete-data", addAgain(t, command, c))
	ok("add", "--wait", "20s", "magnet:?xt=urn:btih:"+c.hash())
	events.prints("MOVED_FROM,ISDIR "+m.path(c.hash())+"\n", 10*time.Second)
	events.prints("MOVED_TO,ISDIR "+dir+"\n", 10*time.Second)
	same(t, c.shown(m), c.content)
	if r := try(5*time.Second, "ls", m.dir); strings.TrimSpace(r.out) != c.Info.Name {
		t.Errorf("listed are %q", r.out)
	}
	for _, line := range []string{`mkdir "$1/x"`, `rmdir "$1/$2"`, `mv "$1/$2" "$1/y"`, `: >"$3"`, `: >"$1/x"`} {
		if r := try(5*time.Second, "sh", "-c", line, "sh", m.dir, c.Info.Name, c.shown(m)); r.code == 0 || !strings.Contains(r.err, "Read-only") {
			t.Errorf("%s: %v", line, r)
		}
	}
}

// addAgain adds c and returns its infohash.
func addAgain(t *testing.T, command func(...string) result, c *torrent) string {
	t.Helper()
	if r := command("add", c.file); r.code != 0 {
		t.Fatal(r)
	}
	return c.hash()
}

// TestInotifyLoop: a loop in the shell, on what is complete, picks up each file with
// the right bytes.
func TestInotifyLoop(t *testing.T) {
	t.Parallel()
	folder := tempDir(t) // a name of its own: torrents are made once for each name
	folder = filepath.Join(folder, filepath.Base(folder))
	if err := os.MkdirAll(filepath.Join(folder, "in here"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b := make([]byte, 300_000+i)
		for j := range b {
			b[j] = byte(j * (i + 3))
		}
		if err := os.WriteFile(filepath.Join(folder, "in here", fmt.Sprintf("%d.bin", i)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := torrentOf(t, folder, 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, c), "--seed-ratio", "0")
	need(t, "inotifywait")
	// A pipe with a name: each end is a process that ends with the test.
	picked, pipe := tempDir(t), filepath.Join(tempDir(t), "pipe")
	run(t, 5*time.Second, "mkfifo", pipe)
	loop := start(t, "loop", "sh", "-c", `while read -r f; do cp "$f" "$1/" && echo "picked $f"; done <"$2"`, "sh", picked, pipe)
	events := start(t, "inotifywait", "sh", "-c", `exec inotifywait -m -r -e close_write --format '%w%f' "$1" >"$2"`, "sh", m.dir, pipe)
	events.prints("Watches established.", 20*time.Second)
	if r := command("add", c.file); r.code != 0 {
		t.Fatal(r)
	}
	watching(t, events, 3)
	if r := command("pin", m.path(c.Info.Name)); r.code != 0 {
		t.Fatal(r)
	}
	for i := range 3 {
		loop.prints(fmt.Sprintf("picked %s\n", m.path(c.Info.Name, "in here", fmt.Sprintf("%d.bin", i))), 20*time.Second)
		same(t, filepath.Join(picked, fmt.Sprintf("%d.bin", i)), filepath.Join(folder, "in here", fmt.Sprintf("%d.bin", i)))
	}
}

// TestInotifyOthersLook: whoever looks the name up all the time, before and while it
// is made, does not keep it from being shown.
func TestInotifyOthersLook(t *testing.T) {
	t.Parallel()
	c := torrentOf(t, file(t, "inotify-looked-at.bin", 100_000), 32<<10)
	m, command := controlled(t)
	events := watches(t, m)
	dir := m.path(c.Info.Name)
	looker := start(t, "looker", "sh", "-c", `while :; do stat "$1" >/dev/null 2>&1; ls "$2" >/dev/null; done`, "sh", dir, m.dir)
	for n := range 3 {
		if r := command("add", c.file); r.code != 0 {
			t.Fatal(r)
		}
		eventually(t, 10*time.Second, "it is shown", func() bool { return strings.Count(events.printed(), "CREATE,ISDIR "+dir+"\n") > n })
		if r := command("rm", c.hash()); r.code != 0 {
			t.Fatal(r)
		}
		eventually(t, 10*time.Second, "it is shown to be gone", func() bool { return strings.Count(events.printed(), "DELETE,ISDIR "+dir+"\n") > n })
	}
	if !looker.runs() {
		t.Error("who looks has ended")
	}
}

// TestInotifyKilled: the process that acts on the mount ends with the one that serves
// it, however that ends, and an unmount is not held up by it.
func TestInotifyKilled(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"kill", "unmount"} {
		m := mountBipfs(t, mounting{})
		events := watches(t, m)
		name := strings.Repeat("a", 40)
		run(t, 10*time.Second, "ln", "-s", "magnet:?xt=urn:btih:"+name, m.path(".bipfs", "add", "x"))
		events.prints("CREATE,ISDIR "+m.path(name)+"\n", 10*time.Second)
		var hands []string
		eventually(t, 10*time.Second, "it has one process beside it", func() bool {
			hands = nil
			tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.pid()))
			for _, task := range tasks {
				b, _ := os.ReadFile(task)
				hands = append(hands, strings.Fields(string(b))...)
			}
			return len(hands) == 1
		})
		if end == "kill" {
			m.kill()
		} else {
			events.kill() // whose watches hold up nothing; what it has open would
			// For the moment of a deed the mount is in use.
			eventually(t, 10*time.Second, "it is unmounted", func() bool { return try(5*time.Second, "umount", m.dir).code == 0 })
			m.exits(10 * time.Second)
		}
		eventually(t, 10*time.Second, "they have ended", func() bool {
			for _, pid := range hands {
				if b, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(b), ") Z ") {
					return false
				}
			}
			return true
		})
	}
}
