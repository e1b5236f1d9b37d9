package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A disk is a small filesystem of its own on a loop device.
type disk struct {
	t      testing.TB
	dir    string
	device string // MAJOR:MINOR
}

// loopDisk makes a filesystem of size bytes; with sync each write waits for the
// device, as on a disk whose cache is full.
func loopDisk(t testing.TB, size int64, sync bool) *disk {
	t.Helper()
	needRoot(t)
	need(t, "mkfs.ext4", "fsfreeze")
	image := filepath.Join(tempDir(t), "image")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(size)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	run(t, 20*time.Second, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	d := &disk{t: t, dir: tempDir(t)}
	options := "loop"
	if sync {
		options += ",sync"
	}
	if r := try(10*time.Second, "mount", "-o", options, image, d.dir); r.code != 0 {
		t.Skipf("no loop filesystems here: %v", r)
	}
	t.Cleanup(func() { run(t, 20*time.Second, "umount", d.dir) })
	d.device = strings.TrimSpace(run(t, 5*time.Second, "mountpoint", "-d", d.dir).out)
	return d
}

// freeze stops all writes to the disk until thaw, which the end of the test
// calls at the latest.
func (d *disk) freeze() (thaw func()) {
	d.t.Helper()
	run(d.t, 20*time.Second, "fsfreeze", "-f", d.dir)
	var thawed atomic.Bool
	thaw = func() {
		if !thawed.Swap(true) {
			run(d.t, 20*time.Second, "fsfreeze", "-u", d.dir)
		}
	}
	d.t.Cleanup(thaw)
	return thaw
}

// A cgroup bounds the processes in it.
type cgroup struct {
	t   testing.TB
	dir string
	v2  bool
}

// newCgroup makes a cgroup with a controller, in version 2 or 1, whichever has
// it on this machine.
func newCgroup(t testing.TB, controller, controllerV1 string) *cgroup {
	t.Helper()
	needRoot(t)
	c := &cgroup{t: t, v2: true}
	root := "/sys/fs/cgroup"
	if b, err := os.ReadFile(root + "/cgroup.controllers"); err != nil || !strings.Contains(string(b), controller) {
		root, c.v2 = filepath.Join(root, controllerV1), false
	} else if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+"+controller), 0); err != nil {
		t.Skipf("the cgroup controller %s cannot be given to a child here: %v", controller, err)
	}
	c.dir = filepath.Join(root, fmt.Sprintf("bipfs-%d", os.Getpid()))
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Skipf("no writable cgroup with the controller %s here: %v", controller, err)
	}
	t.Cleanup(func() {
		eventually(t, 5*time.Second, "the cgroup can be removed", func() bool { return os.Remove(c.dir) == nil })
	})
	return c
}

func (c *cgroup) set(v1, v2, value string) {
	c.t.Helper()
	name := v1
	if c.v2 {
		name = v2
	}
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(value), 0); err != nil {
		c.t.Skipf("the cgroup takes no %s: %v", name, err)
	}
}

// prefix starts a program inside the cgroup.
func (c *cgroup) prefix() []string {
	return []string{"sh", "-ec", `echo $$ > "$0/cgroup.procs"; exec "$@"`, c.dir}
}

// killed is how many processes of the cgroup were killed for lack of memory.
func (c *cgroup) killed() int {
	c.t.Helper()
	name := "memory.oom_control"
	if c.v2 {
		name = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var n int
		if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
			return n
		}
	}
	c.t.Fatalf("%s counts no kills", name)
	return 0
}

// A namespace is a network of its own: a loopback device with addresses like
// those of the world, and a device that leads nowhere and counts packets.
type namespace struct {
	t    testing.TB
	name string
}

var namespaces atomic.Int64

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	needRoot(t)
	need(t, "ip", "nsenter")
	n := &namespace{t, fmt.Sprintf("bipfs-%d-%d", os.Getpid(), namespaces.Add(1))}
	if r := try(10*time.Second, "ip", "netns", "add", n.name); r.code != 0 {
		t.Skipf("no network namespaces here: %v", r)
	}
	t.Cleanup(func() { run(t, 10*time.Second, "ip", "netns", "delete", n.name) })
	n.ip("link", "set", "lo", "up")
	return n
}

func (n *namespace) ip(args ...string) {
	n.t.Helper()
	run(n.t, 10*time.Second, append([]string{"ip", "-n", n.name}, args...)...)
}

// prefix starts a program in the namespace. Unlike `ip netns exec` it leaves
// the mounts where all see them.
func (n *namespace) prefix() []string {
	return []string{"nsenter", "--net=/run/netns/" + n.name}
}

// nowhere adds a default route over a device that nobody listens on: whatever
// the program sends to the world is counted there.
func (n *namespace) nowhere() {
	n.t.Helper()
	// IPv6 would announce itself.
	run(n.t, 5*time.Second, append(n.prefix(), "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")...)
	n.ip("link", "add", "out", "type", "veth", "peer", "name", "in")
	n.ip("link", "set", "in", "up")
	n.ip("address", "add", "203.0.113.1/24", "dev", "out")
	n.ip("link", "set", "out", "up")
	n.ip("route", "add", "default", "via", "203.0.113.2", "dev", "out")
}

// packets is how many packets were sent in the namespace, to this machine and to
// nowhere.
func (n *namespace) packets() int64 { return n.sentBy("lo") + n.sentBy("out") }

// sentBy is how many packets a device has sent; 0 if it is gone.
func (n *namespace) sentBy(name string) (sent int64) {
	n.t.Helper()
	out := run(n.t, 5*time.Second, append(n.prefix(), "cat", "/proc/net/dev")...).out
	for line := range strings.Lines(out) {
		device, counters, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(device) == name {
			_, _ = fmt.Sscan(strings.Fields(counters)[9], &sent)
		}
	}
	return sent
}
