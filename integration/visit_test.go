package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestOnDemand: MOUNTPOINT/INFOHASH of a torrent that nobody has added is listed and
// read, by its directory or by a path into it, is not listed in the root, and is not
// there after a restart unless it was pinned.
func TestOnDemand(t *testing.T) {
	t.Parallel()
	c := torrentOf(t, file(t, "on demand.bin", 700_000), 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, c), "--seed-ratio", "0", "--http", "127.0.0.1:0")
	visited := m.path(strings.ToUpper(c.hash()))
	within := filepath.Join(visited, filepath.Base(c.shown(m)))
	same(t, within, c.content)
	if got := run(t, 10*time.Second, "ls", m.path(c.hash())).out; strings.TrimSpace(got) != filepath.Base(within) {
		t.Errorf("it lists %q", got)
	}
	if got := run(t, 10*time.Second, "ls", m.dir).out; got != "" {
		t.Errorf("the root lists %q", got)
	}
	if got := run(t, 10*time.Second, "stat", "-c", "%A", visited).out; got != "dr-x------\n" {
		t.Errorf("its mode is %q", got)
	}
	if r := command("ls"); strings.Contains(r.out, c.hash()[:12]) {
		t.Errorf("bipfs ls lists it: %v", r)
	}
	var status toldStatus
	if err := json.Unmarshal([]byte(command("status", "--json").out), &status); err != nil {
		t.Fatal(err)
	}
	if page := run(t, 10*time.Second, "curl", "-sSfL", "-c", "/dev/null", status.HTTPURL).out; !strings.Contains(page, "bipfs") || strings.Contains(page, c.hash()) {
		t.Errorf("the page lists it: %s", page)
	}
	for _, line := range []string{`mkdir "$1/x"`, `rmdir "$1"`, `: >"$2"`} {
		if r := try(5*time.Second, "sh", "-c", line, "sh", visited, within); r.code == 0 || !strings.Contains(r.err, "Read-only") {
			t.Errorf("%s: %v", line, r)
		}
	}
	if r := command("pin", m.path(c.hash())); r.code != 0 {
		t.Fatal(r)
	}
	eventually(t, 10*time.Second, "the root lists what was pinned", func() bool {
		return strings.TrimSpace(run(t, 10*time.Second, "ls", m.dir).out) == c.Info.Name
	})
	same(t, c.shown(m), c.content)
	same(t, filepath.Join(visited, filepath.Base(within)), c.content)
	m.stop(5 * time.Second)
	m = mountBipfs(t, mounting{data: m.data})
	if got := run(t, 10*time.Second, "ls", m.dir).out; strings.TrimSpace(got) != c.Info.Name {
		t.Errorf("after a restart the root lists %q", got)
	}
}

