package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What flags of `bipfs mount` do that no other test looks at. (cmd/bipfs/tested_test.go
// says which test looks at which flag.)

// TestMountFlags: what the kernel is told, what others are let in for, what is logged
// and what is run: all of one mount.
func TestMountFlags(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "curl", "setpriv", "stat")
	to := torrentOf(t, file(t, "flags.bin", 300_000), 32<<10)
	dir, control, script := tempDir(t), tempDir(t), filepath.Join(tempDir(t), "hook")
	const gid = "65533"
	run(t, longEnough, "chown", ":"+gid, control)
	run(t, longEnough, "chmod", "0750", control)
	sh(t, longEnough, `echo below >"$1/below"; printf '#!/bin/sh\nprintenv BIPFS_EVENT BIPFS_INFOHASH BIPFS_NAME BIPFS_PATH >"$0.new" && mv "$0.new" "$0.said"\n' >"$2"; chmod +x "$2"`, dir, script)
	m := mountBipfs(t, mounting{dir: dir, flags: []string{"--peer", engineSeeder(t, to),
		"-o", "ro,noexec,nonempty,allow_root", "--option", "uid=12,gid=34,dmask=077,fmask=0377",
		"--control", control, "--control-group", gid, "--log-format", "json", "--on", "complete=" + script,
		"--http", "0.0.0.0:0", "--http-allow-remote", "--http-host", "films.example"}, sources: []string{to.file}})

	// The kernel.
	for path, want := range map[string]string{to.shown(m): "12 34 400", m.dir: "12 34 500"} {
		if got := strings.TrimSpace(run(t, longEnough, "stat", "-c", "%u %g %a", path).out); got != want {
			t.Errorf("%s is %s, not %s", path, got, want)
		}
	}
	if got := sh(t, longEnough, `grep " $1 " /proc/self/mountinfo`, m.dir).out; !strings.Contains(got, " ro,") || !strings.Contains(got, "noexec") {
		t.Errorf("it is mounted as %s", got)
	}
	same(t, to.shown(m), to.content)

	// Who may control it.
	as := func(gid string) result {
		cmd := exec.Command("setpriv", "--reuid", "65534", "--regid", gid, "--clear-groups", bipfs, "ls", "--control", control)
		out, _ := cmd.CombinedOutput()
		return result{out: string(out), code: cmd.ProcessState.ExitCode()}
	}
	if r := as(gid); r.code != 0 || !strings.Contains(r.out, to.Info.Name) {
		t.Errorf("a member of the group: %v", r)
	}
	if r := as("65534"); r.code != 1 {
		t.Errorf("who is no member: %v", r)
	}

	// Who may look, by which name.
	page := pageOf(t, m.process)
	if page.Hostname() != "localhost" {
		t.Errorf("the page is at %s", page.Host)
	}
	for host, want := range map[string]string{"films.example": "200", "other.example": "4"} {
		r := run(t, longEnough, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: "+host, "-H", "Authorization: Bearer "+page.Query().Get("token"), "http://127.0.0.1:"+page.Port()+"/metrics")
		if !strings.HasPrefix(r.out, want) {
			t.Errorf("by the name %s: %s", host, r.out)
		}
	}

	// What it runs, and what it logs.
	want := "complete\n" + to.hash() + "\n" + to.Info.Name + "\n" + m.path(to.Info.Name) + "\n"
	eventually(t, longEnough, "the command of --on", func() bool { _, err := os.Stat(script + ".said"); return err == nil })
	if got, err := os.ReadFile(script + ".said"); err != nil || string(got) != want {
		t.Errorf("the command was told %q, not %q: %v", got, want, err)
	}
	m.stop(5 * time.Second)
	logged := 0
	for line := range strings.Lines(m.printed()) {
		switch {
		case json.Valid([]byte(line)) && strings.Contains(line, `"level":`):
			logged++
		case !strings.HasPrefix(line, "mounted ") && !strings.HasPrefix(line, "page ") && !strings.HasPrefix(line, "bipfs: "):
			t.Errorf("logged is %q", line)
		}
	}
	if logged == 0 {
		t.Error("nothing is logged")
	}
}

// TestBlocklistFlag: who is on the list is not met, until it is read again without them.
func TestBlocklistFlag(t *testing.T) {
	t.Parallel()
	to := torrentOf(t, file(t, "blocked.bin", 100_000), 32<<10)
	seeder := scripted(t, manner{}, to)
	list := filepath.Join(tempDir(t), "list")
	if err := os.WriteFile(list, []byte("loopback:127.0.0.0-127.255.255.255\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := mountBipfs(t, mounting{flags: append(peerFlags(seeder), "--blocklist", list, "--read-timeout", "300ms"), sources: []string{to.file}})
	if r := try(longEnough, "cat", to.shown(m)); r.code == 0 || !strings.Contains(r.err, "timed out") {
		t.Errorf("it is read from who is on the list: %v", r)
	}
	if err := os.WriteFile(list, []byte("documentation:192.0.2.0-192.0.2.255\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.signal(syscall.SIGHUP)
	m.prints("read again at SIGHUP", longEnough)
	eventually(t, longEnough, "it is read from who is on the list no more", func() bool {
		return try(longEnough, "cmp", to.shown(m), to.content).code == 0
	})
	m.stop(5 * time.Second)
}

// TestServeReload: serve reads its configuration again as a mount does.
func TestServeReload(t *testing.T) {
	t.Parallel()
	config := tempDir(t)
	path := filepath.Join(config, "bipfs", "config.toml")
	sh(t, longEnough, `mkdir "$1/bipfs"; echo 'down = "5MB/s"' >"$1/bipfs/config.toml"`, config)
	data := tempDir(t)
	control := filepath.Join(data, "control")
	s := start(t, "bipfs", "env", "XDG_CONFIG_HOME="+config, bipfs, "serve", "--http", "127.0.0.1:0", "--data", data, "--listen", "127.0.0.1:0",
		"--no-dht", "--log-level", "info", "--control", control)
	page := pageOf(t, s)
	if err := os.WriteFile(path, []byte("down = \"6MB/s\"\nmax-peers = 9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.prints("read again at SIGHUP", longEnough)
	if !strings.Contains(s.printed(), "needs a restart\" settings=max-peers") {
		t.Errorf("it does not say what needs a restart")
	}
	status := statusOf(t, control)
	if status.DownLimit != 6_000_000 || status.HTTPURL != page.String() {
		t.Errorf("it says %+v", status)
	}
	if err := os.WriteFile(path, []byte("nonsense = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.prints("nonsense is not a key", longEnough)
	s.signal(syscall.SIGTERM)
	if code := s.exits(longEnough); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// toldStatus is what `bipfs status --json` says, of what is looked at here.
type toldStatus struct {
	Mountpoint string
	Data       string
	PID        int
	KeeperPID  int    `json:"keeper_pid"`
	DownLimit  int64  `json:"down_limit"`
	HTTPURL    string `json:"http_url"`
}

// statusOf is what the only mount says whose socket is in a folder.
func statusOf(t testing.TB, control string) (s toldStatus) {
	t.Helper()
	r := run(t, longEnough, bipfs, "status", "--json", "--control", control)
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatalf("%v: %v", r, err)
	}
	return s
}

// TestDetachedPage: mount -d prints the address of the page with its token, and so does
// status; no log has it.
func TestDetachedPage(t *testing.T) {
	t.Parallel()
	needFuse(t)
	need(t, "curl")
	dir, data := tempDir(t), tempDir(t)
	control := filepath.Join(data, "control")
	r := run(t, longEnough, bipfs, "mount", "-d", "--data", data, "--control", control, "--listen", "127.0.0.1:0", "--no-dht", "--log-level", "info",
		"--http", "127.0.0.1:0", dir)
	t.Cleanup(func() { run(t, longEnough, bipfs, "unmount", dir) })
	status := statusOf(t, control)
	if status.HTTPURL == "" || r.out != "mounted "+dir+"\npage "+status.HTTPURL+"\n" {
		t.Errorf("it prints %q, and says %+v", r.out, status)
	}
	_, token, _ := strings.Cut(status.HTTPURL, "?token=")
	if kept, err := os.ReadFile(filepath.Join(data, "http-token")); err != nil || strings.TrimSpace(string(kept)) != token || token == "" {
		t.Errorf("the token is %q, and in the data folder %q, %v", token, kept, err)
	}
	if st, err := os.Stat(filepath.Join(data, "http-token")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the token's mode: %v, %v", st, err)
	}
	if log, err := os.ReadFile(filepath.Join(data, "log")); err != nil || strings.Contains(string(log), token) {
		t.Errorf("the log has the token: %v", err)
	}
	// Who has the page has not its token: the cookie is no script's either.
	if live := run(t, longEnough, "curl", "-sf", "-H", "Authorization: Bearer "+token, strings.Replace(status.HTTPURL, "/?", "/live?", 1)).out; strings.Contains(live, token) || !strings.Contains(live, `"status"`) {
		t.Errorf("the page is told %s", live)
	}
	if lines := run(t, longEnough, bipfs, "status", "--control", control).out; !strings.Contains(lines, status.HTTPURL) {
		t.Errorf("status prints %s", lines)
	}
	// It is the same after an upgrade, whose --json is that of the new process.
	var after toldStatus
	r = run(t, longEnough, bipfs, "upgrade", "--json", "--control", control)
	if err := json.Unmarshal([]byte(r.out), &after); err != nil || after.PID == status.PID || after.KeeperPID != status.KeeperPID || !strings.HasSuffix(after.HTTPURL, token) {
		t.Errorf("after an upgrade: %v, %+v", r, after)
	}
}

// TestSeveralMounts: two mounts of one user are told apart by a path, by --mount, and
// by nothing else; a busy one goes by unmount --lazy alone.
func TestSeveralMounts(t *testing.T) {
	t.Parallel()
	control := filepath.Join(tempDir(t), "control")
	to := torrentOf(t, file(t, "several.bin", 100_000), 32<<10)
	one := mountBipfs(t, mounting{flags: []string{"--control", control}})
	two := mountBipfs(t, mounting{flags: []string{"--control", control, "--peer", engineSeeder(t, to)}, sources: []string{to.file}})
	ask := func(args ...string) result {
		return try(longEnough, append([]string{bipfs, args[0], "--control", control}, args[1:]...)...)
	}
	if r := ask("ls"); r.code != 1 || !strings.Contains(r.err, "--mount PATH") || !strings.Contains(r.err, one.dir) || !strings.Contains(r.err, two.dir) {
		t.Errorf("of two: %v", r)
	}
	if r := ask("ls", "--mount", one.dir); r.code != 0 || strings.Contains(r.out, to.Info.Name) {
		t.Errorf("the first: %v", r)
	}
	if r := ask("ls", "--mount", to.shown(two)); r.code != 0 || !strings.Contains(r.out, to.Info.Name) {
		t.Errorf("the second: %v", r)
	}
	if r := ask("status", to.shown(two)); r.code != 0 || !strings.Contains(r.out, to.hash()) {
		t.Errorf("by a path: %v", r)
	}
	if r := ask("events", "--mount", two.dir, "--json"); r.code != 0 || strings.Count(r.out, "\n") < 1 {
		t.Errorf("events: %v", r)
	}
	since := ask("events", "--mount", two.dir, "--since", "1").out
	if all := ask("events", "--mount", two.dir).out; all == since || !strings.HasSuffix(all, since) {
		t.Errorf("all events are %q, those since the first %q", all, since)
	}
	one.stop(5 * time.Second)

	busy := exec.Command("sh", "-c", "echo here; exec sleep 1000")
	busy.Dir = two.dir
	p := startCommand(t, "busy", busy)
	p.prints("here", longEnough)
	if r := try(longEnough, bipfs, "unmount", two.dir); r.code != 1 || !isMounted(two.dir) {
		t.Errorf("a busy mount: %v", r)
	}
	run(t, longEnough, bipfs, "unmount", "--lazy", two.dir)
	if isMounted(two.dir) {
		t.Error("it is still mounted")
	}
	p.signal(syscall.SIGTERM)
	p.exits(longEnough)
	if code := two.exits(longEnough); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestJSON: --json prints one object for each thing that is named, with what
// docs/COMMANDS.md says.
func TestJSON(t *testing.T) {
	t.Parallel()
	to := torrentOf(t, file(t, "json.bin", 300_000), 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, to), "--seed-ratio", "0")
	for _, c := range []struct{ args, fields string }{
		{"add " + to.file, "added failed"},
		{"ls", "torrents"},
		{"status", "api version pid mountpoint data"},
		{"status " + to.hash(), "torrent kind length here"},
		{"status " + to.shown(m), "torrent path kind length here pinned"},
		{"peers " + to.hash(), "infohash peers"},
		{"why " + to.shown(m), "infohash path state reads waits"},
		{"stop " + to.hash(), "infohash state"},
		{"start " + to.hash(), "infohash state"},
		{"pause " + to.hash(), "infohash paused"},
		{"resume " + to.hash(), "infohash paused"},
		{"pin " + to.shown(m), "torrent pinned"},
		{"unpin " + to.shown(m), "torrent pinned"},
		{"fetch " + to.shown(m), "torrent path length here"},
		{"limit --down 5MB/s", "down_limit up_limit background_limit"},
		{"limit " + to.hash() + " --up 1MB/s", "infohash up_limit"},
		{"verify " + to.hash(), "pieces here damaged found"},
		{"events", "seq time event"},
		{"rm " + to.hash(), "infohash data_deleted"},
		{"doctor", "ok findings"},
	} {
		args := strings.Fields(c.args)
		r := command(append(args, "--json")...)
		var object map[string]any
		if err := json.NewDecoder(strings.NewReader(r.out)).Decode(&object); err != nil || r.code != 0 && args[0] != "doctor" {
			t.Errorf("%v: %v", r, err)
			continue
		}
		for _, field := range strings.Fields(c.fields) {
			if _, ok := object[field]; !ok {
				t.Errorf("bipfs %s --json has no %s: %s", args[0], field, r.out)
			}
		}
	}
	if r := command("top", "--json"); r.code != 2 {
		t.Errorf("top --json: %v", r)
	}
	desktop := tempDir(t)
	run(t, longEnough, "ln", "-s", "/bin/true", filepath.Join(desktop, "xdg-open"))
	var opened struct {
		Torrent struct{ Infohash string }
		Opened  string
	}
	r := run(t, longEnough, "env", "PATH="+desktop+":"+os.Getenv("PATH"), bipfs, "open", "--json", "--control", m.control(), to.file)
	if err := json.Unmarshal([]byte(r.out), &opened); err != nil || opened.Torrent.Infohash != to.hash() || opened.Opened != m.path(to.Info.Name) {
		t.Errorf("open: %v", r)
	}
	m.stop(5 * time.Second)
}

// TestDemoStays: without --once the demonstration stays mounted where it was told to,
// and names the link by which others get its film, until Ctrl-C.
func TestDemoStays(t *testing.T) {
	once(t)
	t.Parallel()
	needFuse(t)
	need(t, "ffprobe")
	dir := tempDir(t)
	p := start(t, "demo", "env", "HOME="+tempDir(t), "TMPDIR="+tempDir(t), bipfs, "demo", "--log-level", "info", dir)
	t.Cleanup((&mount{process: p, dir: dir}).unmountDead)
	p.prints("until you press Ctrl-C", longEnough)
	film := filepath.Join(dir, "sample", "film.y4m")
	if r := run(t, longEnough, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", film); !strings.HasPrefix(r.out, strconv.Itoa(demoSeconds)) {
		t.Errorf("the film lasts %s", r.out)
	}
	_, link, _ := strings.Cut(p.printed(), "magnet:")
	link, _, _ = strings.Cut(link, "'")
	mine := mountBipfs(t, mounting{sources: []string{"magnet:" + link}})
	eventually(t, longEnough, "another mount has the film", func() bool {
		return try(longEnough, "cmp", filepath.Join(mine.dir, "sample", "film.y4m"), film).code == 0
	})
	mine.stop(5 * time.Second)
	p.signal(syscall.SIGINT)
	if code := p.exits(longEnough); code != 0 || isMounted(dir) {
		t.Errorf("exit code %d", code)
	}
}

// demoSeconds is how long the film of the demonstration is.
const demoSeconds = 30

// TestPlaces: where an ordinary user's control socket lies, and the configuration of the
// machine.
func TestPlaces(t *testing.T) {
	t.Parallel()
	a := ordinary(t, "nobody")
	need(t, "unshare")
	runtime, home := a.owns(t), a.owns(t)
	env := append(a.prefix(), "XDG_RUNTIME_DIR="+runtime, "HOME="+home)
	p := start(t, "bipfs", append(env, bipfs, "serve", "--http", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--no-dht")...)
	pageOf(t, p)
	sockets, _ := filepath.Glob(filepath.Join(runtime, "bipfs", "*.sock"))
	if len(sockets) != 1 {
		t.Fatalf("sockets: %v", sockets)
	}
	if got := run(t, longEnough, "stat", "-c", "%a %u", filepath.Dir(sockets[0]), sockets[0]).out; got != "700 "+a.uid+"\n600 "+a.uid+"\n" {
		t.Errorf("the socket and its folder are %q", got)
	}
	if r := run(t, longEnough, append(env, bipfs, "status")...); !strings.Contains(r.out, filepath.Join(home, ".local/share/bipfs")) {
		t.Errorf("status: %v", r)
	}
	p.signal(syscall.SIGTERM)
	p.exits(longEnough)

	r := run(t, longEnough, "unshare", "--mount", "sh", "-euc", `mount -t tmpfs tmpfs /run; mkdir /run/upper /run/work
		mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
		mkdir -p /etc/bipfs; echo 'disk = "7GiB"' >/etc/bipfs/config.toml; HOME=/nonexistent "$1" config show`, "sh", bipfs)
	if !strings.Contains(r.out, "/etc/bipfs/config.toml, line 1") {
		t.Errorf("the configuration of the machine is not read: %v", r)
	}
}

// TestUnread: a command whose output nobody reads to the end says nothing of it.
func TestUnread(t *testing.T) {
	t.Parallel()
	need(t, "bash")
	r := run(t, longEnough, "bash", "-c", `"$1" man | true; echo "${PIPESTATUS[0]}"`, "bash", bipfs)
	if r.err != "" || r.out != "141\n" && r.out != "0\n" { // it may be read at once
		t.Errorf("%v", r)
	}
	if r := try(longEnough, "bash", "-c", `"$1" man >/dev/full`, "bash", bipfs); r.code != 1 || !strings.Contains(r.err, "no space") {
		t.Errorf("a full disk: %v", r)
	}
}
