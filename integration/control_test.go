package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bipfs/engine"
)

// controlled is a mount whose control socket lies in a folder of its own.
func controlled(t *testing.T, flags ...string) (m *mount, command func(args ...string) result) {
	t.Helper()
	dir := filepath.Join(tempDir(t), "control")
	m = mountBipfs(t, mounting{flags: append([]string{"--control", dir}, flags...)})
	return m, func(args ...string) result {
		return try(20*time.Second, append([]string{bipfs, args[0], "--control", dir}, args[1:]...)...)
	}
}

// control is the folder of the mount's control socket.
func (m *mount) control() string {
	for i, arg := range m.cmd.Args {
		if arg == "--control" {
			return m.cmd.Args[i+1]
		}
	}
	panic("the harness names it")
}

// engineSeeder is our own engine with all of the torrents. It returns its address.
func engineSeeder(t testing.TB, all ...*torrent) string {
	t.Helper()
	c, err := engine.Open(engine.Config{
		Dir: tempDir(t), Memory: engine.LeastMemory, Listen: []string{"127.0.0.1:0"}, NoUTP: true, NoPortMap: true,
		Version: "0", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	for _, to := range all {
		if _, right, err := c.Seed(t.Context(), to.Torrent, to.content); err != nil || right != to.Info.Pieces() {
			t.Fatalf("%d pieces are right: %v", right, err)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", c.Port())
}

// TestControl goes through a session: every command, once and more, beside a
// mount that is read.
func TestControl(t *testing.T) {
	t.Parallel()
	first := torrentOf(t, file(t, "control first.bin", 3_000_000), 32<<10)
	second := torrentOf(t, file(t, "control second.bin", 500_000), 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, first, second), "--seed-ratio", "0")
	ok := func(want string, args ...string) string {
		t.Helper()
		r := command(args...)
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Fatalf("it does not print %q: %v", want, r)
		}
		return r.out
	}
	fails := func(code int, want string, args ...string) {
		t.Helper()
		if r := command(args...); r.code != code || !strings.Contains(r.err, want) {
			t.Errorf("it does not fail with %d and %q: %v", code, want, r)
		}
	}
	ok("INFOHASH", "ls")
	ok(m.dir, "status")

	// Sources that are right stay, those that are not are named.
	fails(1, "/nonexistent.torrent", "add", first.file, "/nonexistent.torrent", "magnet:?xt=nothing")
	ok(second.hash(), "add", "--wait", "15s", "magnet:?xt=urn:btih:"+second.hash())
	out := ok(first.Info.Name, "ls")
	if !strings.Contains(out, second.Info.Name) || !strings.Contains(out, "dormant") {
		t.Errorf("ls prints %q", out)
	}
	shown := m.path(first.Info.Name)
	run(t, 10*time.Second, "ls", shown)
	same(t, first.shown(m), first.content)

	var status struct {
		PID     int
		API     int
		Version string
	}
	if err := json.Unmarshal([]byte(ok("", "status", "--json")), &status); err != nil || status.PID != m.pid() || status.API != 1 || status.Version == "" {
		t.Errorf("status --json: %+v, %v", status, err)
	}
	ok("100 %", "status", shown)
	ok("infohash", "status", first.hash()[:8])
	ok("of it here", "status", first.shown(m))
	fails(1, "there is no", "status", filepath.Join(shown, "no such file"))
	ok("127.0.0.1:", "peers", first.hash())
	ok("0 damaged", "verify", shown)
	ok("no read waits", "why", shown)
	ok(first.Info.Name, "top", "--once")
	ok("92 pieces of 32.0 KiB", "top", "--once", shown)
	fails(2, "--once", "top")

	ok("stopped", "stop", "magnet:?xt=urn:btih:"+second.hash())
	ok("dormant", "start", second.hash()[:4])
	ok("paused", "pause", second.hash())
	ok("dormant", "resume", second.hash())
	fails(1, "ffff", "stop", "ffffffffffffffffffff")

	// A removed torrent is gone at once, also for the kernel that has seen it.
	ok("removed", "rm", shown)
	if r := try(5*time.Second, "stat", shown); r.code != 1 || !strings.Contains(r.err, "No such file") {
		t.Errorf("a removed torrent: %v", r)
	}
	ok(first.hash(), "add", first.file)
	ok("100 %", "status", shown)
	ok("removed", "rm", "--delete-data", first.hash(), second.hash())
	if left, err := os.ReadDir(filepath.Join(m.data, "torrents")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	events := ok("removed", "events")
	for _, e := range []string{"added", "metadata", "file-complete", "complete", "stopped", "started", "paused", "resumed"} {
		if !strings.Contains(events, "  "+e+"  ") {
			t.Errorf("no event %s in:\n%s", e, events)
		}
	}
	m.stop(5 * time.Second)
	fails(1, "nothing is mounted", "ls")
}

// TestControlInterrupted: Ctrl-C ends a command that waits, with 130.
func TestControlInterrupted(t *testing.T) {
	t.Parallel()
	m, _ := controlled(t)
	dir := m.control()
	for _, args := range [][]string{
		{"events", "--follow"},
		{"add", "--wait", "1h", "magnet:?xt=urn:btih:" + strings.Repeat("ab", 20)},
	} {
		p := start(t, args[0], append([]string{bipfs, args[0], "--control", dir}, args[1:]...)...)
		if args[0] == "events" {
			run(t, 10*time.Second, bipfs, "add", "--control", dir, strings.Repeat("cd", 20))
			p.prints("added", 10*time.Second)
		} else {
			eventually(t, 10*time.Second, "it is not added", func() bool {
				return strings.Contains(try(10*time.Second, bipfs, "ls", "--control", dir).out, "abababababab")
			})
		}
		p.signal(syscall.SIGINT)
		if code := p.exits(10 * time.Second); code != 130 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// TestControlOpenFile: who reads a torrent that is removed gets an error at the
// next read of what is not here, and never waits.
func TestControlOpenFile(t *testing.T) {
	t.Parallel()
	c := torrentOf(t, file(t, "control-open.bin", 3_000_000), 32<<10)
	m, command := controlled(t, "--read-timeout", "0")
	if r := command("add", c.file); r.code != 0 {
		t.Fatal(r)
	}
	p := readers(t, c.shown(m), 3, 0, 100_000)
	p.prints("reading", 10*time.Second)
	eventually(t, 10*time.Second, "nobody has it open", func() bool {
		return strings.Contains(command("ls", "--json").out, `"open": 3`)
	})
	if r := command("why", c.shown(m)); r.code != 0 || !strings.Contains(r.out, "piece 0: 0 of 0 peers have it, ") || strings.Count(r.out, "piece") != 3 {
		t.Errorf("why: %v", r)
	}
	if r := command("rm", c.hash()); r.code != 0 {
		t.Fatal(r)
	}
	p.exits(10 * time.Second)
	if n := strings.Count(p.printed(), "no such device"); n != 3 {
		t.Errorf("%d of 3 reads end with ENODEV:\n%s", n, p.printed())
	}
}

// TestControlOthers: another user finds no mount, and is refused where the
// socket could be opened.
func TestControlOthers(t *testing.T) {
	t.Parallel()
	needRoot(t)
	m, _ := controlled(t)
	dir := m.control()
	ls := func() result {
		cmd := exec.Command(bipfs, "ls", "--control", dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		return result{out: string(out), err: fmt.Sprint(err), code: cmd.ProcessState.ExitCode()}
	}
	if r := ls(); r.code != 1 || !strings.Contains(r.out, "nothing is mounted") {
		t.Errorf("another user: %v", r)
	}
	sh(t, 5*time.Second, `chmod 0755 "$1"; chmod 0666 "$1"/*.sock`, dir) // by mistake
	if r := ls(); r.code != 1 || !strings.Contains(r.out, "nothing is mounted") {
		t.Errorf("another user, with an open socket: %v", r)
	}
	if r := try(10*time.Second, bipfs, "ls", "--control", dir); r.code != 0 {
		t.Errorf("root: %v", r)
	}
}
