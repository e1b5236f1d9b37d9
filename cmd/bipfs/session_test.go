package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bipfs/engine"
	"bipfs/engine/control"
)

// TestShown: a terminal is sent no controls, and nobody passkeys.
func TestShown(t *testing.T) {
	if got := shown("a\x1b[31mb\nc\u202ed é界"); got != "a?[31mb?c?d é界" {
		t.Errorf("%q", got)
	}
	for arg, want := range map[string]string{
		"https://t.example/secret/x.torrent?key=secret":                                            "https://t.example/…",
		"magnet:?xt=urn:btih:" + strings.Repeat("ab", 20) + "&tr=https%3A%2F%2Ft.example%2Fsecret": "magnet:" + strings.Repeat("ab", 20),
		"film.torrent": "film.torrent",
	} {
		if got := engine.ShownSource(arg); got != want {
			t.Errorf("%s is shown as %s", arg, got)
		}
	}
}

func TestLines(t *testing.T) {
	got, err := lines([]string{"a", "-", "b"}, strings.NewReader("# no\n\n c \nd"))
	if err != nil || strings.Join(got, " ") != "a c d b" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWhyLines: what somebody can do about it comes first, then each piece.
func TestWhyLines(t *testing.T) {
	for _, c := range []struct {
		why  control.Why
		want string
	}{
		{control.Why{State: "active"}, "no read waits for the swarm"},
		{control.Why{State: "active", Waits: []control.Wait{{Piece: 91, Seconds: 12, Peers: 3}}}, "piece 91: 0 of 3 peers have it, 12 s"},
		{control.Why{State: "active", Waits: []control.Wait{{Piece: 1, Peers: 1}, {Piece: 2, Peers: 1}, {Piece: 3, Peers: 1, Have: 1}, {Piece: 5, Peers: 1, Have: 1}}},
			"pieces 1 to 2: 0 of 1 peers have each, 0 s|piece 3: 1 of 1 peers have it, 0 s|piece 5: 1 of 1 peers have it, 0 s"},
		{control.Why{State: "active", Paused: true, Waits: []control.Wait{{Piece: 1, Peers: 9, Have: 4, Choking: 2, Silent: 1, Asked: 2, By: []string{"mpv", "cp\n"}}}},
			"the torrent is paused: bipfs resume lets it transfer|piece 1: 4 of 9 peers have it, 0 s, 2 choke us, 1 are silent, 2 are asked (mpv, cp?)"},
		{control.Why{State: "stopped"}, "the torrent is stopped: bipfs start lets it have peers|no read waits for the swarm"},
	} {
		if got := strings.Join(whyLines(c.why), "|"); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}

// TestBelow: a path in the mount is one by whatever way it leads there.
func TestBelow(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("real/mnt", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", "link"); err != nil {
		t.Fatal(err)
	}
	for _, mountpoint := range []string{"real/mnt", "link/mnt"} {
		m := &talk{}
		m.Status.Mountpoint = filepath.Join(dir, mountpoint)
		for arg, want := range map[string]string{
			"real/mnt/a/b": "a/b", "link/mnt/a/b": "a/b", dir + "/real/mnt/a": "a", dir + "/link/mnt/a": "a", "a/b": "a/b", "link": "link",
			"real/mnt": "", "link/mnt/": "", dir + "/a": "", dir + "/link": "", "/": "",
		} {
			if below, err := m.below(arg); below != want || (err == nil) != (want != "") {
				t.Errorf("%s in %s: %q, %v", arg, mountpoint, below, err)
			}
		}
	}
}
