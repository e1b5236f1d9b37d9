package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// booted is a machine whose first process is systemd, in namespaces of its own, over
// this machine's files: what it writes is gone with it. It has what make install
// installs, a torrent, its content, and a configuration by which the peers are found.
// Its network is this machine's.
type booted struct{ *process }

// boot is what becomes systemd: $1 is a folder for its files, $2 its cgroup.
const boot = `echo 0 >"$2/cgroup.procs"
mount --make-rprivate /
mount -t tmpfs tmpfs "$1/machine"; cd "$1/machine"; mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root; cd root
cp -a "$1/added/." .
mount -t proc proc proc
mount -o bind,ro proc/sys proc/sys # this kernel's settings are not for it to change
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev; mkdir dev/pts dev/shm
for node in null zero full random urandom tty autofs; do touch "dev/$node"; mount --bind "/dev/$node" "dev/$node"; done
mknod -m 666 dev/fuse c 10 229 # as udev leaves it
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mkdir old; pivot_root . old; umount -l /old; rmdir /old
for unit in sysctl modules-load udevd; do ln -sf /dev/null "/etc/systemd/system/systemd-$unit.service"; done
exec unshare --cgroup sh -euc 'mount -t cgroup2 cgroup2 /sys/fs/cgroup
	exec env -i container=bipfs PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target'`

// bootMachine boots it; more are files that it has besides, by their paths.
func bootMachine(t *testing.T, to *torrent, seeder *peer, more map[string]string) *booted {
	t.Helper()
	needRoot(t)
	needFuse(t)
	need(t, "systemctl", "unshare", "nsenter", "mount", "pivot_root", "make", "adduser", "useradd", "runuser", "bash", "cmp", "pgrep")
	for _, path := range []string{"/lib/systemd/systemd", "/dev/autofs"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip(err)
		}
	}
	dir := tempDir(t)
	added := filepath.Join(dir, "added")
	makeInstall(t, "DESTDIR="+added, "PREFIX=/usr", "UNITDIR=/usr/lib/systemd/system")
	files := map[string]string{
		"etc/fstab":             "",
		"etc/machine-id":        strings.Repeat("5", 32) + "\n",
		"etc/bipfs/config.toml": fmt.Sprintf("no-dht = true\nno-port-map = true\nlisten = [\"127.0.0.1:0\"]\npeer = [%q]\n", seeder.addr),
	}
	for path, content := range more {
		files[path] = content
	}
	for path, content := range files {
		path = filepath.Join(added, path)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, longEnough, `mkdir -p "$1/srv" "$2/machine" && cp "$3" "$1/srv/x.torrent" && cp "$4" "$1/srv/content" && chmod -R a+rX "$1/srv"`,
		added, dir, to.file, to.content)
	cmd := exec.Command("sh", "-euc", boot, "sh", dir, newCgroup2(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	b := &booted{startCommand(t, "systemd", cmd)}
	t.Cleanup(func() { // SIGTERM would have it start anew
		if t.Failed() {
			t.Logf("--- its journal:\n%s", tail(b.in("journalctl", "--no-pager").out, 16<<10))
		}
		b.kill()
	})
	eventually(t, longEnough, "the machine does not start", func() bool {
		state := b.in("systemctl", "is-system-running").out
		return state == "running\n" || state == "degraded\n" || !b.runs()
	})
	if !b.runs() {
		t.Fatal("the machine has stopped")
	}
	return b
}

// newCgroup2 makes a cgroup of version 2, without controllers.
func newCgroup2(t *testing.T) (dir string) {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			continue
		}
		dir = filepath.Join(root, fmt.Sprintf("bipfs-booted-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			eventually(t, longEnough, "the cgroup is in use", func() bool {
				// What systemd made below it goes first.
				return try(longEnough, "find", dir, "-depth", "-type", "d", "-delete").code == 0
			})
		})
		return dir
	}
	t.Skip("there are no cgroups of version 2 here")
	return ""
}

// in runs a program there, as root.
func (b *booted) in(argv ...string) result {
	return try(longEnough, append([]string{"nsenter", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--target", fmt.Sprint(b.pid()), "--",
		"env", "-i", "HOME=/root", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, argv...)...)
}

// does is in for what has to succeed.
func (b *booted) does(argv ...string) string {
	b.t.Helper()
	r := b.in(argv...)
	if r.code != 0 {
		b.t.Fatalf("failed: %v", r)
	}
	return strings.TrimSpace(r.out)
}

// sh is does for a line of shell.
func (b *booted) sh(line string) string {
	b.t.Helper()
	return b.does("sh", "-euc", line)
}

// as is does for a line of shell of a user, with the service manager of its own.
func (b *booted) as(user, line string) string {
	b.t.Helper()
	return b.does("runuser", "-u", user, "--", "sh", "-euc", `export HOME=~`+user+` XDG_RUNTIME_DIR=/run/user/$(id -u); `+line)
}

// served are the mounts of bipfs there.
func (b *booted) served() string {
	return b.in("findmnt", "-n", "-o", "TARGET", "-t", "fuse.bipfs").out
}
