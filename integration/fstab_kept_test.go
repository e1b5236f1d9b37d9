package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// keptLine mounts a fstab's line of a user; of its torrent 4 MiB come in a second.
func keptLine(t *testing.T) (n *fstabSpace, to *torrent, dir, data string) {
	t.Helper()
	nobody := ordinary(t, "nobody")
	to = torrentOf(t, file(t, t.Name()+".bin", 8<<20), 64<<10)
	peer := scripted(t, manner{rate: 4 << 20}, to)
	dir, data = tempDir(t), filepath.Join(nobody.owns(t), "data")
	n = withFstab(t, fmt.Sprintf("%s %s bipfs setuid=nobody,allow_other,data=%s,peer=%s,no-dht,no-port-map,listen=127.0.0.1:0,log-level=info 0 0",
		to.file, dir, data, peer.addr))
	t.Cleanup(func() {
		n.in("umount", "-l", dir)
		n.ended(data)
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(data, "log"))
			t.Logf("--- the log:\n%s", tail(string(b), 16<<10))
		}
	})
	n.does("mount", "-a", "-T", n.fstab)
	return n, to, dir, data
}

// reads starts a program that reads a path of the mount, in its namespace.
func (n *fstabSpace) reads(name string, argv ...string) *process {
	return start(n.t, name, append([]string{"nsenter", "--mount", "--target", fmt.Sprint(n.pid()), "--"}, argv...)...)
}

// TestFstabKept: who serves a mount of fstab is killed while a file is read, and another
// takes its place: the reader sees nothing of it. So it is exchanged. umount by root ends that one and the
// keeper, and nothing comes back.
func TestFstabKept(t *testing.T) {
	t.Parallel()
	n, to, dir, data := keptLine(t)
	path := filepath.Join(dir, to.Info.Name, to.Info.Name)
	reader := n.reads("cmp", "cmp", path, to.content)
	eventually(t, longEnough, "nothing is read", func() bool { return stored(data) > 1<<20 || !reader.runs() })
	before, keeper := daemons(t, data), keepers(t, data)
	if len(before) != 1 || len(keeper) != 1 {
		t.Fatalf("the daemons are %v, their keepers %v", before, keeper)
	}
	run(t, longEnough, "kill", "-KILL", before[0])
	if code := reader.exits(readPatience); code != 0 {
		t.Errorf("cmp: exit code %d: %s", code, reader.printed())
	}
	after := daemons(t, data)
	if now := keepers(t, data); len(after) != 1 || after[0] == before[0] || len(now) != 1 || now[0] != keeper[0] {
		t.Fatalf("the daemons are %v, before %v; their keepers %v, before %v", after, before, now, keeper)
	}
	bounded(t, ordinary(t, "nobody"), after[0])
	n.does(bipfs, "upgrade", "--mount", dir) // by root: the mount says where its socket is
	eventually(t, longEnough, "nobody follows", func() bool {
		now := daemons(t, data)
		return len(now) == 1 && now[0] != after[0] && n.in("cmp", path, to.content).code == 0
	})
	n.unmounts(dir)
	n.ended(data)
	if r := n.in("findmnt", "-n", dir); r.code == 0 {
		t.Errorf("it is mounted: %v", r)
	}
}

// TestFstabTold: SIGTERM to either process ends both. They cannot unmount: who reads gets
// an error at once, and the log says in one line what has become of the mount.
func TestFstabTold(t *testing.T) {
	t.Parallel()
	n, to, dir, data := keptLine(t)
	path := filepath.Join(dir, to.Info.Name, to.Info.Name)
	for round, whom := range []func(*testing.T, string) []string{daemons, keepers} {
		reader := n.reads("cmp", "cmp", path, to.content)
		eventually(t, longEnough, "nothing is read", func() bool { return stored(data) > 1<<20 || !reader.runs() })
		pids := whom(t, data)
		if len(pids) != 1 {
			t.Fatalf("round %d: the processes are %v", round, pids)
		}
		run(t, longEnough, "kill", "-TERM", pids[0])
		if code := reader.exits(longEnough); code == 0 {
			t.Logf("round %d: it was read to the end before", round)
		}
		n.ended(data)
		if r := n.in("stat", path); r.code == 0 || !strings.Contains(strings.ToLower(r.err), syscall.ENOTCONN.Error()) {
			t.Errorf("round %d: a dead mount: %v", round, r)
		}
		b, err := os.ReadFile(filepath.Join(data, "log"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(b), "the mount stays, and is dead") != round+1 || strings.Contains(string(b), "level=ERROR") {
			t.Errorf("round %d: its log:\n%s", round, b)
		}
		n.does("mount", "-T", n.fstab, dir)
	}
}
