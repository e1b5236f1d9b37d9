package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBox goes through .bipfs: each way to add, what is refused, what its files say,
// and how to remove.
func TestBox(t *testing.T) {
	t.Parallel()
	first := torrentOf(t, file(t, "box first.bin", 400_000), 32<<10)
	second := torrentOf(t, file(t, "box second.bin", 300_000), 32<<10)
	third := torrentOf(t, file(t, "box third.bin", 200_000), 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, first, second, third), "--seed-ratio", "0")
	box := m.path(".bipfs")
	list := func() string { return run(t, 10*time.Second, "ls", "-a", m.dir).out }
	listed := func(names ...string) {
		t.Helper()
		eventually(t, 20*time.Second, "listed are "+strings.Join(names, ", "), func() bool {
			return list() == strings.Join(append([]string{".", ".."}, names...), "\n")+"\n"
		})
	}
	fails := func(want, line string, args ...string) {
		t.Helper()
		if r := try(10*time.Second, append([]string{"bash", "-c", line, "bash", box}, args...)...); r.code == 0 || !strings.Contains(r.err, want) {
			t.Errorf("%s does not fail with %q: %v", line, want, r)
		}
	}

	sh(t, 10*time.Second, `cp "$1" "$2/add/"`, first.file, box)
	listed(first.Info.Name)
	sh(t, 10*time.Second, `echo "magnet:?xt=urn:btih:$1" >"$2/add/links"`, second.hash(), box)
	listed(first.Info.Name, second.Info.Name)
	sh(t, 10*time.Second, `ln -s "magnet:?xt=urn:btih:$1" "$2/add/x"`, third.hash(), box)
	listed(first.Info.Name, second.Info.Name, third.Info.Name)
	for _, to := range []*torrent{first, second, third} {
		same(t, to.shown(m), to.content)
	}

	// Whoever goes through the mount does not come here.
	if r := run(t, 20*time.Second, "find", m.dir, "-name", "links"); r.out != "" {
		t.Errorf("find finds %q", r.out)
	}
	torrents := filepath.Join(box, "torrents")
	if got := run(t, 10*time.Second, "ls", torrents).out; strings.Count(got, "\n") != 3 || !strings.Contains(got, first.hash()) {
		t.Errorf("torrents/ lists %q", got)
	}
	says := func(file, want string) {
		t.Helper()
		if got := run(t, 10*time.Second, "cat", filepath.Join(box, file)).out; !strings.Contains(got, want) {
			t.Errorf("%s says %q, not %q", file, got, want)
		}
	}
	of := "torrents/" + first.hash() + "/"
	says(of+"status", command("status", first.hash()).out)
	says(of+"peers", "ADDRESS")
	says(of+"pieces", "13 of 13 pieces of 32.0 KiB\n#############\n")
	says(of+"why", "no read waits for the swarm")
	says("status", m.dir)

	// A command finds the socket by it, wherever that is.
	for _, args := range [][]string{{"status", "--mount", m.dir}, {"status", "--mount", box}, {"status", first.shown(m)}} {
		if got := run(t, 10*time.Second, append([]string{bipfs}, args...)...).out; !strings.Contains(got, m.dir) && !strings.Contains(got, first.hash()) {
			t.Errorf("bipfs %s says %q", args, got)
		}
	}
	if socket := strings.TrimSpace(run(t, 10*time.Second, "readlink", filepath.Join(box, "socket")).out); filepath.Dir(socket) != m.control() {
		t.Errorf("the socket is %s", socket)
	}
	if got := run(t, 10*time.Second, "stat", "-c", "%a", filepath.Join(box, of, "why")).out; got != "400\n" {
		t.Errorf("its mode is %q", got)
	}

	broken := filepath.Join(tempDir(t), "broken.torrent")
	if err := os.WriteFile(broken, []byte("d4:infod6:lengthi"), 0o644); err != nil {
		t.Fatal(err)
	}
	fails("Invalid argument", `cp "$2" "$1/add/"`, broken)
	fails("Invalid argument", `echo "magnet:?xt=nothing" >"$1/add/links"`)
	fails("Invalid argument", `ln -s /etc/passwd "$1/add/y"`)
	fails("Read-only", `mkdir "$1/add/z"`)
	fails("not permitted", `rm "$1/add/links"`)
	fails("not permitted", `touch "$1/z"`)
	says("add/errors", "broken.torrent: ")
	says("add/errors", "links: ")
	says("add/errors", "y: ")

	sh(t, 10*time.Second, `rmdir "$1"`, filepath.Join(torrents, second.hash()))
	listed(first.Info.Name, third.Info.Name)
	fails("No such file", `rmdir "$1/torrents/$2"`, second.hash())
	fails("Read-only", `rmdir "$2"`, filepath.Dir(third.shown(m)))
	sh(t, 10*time.Second, `echo "$1" >>"$2/add/links"`, second.hash(), box)
	listed(first.Info.Name, second.Info.Name, third.Info.Name)
	if r := command("verify", second.hash()); !strings.Contains(r.out, "10 of 10 pieces are here") {
		t.Errorf("its data is gone: %v", r)
	}
}

// TestBoxPrograms: programs that write beside the place and rename, that keep times and
// modes, or write a list in one go, add as cp does.
func TestBoxPrograms(t *testing.T) {
	t.Parallel()
	need(t, "rsync", "python3")
	m := mountBipfs(t, mounting{})
	add := m.path(".bipfs", "add")
	for i, line := range []string{
		`cp -p "$1" "$2/"`, `rsync -a "$1" "$2/"`, `cat "$1" >"$2/from cat"`, `dd if="$1" of="$2/from dd" bs=100 status=none conv=fsync`,
		`cp "$1" "$1.copy" && mv "$1.copy" "$2/"`,
		`install -m 600 "$1" "$2/from install"`,
		`python3 -c 'import sys; f = open(sys.argv[2] + "/from python", "w+b", 0); f.write(open(sys.argv[1], "rb").read()); f.close()' "$1" "$2"`,
	} {
		c := torrentOf(t, file(t, "programs.bin", 20_000+int64(i)), 16<<10)
		sh(t, 10*time.Second, line, c.file, add)
		eventually(t, 10*time.Second, line+" adds", func() bool {
			return try(5*time.Second, "test", "-L", m.path(c.hash())).code == 0
		})
	}
	var links strings.Builder
	for range 5000 {
		links.WriteString("# a comment\n\n")
	}
	links.WriteString("magnet:?xt=urn:btih:" + strings.Repeat("1", 40) + "\n" + strings.Repeat("2", 40)) // without an end
	list := filepath.Join(tempDir(t), "list")
	if err := os.WriteFile(list, []byte(links.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	sh(t, 10*time.Second, `cat "$1" >"$2/links"`, list, add)
	run(t, 10*time.Second, "test", "-d", m.path(strings.Repeat("1", 40)), "-a", "-d", m.path(strings.Repeat("2", 40)))
	if r := run(t, 10*time.Second, "cat", filepath.Join(add, "errors")); r.out != "" {
		t.Errorf("errors: %q", r.out)
	}
}
