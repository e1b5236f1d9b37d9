package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A fstab of its own is mounted in a mount namespace of its own, in which /sbin has
// mount.bipfs. Both go with the shell that waits there.
type fstabSpace struct {
	*process
	t     testing.TB
	fstab string
}

// withFstab makes the namespace; lines are of its fstab.
func withFstab(t *testing.T, lines ...string) *fstabSpace {
	t.Helper()
	needFuse(t)
	needRoot(t)
	need(t, "unshare", "nsenter", "mount", "umount")
	dir := tempDir(t)
	n := &fstabSpace{t: t, fstab: filepath.Join(dir, "fstab")}
	if err := os.WriteFile(n.fstab, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A tmpfs over /sbin would hide mount itself: an overlay adds to it.
	for _, name := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(bipfs, filepath.Join(dir, "upper", "mount.bipfs")); err != nil {
		t.Fatal(err)
	}
	n.process = startCommand(t, "namespace", exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-euc",
		`mount -t tmpfs tmpfs "$1/work"; mkdir "$1/work/upper" "$1/work/work"; cp -P "$1/upper/mount.bipfs" "$1/work/upper"
		mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$1/work/upper,workdir=$1/work/work" overlay /usr/sbin
		echo ready; exec sleep 1000`, "sh", dir))
	n.prints("ready", longEnough)
	return n
}

// in runs a program in the namespace.
func (n *fstabSpace) in(argv ...string) result {
	return try(longEnough, append([]string{"nsenter", "--mount", "--target", strconv.Itoa(n.pid()), "--"}, argv...)...)
}

// does is in for what has to succeed.
func (n *fstabSpace) does(argv ...string) result {
	n.t.Helper()
	r := n.in(argv...)
	if r.code != 0 {
		n.t.Fatalf("failed: %v", r)
	}
	return r
}

// daemons are the processes that serve a mount with this data folder; keepers those that
// keep it.
func daemons(t *testing.T, data string) (pids []string) { return called(t, "bipfs", data) }
func keepers(t *testing.T, data string) (pids []string) { return called(t, "bipfs-keeper", data) }

