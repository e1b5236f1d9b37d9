package integration

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFolders: what is dropped into a sub-folder of --watch is mounted in a folder of that
// name, with the right bytes and the same inodes after it was killed; it is shown by inotify
// and by WebDAV, found by commands, follows its file, and goes with it.
func TestFolders(t *testing.T) {
	t.Parallel()
	film, show := torrentOf(t, file(t, "folders film.bin", 300_000), 32<<10), torrentOf(t, file(t, "folders show.bin", 100_000), 32<<10)
	need(t, "curl")
	drop, data, control := tempDir(t), tempDir(t), filepath.Join(tempDir(t), "control")
	for _, dir := range []string{"films", "films/2024"} {
		if err := os.Mkdir(filepath.Join(drop, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := mounting{data: data, flags: []string{"--control", control, "--peer", engineSeeder(t, film, show), "--seed-ratio", "0", "--watch", drop, "--http", "127.0.0.1:0"}}
	command := func(args ...string) result {
		t.Helper()
		return try(20*time.Second, append([]string{bipfs, args[0], "--control", control}, args[1:]...)...)
	}
	m := mountBipfs(t, o)
	events := watches(t, m)
	copyTo := func(c *torrent, name string) {
		sh(t, 10*time.Second, `cp "$1" "$2"`, c.file, filepath.Join(drop, name))
	}
	copyTo(film, "films/2024/a.torrent")
	dir, at := m.path("films", "2024", film.Info.Name), m.path("films", "2024", film.Info.Name, film.Info.Name)
	events.prints("CREATE,ISDIR "+m.path("films")+"\n", 20*time.Second)
	eventually(t, 20*time.Second, "it is there", func() bool { return try(5*time.Second, "test", "-f", at).code == 0 })
	same(t, at, film.content)
	if r := command("add", "--folder", "films", show.file); r.code != 0 {
		t.Fatal(r)
	}
	events.prints("CREATE,ISDIR "+m.path("films", show.Info.Name)+"\n", 20*time.Second)
	same(t, m.path("films", show.Info.Name, show.Info.Name), show.content)
	for _, line := range []string{"status", "why", "pin"} {
		if r := command(line, at); r.code != 0 {
			t.Error(r)
		}
	}
	if r := command("add", "--folder", "../films", show.file); r.code == 0 || !strings.Contains(r.err, "not a folder of the mount") {
		t.Error(r)
	}
	if r := command("pin", m.path("films")); r.code == 0 || !strings.Contains(r.err, "folder of torrents") {
		t.Error(r)
	}
	for _, line := range []string{`mkdir "$1/x"`, `rmdir "$1/2024"`, `mv "$1/2024" "$1/y"`, `mv "$1/2024" "$1/../y"`, `: >"$1/x"`} {
		if r := try(5*time.Second, "sh", "-c", line, "sh", m.path("films")); r.code == 0 || !strings.Contains(r.err, "Read-only") {
			t.Errorf("%s: %v", line, r)
		}
	}
	if r := try(5*time.Second, "readlink", m.path(film.hash())); strings.TrimSpace(r.out) != "films/2024/"+film.Info.Name {
		t.Errorf("the link from the infohash: %v", r)
	}
	page := pageOf(t, m.process)
	listed := run(t, 20*time.Second, "curl", "-sSf", "-u", "me:"+page.Query().Get("token"), "-X", "PROPFIND", "-H", "Depth: 1", "http://"+page.Host+"/dav/films/2024").out
	if !strings.Contains(listed, url.PathEscape(film.Info.Name)) {
		t.Errorf("WebDAV lists %s", listed)
	}
	reading := filepath.Join(tempDir(t), "reading")
	if err := os.WriteFile(reading, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	inside := start(t, "reader in it", "sh", "-c", `cd "$1" && while [ -e "$4" ]; do cmp "$2" "$3" && echo right; sleep 0.1; done`, "sh", dir, film.Info.Name, film.content, reading)
	inside.prints("right\n", 20*time.Second)
	if err := os.Rename(filepath.Join(drop, "films/2024/a.torrent"), filepath.Join(drop, "films/a.torrent")); err != nil {
		t.Fatal(err)
	}
	dir = m.path("films", film.Info.Name)
	events.prints("MOVED_TO,ISDIR "+dir+"\n", 20*time.Second)
	events.prints("DELETE,ISDIR "+m.path("films", "2024")+"\n", 20*time.Second)
	at = filepath.Join(dir, film.Info.Name)
	same(t, at, film.content)
	if r := try(5*time.Second, "stat", m.path("films", "2024")); r.code == 0 {
		t.Errorf("it is where it was, too: %v", r)
	}
	reads := func() int { return strings.Count(inside.printed(), "right\n") }
	before := reads()
	eventually(t, 20*time.Second, "who is in it goes on to read", func() bool { return reads() > before+2 })
	if err := os.Remove(reading); err != nil {
		t.Fatal(err)
	}
	if code := inside.exits(10 * time.Second); code != 0 || strings.ReplaceAll(inside.printed(), "right\n", "") != "" {
		t.Errorf("who is in it is told: %s", inside.printed())
	}
	inodes := func() string { return run(t, 10*time.Second, "find", m.dir, "-printf", "%P %i %y\n").out }
	shown := inodes()
	m.kill()
	m.unmountDead()

	m = mountBipfs(t, mounting{data: data, dir: m.dir, flags: o.flags})
	if after := inodes(); after != shown {
		t.Errorf("after a restart there is\n%s, not\n%s", after, shown)
	}
	same(t, at, film.content)
	events = watches(t, m)
	if r := command("rm", film.hash()); r.code != 0 {
		t.Fatal(r)
	}
	events.prints("DELETE,ISDIR "+dir+"\n", 20*time.Second)
	if r := try(5*time.Second, "ls", m.path("films")); strings.TrimSpace(r.out) != show.Info.Name {
		t.Errorf("listed are %q", r.out)
	}
	if r := command("rm", show.hash()); r.code != 0 {
		t.Fatal(r)
	}
	events.prints("DELETE,ISDIR "+m.path("films")+"\n", 20*time.Second)
	if r := try(5*time.Second, "ls", m.dir); r.code != 0 || r.out != "" {
		t.Errorf("listed are %v", r)
	}
	m.stop(10 * time.Second)
}
