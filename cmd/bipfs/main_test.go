package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// bipfs runs the program in this process.
func bipfs(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, streams{strings.NewReader(stdin), &out, &err})
	return code, out.String(), err.String()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestErrorsAreOneSentence(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	mnt := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no command", nil, 2, "see bipfs --help"},
		{"unknown command", []string{"mnt"}, 2, "mnt"},
		{"unknown flag", []string{"mount", "--nope", mnt}, 2, "--nope"},
		{"no mount point", []string{"mount"}, 2, "\"<mountpoint>\": see bipfs mount --help"},
		{"unknown option", []string{"mount", "-o", "allow_other,suid", mnt}, 2, "suid"},
		{"bad mask", []string{"mount", "-o", "umask=999", mnt}, 2, "umask"},
		{"bad uid", []string{"mount", "-o", "uid=me", mnt}, 2, "uid"},
		{"contradiction", []string{"mount", "-o", "allow_other,allow_root", mnt}, 2, "exclude"},
		{"bad size", []string{"mount", "--memory", "much", mnt}, 2, "much"},
		{"too little memory", []string{"mount", "--memory", "1MiB", mnt}, 2, "--memory"},
		{"bad level", []string{"mount", "--log-level", "loud", mnt}, 2, "--log-level"},
		{"bad peer", []string{"mount", "--peer", "example", mnt}, 2, "example"},
		{"bad port", []string{"mount", "--listen", "127.0.0.1:99999", mnt}, 2, "--listen 127.0.0.1:99999"},
		{"negative time-out", []string{"mount", "--read-timeout=-1s", mnt}, 2, "--read-timeout"},
		{"data inside", []string{"mount", "--data", filepath.Join(mnt, "d"), mnt}, 2, "inside"},
		{"temporary data", []string{"mount", "--temporary", "--data", t.TempDir(), mnt}, 2, "--temporary"},
		{"missing file", []string{"mount", mnt, "/nonexistent.torrent"}, 1, "/nonexistent.torrent"},
		{"empty file", []string{"mount", mnt, write(t, "a.torrent", "")}, 1, "a.torrent"},
		{"html", []string{"mount", mnt, write(t, "b.torrent", "<!DOCTYPE html><html>")}, 1, "HTML"},
		{"gzip", []string{"mount", mnt, write(t, "c.torrent", "\x1f\x8b\x08\x00")}, 1, "gzip"},
		{"bad magnet", []string{"mount", mnt, "magnet:?dn=x"}, 1, "magnet:?dn=x"},
		{"no mount point there", []string{"mount", "--data", t.TempDir(), "/nonexistent"}, 1, "/nonexistent"},
		{"not mounted", []string{"unmount", mnt}, 1, mnt},
		{"fetch without -o", []string{"fetch", "magnet:?xt=urn:btih:" + strings.Repeat("a", 40)}, 2, "--output"},
		{"fetch of a mount with -o", []string{"fetch", "--json", "-o", t.TempDir(), "magnet:?xt=urn:btih:" + strings.Repeat("a", 40)}, 2, "-o"},
		{"remote page", []string{"mount", "--http", "0.0.0.0:0", mnt}, 2, "--http-allow-remote"},
		{"remote page by no address", []string{"serve", "--http", ":8080"}, 2, "--http-allow-remote"},
		{"page without a port", []string{"serve", "--http", "127.0.0.1"}, 2, "--http 127.0.0.1"},
		{"page at a name", []string{"serve", "--http", "example.com:80"}, 2, "neither an address nor localhost"},
		{"no page", []string{"serve"}, 2, "serve --http ADDR"},
		{"remote nothing", []string{"mount", "--http-allow-remote", mnt}, 2, "--http ADDR"},
		{"bad rate", []string{"mount", "--down", "5M/s", mnt}, 2, "5M/s"},
		{"too little rate", []string{"limit", "--up", "10B/s"}, 2, "10B/s"},
		{"background of one", []string{"limit", "--background", "1MB/s", strings.Repeat("a", 40)}, 2, "--background"},
		{"no peers", []string{"mount", "--max-peers=-1", "--data", t.TempDir(), mnt}, 2, "--max-peers"},
		{"nothing to control", []string{"ls", "--control", t.TempDir()}, 1, "nothing is mounted"},
		{"nothing to control there", []string{"status", "--control", t.TempDir(), "--mount", mnt}, 1, mnt},
		{"add nothing", []string{"add"}, 2, "<source>"},
		{"no such group", []string{"mount", "--control-group", "no such group", "--data", t.TempDir(), mnt}, 2, "no such group"},
		{"create two formats", []string{"create", "--v2", "--hybrid", "/nonexistent"}, 2, "--hybrid and --v2"},
		{"create nothing", []string{"create", "/nonexistent"}, 1, "/nonexistent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := bipfs(t, "", c.args...)
			if code != c.code {
				t.Errorf("exit code %d, not %d: %s", code, c.code, stderr)
			}
			if stdout != "" {
				t.Errorf("stdout has %q", stdout)
			}
			if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
				t.Errorf("not one sentence about %q: %q", c.says, stderr)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	if code, out, _ := bipfs(t, "", "version"); code != 0 || out != "bipfs "+version+"\n" {
		t.Errorf("version: %d %q", code, out)
	}
	for _, args := range [][]string{{"--help"}, {"mount", "--help"}, {"fetch", "--help"}} {
		if code, out, err := bipfs(t, "", args...); code != 0 || !strings.Contains(out, "Usage: bipfs") || err != "" {
			t.Errorf("%q: %d %q %q", args, code, out, err)
		}
	}
}

func TestCreate(t *testing.T) {
	path := write(t, "film.bin", strings.Repeat("x", 100_000))
	output := filepath.Join(t.TempDir(), "film.torrent")
	code, out, stderr := bipfs(t, "", "create", "--piece-length", "16KiB", "--tracker", "http://t.example/announce", "--web-seed", "http://w.example/", "-o", output, path)
	if code != 0 || stderr != "" {
		t.Fatalf("%d %s", code, stderr)
	}
	if !strings.Contains(out, "wrote "+output) || !strings.Contains(out, "magnet:?xt=urn:btih:") || !strings.Contains(out, "&ws=http%3A%2F%2Fw.example%2F") {
		t.Errorf("it says %q", out)
	}
	for format, link := range map[string]string{"--hybrid": "&xt=urn:btmh:1220", "--v2": "magnet:?xt=urn:btmh:1220"} {
		code, out, stderr := bipfs(t, "", "create", format, "-o", filepath.Join(t.TempDir(), "x.torrent"), path)
		if code != 0 || stderr != "" || !strings.Contains(out, link) || !strings.Contains(out, "&xl=100000") {
			t.Errorf("%s: %d %q %s", format, code, out, stderr)
		}
	}
	if code, _, stderr := bipfs(t, "", "create", "-o", output, path); code != 1 || !strings.Contains(stderr, output) {
		t.Errorf("an existing file was replaced: %d %q", code, stderr)
	}
}

func TestSourceListSkipsWhatIsBad(t *testing.T) {
	hash := strings.Repeat("0a", 20)
	list := "# a comment\n\nmagnet:?xt=urn:btih:" + hash + "\n/nonexistent.torrent\n" + hash + "\nhttp://example.org/x.torrent\n"
	var log bytes.Buffer
	s := streams{in: strings.NewReader(list), err: &log}
	all, err := sources([]string{"-"}, s, logFlags{LogLevel: "warn", LogFormat: "text"}.logger(&log))
	if err != nil || len(all) != 3 {
		t.Fatalf("%d sources, %v", len(all), err)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "/nonexistent.torrent") {
		t.Errorf("the bad one is reported as %q", log.String())
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestUnprinted: a command whose output is lost has failed.
func TestUnprinted(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"version"}, {"doctor"}, {"doctor", "--json"}, {"config", "show"}, {"config", "check"}, {"man"}, {"completion", "bash"}, {"create", write(t, "x", "x")},
	} {
		var said bytes.Buffer
		if code := run(args, streams{strings.NewReader(""), full{}, &said}); code != 1 || !strings.Contains(said.String(), "no space") {
			t.Errorf("%q: exit code %d, %s", args, code, &said)
		}
	}
}
