package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// configure makes a configuration of this user's the only one.
func configure(t *testing.T, text string) (path string) {
	t.Helper()
	base := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", base)
	path = filepath.Join(base, "bipfs", "config.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLayers: defaults, the machine's file, the user's, the environment, the command
// line: the later ones win, setting by setting.
func TestLayers(t *testing.T) {
	system := write(t, "system.toml", "down = \"1MB/s\"\nup = \"1MB/s\"\nmemory = \"101MiB\"\nmax-peers = 5\npeer = [\"192.0.2.1:1\"]\n")
	user := write(t, "user.toml", "up = \"2MB/s\"\nmemory = \"102MiB\"\nmax-peers = 6\nread-timeout = \"5s\"\n")
	t.Setenv("BIPFS_MEMORY", "103MiB")
	t.Setenv("BIPFS_MAX_PEERS", "7")
	t.Setenv("BIPFS_PEER", "192.0.2.2:2  [2001:db8::1]:3")
	t.Setenv("BIPFS_LOCAL_ONLY", "a b,c")
	t.Setenv("BIPFS_NO_DHT", "true")
	t.Setenv("BIPFS_PROXY", "")
	t.Setenv("BIPFS_NONSENSE", "is nobody's")
	m, err := parseMount([]string{"mount", "--max-peers", "8", t.TempDir()}, []string{system, "/nonexistent", user}, true)
	if err != nil {
		t.Fatal(err)
	}
	if m.Down != 1e6 || m.Up != 2e6 || m.Background != 0 || m.Memory != 103<<20 || m.MaxPeers != 8 || m.ReadTimeout != 5*time.Second || m.SeedTime != 24*time.Hour {
		t.Errorf("%+v", m)
	}
	if !slices.Equal(m.Peer, []string{"192.0.2.2:2", "[2001:db8::1]:3"}) || !slices.Equal(m.LocalOnly, []string{"a b", "c"}) || !m.NoDHT || m.LSD {
		t.Errorf("%+v", m)
	}
	if m, err = parseMount([]string{"mount", "--peer", "192.0.2.9:9", "--no-dht=false", t.TempDir()}, []string{system}, true); err != nil || !slices.Equal(m.Peer, []string{"192.0.2.9:9"}) || m.NoDHT {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err = parseMount([]string{"mount", t.TempDir()}, []string{system}, false); err != nil || m.Memory != 101<<20 || len(m.Peer) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestForms: each kind of value, and how it may be written.
func TestForms(t *testing.T) {
	text := `# a comment
option = ["allow_other", "umask=077"] # two
disk = "1.5GB"
keep-free = 1073741824
seed-ratio = 2
private-seed-ratio = 1.5
seed-time = "0s"
max-seeding = 0
lsd = true
no-upload = false
encryption = "require"
listen = "127.0.0.1:0"
dht-node = [
	"192.0.2.1:1",   # on lines
	"192.0.2.2:2",
]
log-format = "json"
local-only = ["one", "two words"]
data = "/srv/\u0062ipfs"
control-group = """root"""
`
	m, err := parseMount([]string{"mount", t.TempDir()}, []string{write(t, "c.toml", text)}, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Options, []string{"allow_other", "umask=077"}) || *m.Disk != 1.5e9 || *m.KeepFree != 1<<30 || m.SeedRatio != 2 || m.PrivateSeedRatio != 1.5 ||
		m.SeedTime != 0 || m.MaxSeeding != 0 || !m.LSD || m.NoUpload || m.Encryption.String() != "require" || !slices.Equal(m.Listen, []string{"127.0.0.1:0"}) ||
		len(m.DHTNode) != 2 || m.LogFormat != "json" || !slices.Equal(m.LocalOnly, []string{"one", "two words"}) || m.Data != "/srv/bipfs" || m.ControlGroup != "root" {
		t.Errorf("%+v", m)
	}
}

// TestWrongSettings: what is wrong is said with its file, its line and what may be
// there, and nothing is mounted.
func TestWrongSettings(t *testing.T) {
	long := strings.Repeat("# \n", longestConfig/3+1)
	for _, c := range []struct{ text, at, says string }{
		{"memory = 5\ndsik = \"1GB\"\n", "line 2", "dsik is not a key"},
		{"\n\nno_upload = true\n", "line 3", "is no-upload meant?"},
		{"peers = []", "line 1", "is peer meant?"},
		{"[mount]\ndown = \"1MB/s\"\n", "line 1", "sections"},
		{"# x\nmount.down = \"1MB/s\"", "line 2", "dots"},
		{"down = \"1MB/s\"\n\ndown = \"2MB/s\"\n", "line 3", ""},
		{"down = ", "line 1", ""},
		{"a = 1\nb = [\n1,\n", "line", ""},
		{"listen = [\n\"127.0.0.1:1\",\n]\nup = \"lots\"\n", "line 4", "is not a rate"},
		{"disk = \"5G\"", "line 1", "write GB for thousands or GiB"},
		{"no-upload = \"yes\"", "line 1", "true or false"},
		{"no-upload = 1", "line 1", "true or false"},
		{"memory = true", "line 1", "a string"},
		{"memory = 1979-05-27", "line 1", "a string"},
		{"max-peers = \"many\"", "line 1", "a whole number"},
		{"max-peers = 1.5", "line 1", "a whole number"},
		{"seed-ratio = \"x\"", "line 1", "a number"},
		{"seed-time = 5", "line 1", `as "90s"`},
		{"log-level = \"loud\"", "line 1", "one of debug, info, warn, error"},
		{"encryption = \"maybe\"", "line 1", "one of prefer, require, off"},
		{"peer = [1]", "line 1", "a list"},
		{"data = [\"/a\"]", "line 1", "a string"},
		{"data = {a = 1}", "line 1", ""},
		{"\n\nmemory = \"1MiB\"", "line 3", "--memory 1MiB is too little"},
		{"listen = \"127.0.0.1:99999\"\nup = \"1MB/s\"", "line 1", "--listen"},
		{"proxy = \"socks5://127.0.0.1:1\"\nlisten = [\"127.0.0.1:0\"]", "line 2", "exclude"},
		{"option = [\"suid\"]", "", "suid"},
		{long, "", "longer than"},
		{"peer = [\n" + strings.Repeat("\n", mostValueLines) + "]", "line 1", "more than 256 lines"},
		{"help = true", "line 1", "help is not a key"},
		{"\xff = 1", "line 1", ""},
	} {
		path := configure(t, c.text)
		for _, args := range [][]string{{"mount", "--data", t.TempDir(), t.TempDir()}, {"config", "check"}} {
			code, _, stderr := bipfs(t, "", args...)
			if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.at) || !strings.Contains(stderr, c.says) || c.at != "" && !strings.Contains(stderr, path) {
				t.Errorf("%q: %q says %q", c.text[:min(len(c.text), 60)], args, stderr)
			}
			if args[0] == "mount" && code != exitUsage || code == 0 {
				t.Errorf("%q: %q: exit code %d", c.text[:min(len(c.text), 60)], args, code)
			}
		}
	}
	configure(t, "dsik = 1")
	for _, args := range [][]string{{"version"}, {"man"}, {"--help"}, {"mount", "--help"}} {
		if code, _, err := bipfs(t, "", args...); code != 0 {
			t.Errorf("%q: %d %s", args, code, err)
		}
	}
	configure(t, "")
	t.Setenv("BIPFS_MEMORY", "1MiB")
	if code, _, err := bipfs(t, "", "mount", "--data", t.TempDir(), t.TempDir()); code != exitUsage || !strings.Contains(err, "memory is set in BIPFS_MEMORY") {
		t.Errorf("%d %s", code, err)
	}
	t.Setenv("BIPFS_MEMORY", "much")
	if code, _, err := bipfs(t, "", "mount", "--data", t.TempDir(), t.TempDir()); code != exitUsage || !strings.Contains(err, "BIPFS_MEMORY: \"much\" is not a size") {
		t.Errorf("%d %s", code, err)
	}
}

// TestLimitIsNoSetting: what a command is to change is not taken from the
// configuration.
func TestLimitIsNoSetting(t *testing.T) {
	configure(t, "down = \"5MB/s\"\ncontrol = \"/nonexistent/control\"\n")
	var all commands
	c := &configuration{files: configFiles()}
	if _, err := newParser(&all, streams{}, c).Parse([]string{"limit"}); err != nil || c.err != nil {
		t.Fatal(err, c.err)
	}
	if all.Limit.Down != nil || all.Limit.Control != "/nonexistent/control" {
		t.Errorf("%+v", all.Limit)
	}
}

func TestConfigCommands(t *testing.T) {
	path := configure(t, "down = \"5MB/s\"\n\npeer = [\"192.0.2.1:1\", \"192.0.2.2:2\"]\n")
	t.Setenv("BIPFS_UP", "1MB/s")
	if code, out, err := bipfs(t, "", "config", "check"); code != 0 || !strings.Contains(out, path+": can be read\n") || !strings.HasSuffix(out, "nothing is wrong\n") {
		t.Errorf("%d %s %s", code, out, err)
	}
	code, out, err := bipfs(t, "", "config", "show")
	if code != 0 || err != "" {
		t.Fatalf("%d %s", code, err)
	}
	lines := strings.Split(out, "\n")
	for _, want := range []string{"down 5MB/s " + path + ", line 1", "peer 192.0.2.1:1 192.0.2.2:2 " + path + ", line 3", "up 1MB/s BIPFS_UP", "seed-time 24h default", "proxy - default"} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Join(strings.Fields(l), " ") == want }) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	other := write(t, "other.toml", "up = \"x\"")
	if code, _, err := bipfs(t, "", "config", "check", other); code != exitUsage || !strings.Contains(err, other+", line 1") {
		t.Errorf("%d %s", code, err)
	}
	if code, _, err := bipfs(t, "", "config", "check", "/nonexistent"); code != 1 || !strings.Contains(err, "/nonexistent") {
		t.Errorf("%d %s", code, err)
	}
}

// TestRestart: only what cannot change while it runs needs a restart.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	with := func(text string) *mountCommand {
		t.Helper()
		m, err := parseMount([]string{"mount", "--seed-ratio", "3", dir}, []string{write(t, "c.toml", text)}, false)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	was := with("down = \"1MB/s\"\ndisk = \"1GB\"\n")
	for text, want := range map[string]string{
		"disk = \"1GB\"": "",
		"disk = \"1000MB\"\nbackground = \"1MB\"": "",
		"disk = \"2GB\"\nmemory = \"100MiB\"":     "disk memory",
		"disk = \"1GB\"\nseed-ratio = 9":          "", // the command line holds
		"":                                        "disk",
	} {
		if got := strings.Join(restart(was, with(text)), " "); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	known := settable(newModel())
	f.Add("down = \"1MB/s\"\npeer = [\n\"a:1\"]\n")
	f.Add("[x]\ny = 1")
	f.Add("a = '''\n'''\n\"memory\" = 5")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			return
		}
		all := settings{}
		err := parseConfig("file", text, known, all)
		if err != nil && !strings.HasPrefix(err.Error(), "file") {
			t.Errorf("%v", err)
		}
		for name, s := range all {
			if known[name] == nil || s.value == nil || !strings.HasPrefix(s.from, "file, line ") {
				t.Errorf("%s: %+v", name, s)
			}
			if err := admits(known[name], s.value); err != nil {
				t.Errorf("%s: %v", name, errors.Unwrap(err))
			}
		}
	})
}
