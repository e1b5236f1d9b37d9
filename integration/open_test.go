package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpen: what a desktop runs starts the mount if there is none, adds the torrent,
// and has its folder opened, or its film if it has one.
func TestOpen(t *testing.T) {
	t.Parallel()
	content := filepath.Join(contentDir(), "A film") // torrents are made once for a name
	for name, size := range map[string]int64{"film.MKV": 100_000, "cover.jpg": 1000} {
		if err := os.MkdirAll(content, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(content, name), name, size); err != nil {
			t.Fatal(err)
		}
	}
	film, plain := torrentOf(t, content, 32<<10), torrentOf(t, file(t, "open.bin", 200_000), 32<<10)
	seeder := engineSeeder(t, film, plain)

	// The desktop's programs say what they were called for.
	dir := tempDir(t)
	said := filepath.Join(dir, "said")
	for _, name := range []string{"systemctl", "xdg-open"} {
		script := fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >>%s\n", name, said)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	heard := func() string {
		b, _ := os.ReadFile(said)
		return string(b)
	}
	control := filepath.Join(tempDir(t), "control")
	open := func(source string) *process {
		return start(t, "open", "env", "PATH="+dir+":"+os.Getenv("PATH"), bipfs, "open", "--control", control, "--", source)
	}
	first := open(film.magnet(nil, []string{seeder}))
	eventually(t, longEnough, "the service is started", func() bool { return heard() == "systemctl --user start bipfs.service\n" })
	if !first.runs() {
		t.Fatalf("it does not wait for the mount: %s", first.printed())
	}
	m := mountBipfs(t, mounting{flags: []string{"--control", control, "--peer", seeder}})
	if code := first.exits(longEnough); code != 0 {
		t.Fatalf("exit code %d: %s", code, first.printed())
	}
	want := "systemctl --user start bipfs.service\nxdg-open " + m.path("A film", "film.MKV") + "\n"
	if heard() != want {
		t.Errorf("the desktop was asked for %q, not %q", heard(), want)
	}
	second := open("file://" + strings.ReplaceAll(plain.file, " ", "%20"))
	if code := second.exits(longEnough); code != 0 {
		t.Fatalf("exit code %d: %s", code, second.printed())
	}
	if want += "xdg-open " + m.path(plain.Info.Name) + "\n"; heard() != want {
		t.Errorf("the desktop was asked for %q, not %q", heard(), want)
	}
	if code := open("nonsense").exits(longEnough); code != 1 || heard() != want {
		t.Errorf("nonsense: exit code %d, %q", code, heard())
	}
	m.stop(5 * time.Second)
}