func called(t *testing.T, name, data string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		b, _ := os.ReadFile(path)
		if args := string(b); strings.HasPrefix(args, name+"\x00mount\x00") && strings.Contains(args, "--data="+data+"\x00") {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// TestFstab: mount -a returns when the mount answers; the daemon is of the user that
// the line names, and can do nothing that this user cannot. A second mount -a has
// nothing to do. umount ends the daemon and its keeper. Both killed leave a mount that
// the next one cleans away.
func TestFstab(t *testing.T) {
	t.Parallel()
	nobody := ordinary(t, "nobody")
	to := torrentOf(t, file(t, "fstab.bin", 3_000_000), 32<<10)
	peer := scripted(t, manner{}, to)
	dir, data := tempDir(t), filepath.Join(nobody.owns(t), "data")
	n := withFstab(t, fmt.Sprintf("%s %s bipfs rw,setuid=nobody,allow_other,data=%s,peer=%s,no-dht,no-port-map,listen=127.0.0.1:0,_netdev,nofail,x-systemd.automount,log-level=info 0 0",
		to.file, dir, data, peer.addr))
	t.Cleanup(func() {
		for range 3 { // a dead one may lie below
			n.in("umount", "-l", dir)
		}
		n.ended(data)
	})
	cmp := func() {
		t.Helper()
		n.does("timeout", "60", "cmp", filepath.Join(dir, to.Info.Name, to.Info.Name), to.content)
	}
	n.does("sh", "-c", `exec 9</etc/shadow; exec mount -a -T "$1"`, "sh", n.fstab)
	if r := n.does("findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", dir); !strings.HasPrefix(r.out, "fuse.bipfs "+to.file) ||
		!strings.Contains(r.out, "nosuid,nodev") || !strings.Contains(r.out, "user_id="+nobody.uid+",group_id="+nobody.gid) {
		t.Errorf("mounted is %s", r.out)
	}
	cmp()
	pids, keeper := daemons(t, data), keepers(t, data)
	if len(pids) != 1 || len(keeper) != 1 {
		t.Fatalf("the daemons are %v, their keepers %v", pids, keeper)
	}
	bounded(t, nobody, pids[0])
	bounded(t, nobody, keeper[0])
	if sid := strings.Fields(run(t, longEnough, "ps", "-o", "sid=", "-p", pids[0]).out); len(sid) != 1 || sid[0] != keeper[0] {
		t.Errorf("its session is %v", sid)
	}
	n.does("mount", "-a", "-T", n.fstab)
	if again := daemons(t, data); len(again) != 1 || again[0] != pids[0] {
		t.Errorf("after a second mount -a the daemons are %v, before %v", again, pids)
	}
	n.unmounts(dir)
	n.ended(data)
	if b, err := os.ReadFile(filepath.Join(data, "log")); err != nil || !strings.Contains(string(b), "unmounted from outside") {
		t.Errorf("its log: %v\n%s", err, b)
	}

	n.does("mount", "-T", n.fstab, dir)
	pids, keeper = daemons(t, data), keepers(t, data)
	if len(pids) != 1 || len(keeper) != 1 {
		t.Fatalf("the daemons are %v, their keepers %v", pids, keeper)
	}
	run(t, longEnough, "kill", "-KILL", keeper[0], pids[0])
	n.ended(data)
	if r := n.in("stat", filepath.Join(dir, to.Info.Name)); r.code == 0 {
		t.Errorf("a dead mount answers: %v", r)
	}
	n.does("mount", "-T", n.fstab, dir)
	cmp()
}

// unmounts unmounts, when what has just happened has been shown: who shows it by
// inotify has a file open.
func (n *fstabSpace) unmounts(dir string) {
	n.t.Helper()
	eventually(n.t, longEnough, "it is not unmounted", func() bool { return n.in("umount", dir).code == 0 })
}

// ended waits until nobody serves or keeps the mount.
func (n *fstabSpace) ended(data string) {
	n.t.Helper()
	eventually(n.t, longEnough, "the daemon and its keeper end", func() bool {
		return len(daemons(n.t.(*testing.T), data)) == 0 && len(keepers(n.t.(*testing.T), data)) == 0
	})
}

// bounded checks that a process is of a user and can do nothing that others of this
// user cannot, and has nothing open that it was not given.
func bounded(t *testing.T, of account, pid string) {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1",
		fmt.Sprintf("Uid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", of.uid), fmt.Sprintf("Gid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", of.gid)} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if r := run(t, longEnough, "ls", "-l", "/proc/"+pid+"/fd"); strings.Contains(r.out, "shadow") || !strings.Contains(r.out, "0 -> /dev/null\n") {
		t.Errorf("open are:\n%s", r.out)
	}
}

// TestMountExits: the exit codes of mount(8), and what a person reads.
func TestMountExits(t *testing.T) {
	t.Parallel()
	dir, free := tempDir(t), filepath.Join(tempDir(t), "data")
	full := tempDir(t)
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(tempDir(t), "mount.bipfs")
	if err := os.Symlink(bipfs, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, "SPEC DIR", []string{dir}},
		{1, "colour", []string{"bipfs", dir, "-o", "colour=red"}},
		{0, "", []string{"bipfs", dir, "-f", "-s", "-o", "colour=red"}},
		{1, "much", []string{"bipfs", dir, "-o", "disk=much"}},
		{32, "does not exist", []string{"bipfs", dir + "/none", "-o", "data=" + free}},
		{32, "not empty", []string{"bipfs", full, "-o", "data=" + free}},
		{32, "no such file", []string{"/nonexistent.torrent", dir, "-o", "data=" + free}},
	} {
		if c.code == 32 {
			needFuse(t)
		}
		r := try(longEnough, append([]string{link}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.err, c.says) {
			t.Errorf("not exit %d and %q: %v", c.code, c.says, r)
		}
	}
	if isMounted(dir) {
		t.Errorf("%s is mounted", dir)
		try(5*time.Second, "umount", "-l", dir)
	}
}
