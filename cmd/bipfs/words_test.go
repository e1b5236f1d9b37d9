package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAnyName: a name that is not UTF-8 is the name of a file as any other.
func TestAnyName(t *testing.T) {
	t.Chdir(t.TempDir())
	const name = "caf\xe9\n"
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := bipfs(t, "", "create", "-o", name+".torrent", name)
	if code != 0 {
		t.Fatalf("%d %q", code, stderr)
	}
	if _, err := os.Stat(name + ".torrent"); err != nil {
		t.Error(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseMount([]string{"mount", "--data", name, "--watch", name, "--watch", "b,\xff", "--option", "umask=022", name, name + ".torrent"}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(dir, name)
	if m.Mountpoint != name || m.Data != here || !slices.Equal(m.Watch, []string{here, filepath.Join(dir, "b,\xff")}) || !slices.Equal(m.Source, []string{name + ".torrent"}) {
		t.Errorf("%q %q %q %q", m.Mountpoint, m.Data, m.Watch, m.Source)
	}
	t.Setenv("BIPFS_DATA", name)
	if m, err = parseMount([]string{"mount", name}, nil, true); err != nil || !strings.HasSuffix(m.Data, name) {
		t.Errorf("%q, %v", m.Data, err)
	}
}

// TestHome: ~ in a setting is the home folder, as it is on a command line, also in a list.
func TestHome(t *testing.T) {
	t.Setenv("HOME", "/home/\xe9")
	t.Setenv("BIPFS_DATA", "~/data")
	file := write(t, "c.toml", `watch = ["~/a,b", "/c"]`)
	m, err := parseMount([]string{"mount", "mnt"}, []string{file}, true)
	if err != nil || !slices.Equal(m.Watch, []string{"/home/\xe9/a,b", "/c"}) || m.Data != "/home/\xe9/data" {
		t.Errorf("%q %q %v", m.Watch, m.Data, err)
	}
	t.Setenv("BIPFS_WATCH", "~/d\xff /e")
	if m, err = parseMount([]string{"mount", "--data", "~/f", "mnt"}, nil, true); err != nil || !slices.Equal(m.Watch, []string{"/home/\xe9/d\xff", "/e"}) || m.Data != "/home/\xe9/f" {
		t.Errorf("%q %q %v", m.Watch, m.Data, err)
	}
}