// TestOnDemandForgotten: what was not pinned is not there after a restart, and nothing
// of it is left.
func TestOnDemandForgotten(t *testing.T) {
	t.Parallel()
	c := torrentOf(t, file(t, "on demand, once.bin", 100_000), 32<<10)
	m := mountBipfs(t, mounting{flags: []string{"--peer", engineSeeder(t, c)}})
	same(t, m.path(c.hash(), filepath.Base(c.shown(m))), c.content)
	m.stop(5 * time.Second)
	if left, err := os.ReadDir(filepath.Join(m.data, "torrents")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestOnDemandWaits: who opens an infohash that nobody has waits for the read timeout,
// and can be killed; who only looks does not wait, nor does a prompt that looks for its
// own.
func TestOnDemandWaits(t *testing.T) {
	t.Parallel()
	dead := strings.Repeat("d", 40)
	m := mountBipfs(t, mounting{flags: []string{"--read-timeout", "1s"}})
	for _, argv := range [][]string{{"ls", m.path(dead)}, {"cat", m.path(dead, "file")}} {
		if r := try(20*time.Second, argv...); r.code == 0 || !strings.Contains(r.err, "timed out") {
			t.Errorf("%v", r)
		}
	}
	m.stop(5 * time.Second)
	m = mountBipfs(t, mounting{flags: []string{"--read-timeout", "0"}})
	for _, argv := range [][]string{{"ls", m.path(dead)}, {"cat", m.path(dead, "file")}} {
		p := start(t, argv[0], argv...)
		for _, quick := range [][]string{{"stat", m.path(dead)}, {"ls", m.dir}, {"sh", "-c", `cd "$1" && ! test -e .git`, "sh", m.path(dead)}} {
			run(t, 5*time.Second, quick...)
		}
		if !p.runs() {
			t.Errorf("%v did not wait", argv)
		}
		p.signal(syscall.SIGKILL)
		p.exits(5 * time.Second)
	}
	m.stop(5 * time.Second)
}

// TestOnDemandLookups: 10,000 infohashes that are looked up send nothing and take no
// memory.
func TestOnDemandLookups(t *testing.T) {
	t.Parallel()
	need(t, "python3", "xargs")
	// Whoever joins a swarm comes here.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var met atomic.Int64
	var meeting sync.WaitGroup
	meeting.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			met.Add(1)
			conn.Close()
		}
	})
	defer meeting.Wait()
	defer ln.Close()
	control := filepath.Join(tempDir(t), "control")
	m := mountBipfs(t, mounting{flags: []string{"--control", control, "--peer", ln.Addr().String(), "--no-utp", "--read-timeout", "0"}})
	look := func(from, to int) {
		run(t, 60*time.Second, "python3", "-c", `
import os, sys
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    os.stat("%s/%040x" % (sys.argv[1], i * 0x9e3779b97f4a7c15))
`, m.dir, fmt.Sprint(from), fmt.Sprint(to))
	}
	look(0, 2000)
	before, sockets := m.status("VmRSS"), openFiles(m.pid())
	look(2000, 12_000)
	if grown := m.status("VmRSS") - before; grown > 16<<20 {
		t.Errorf("10,000 lookups took %d KiB", grown>>10)
	}
	if now := openFiles(m.pid()); now > sockets+2 {
		t.Errorf("%d open files, before %d", now, sockets)
	}
	r := try(20*time.Second, bipfs, "status", "--control", control, "--json")
	if !strings.Contains(r.out, `"torrents": 0`) {
		t.Errorf("%v", r)
	}
	if left, err := os.ReadDir(filepath.Join(m.data, "torrents")); err != nil || len(left) > 0 {
		t.Errorf("stored are %v, %v", left, err)
	}
	if n := met.Load(); n > 0 {
		t.Errorf("%d connections", n)
	}
	p := start(t, "ls", "ls", m.path(strings.Repeat("f", 40)))
	eventually(t, 20*time.Second, "one that is opened is in its swarm", func() bool { return met.Load() > 0 })
	p.kill()
}

// TestOnDemandWho: others than the owner open nothing, unless all may; off is off.
func TestOnDemandWho(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "setpriv")
	as := func(m *mount, argv ...string) result {
		return try(10*time.Second, append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, argv...)...)
	}
	hash := strings.Repeat("e", 40)
	for who, c := range map[string]struct{ others, owner int }{"owner": {1, 0}, "all": {0, 0}, "off": {1, 1}} {
		m := mountBipfs(t, mounting{flags: []string{"--on-demand", who, "-o", "allow_other"}})
		if r := as(m, "stat", m.path(hash)); r.code != c.others {
			t.Errorf("%s: others: %v", who, r)
		}
		if r := try(10*time.Second, "stat", m.path(hash)); r.code != c.owner {
			t.Errorf("%s: the owner: %v", who, r)
		}
		if r := as(m, "ls", m.path(".bipfs")); r.code == 0 || !strings.Contains(r.err, "Permission denied") {
			t.Errorf("%s: others in .bipfs: %v", who, r)
		}
		m.stop(5 * time.Second)
	}
}

// TestOnDemandKept: who reads a file of a torrent that nobody has added goes on when who
// serves the mount is killed, or exchanged; nothing of it is left at the end.
func TestOnDemandKept(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c := torrentOf(t, file(t, "on demand, kept.bin", 8<<20), 64<<10)
	k := mountKept(t, mounting{flags: []string{"--peer", engineSeeder(t, c), "--down", "4MB"}})
	within := k.path(c.hash(), filepath.Base(c.shown(k.mount)))
	h := hold(t, within)
	reader := start(t, "cmp", "cmp", within, c.content)
	eventually(t, longEnough, "nothing is read", func() bool { return stored(k.data) > 1<<20 || !reader.runs() })
	before := k.killed(t, k.asked(t))
	h.read(t, c, 7<<20)
	k.install(t)
	run(t, longEnough, k.program, "upgrade", "--control", k.control())
	k.follows(t, before)
	h.read(t, c, 1<<20)
	if code := reader.exits(readPatience); code != 0 {
		t.Errorf("cmp: exit code %d: %s", code, reader.printed())
	}
	if got := run(t, longEnough, "ls", k.dir).out; got != "" {
		t.Errorf("the root lists %q", got)
	}
	h.in.Close()
	h.exits(longEnough)
	eventually(t, longEnough, "it is not unmounted", func() bool { return try(longEnough, "umount", k.dir).code == 0 })
	eventually(t, longEnough, "something is left of it", func() bool {
		left, err := os.ReadDir(filepath.Join(k.data, "torrents"))
		return err == nil && len(left) == 0
	})
}
