package integration

import (
	"strings"
	"testing"
	"time"
)

// consumer is a unit that needs a mount, and reads its torrent from a mount namespace
// of its own.
func consumer(needs, path, user string) string {
	return "[Unit]\n" + needs + "\n[Service]\nType=oneshot\nUser=" + user +
		"\nProtectSystem=strict\nPrivateTmp=yes\nExecStart=cmp " + path + " /srv/content\n"
}

// slowReader reads it for four seconds, by one descriptor.
func slowReader(path, user string) string {
	return "[Service]\nType=oneshot\nRemainAfterExit=yes\nUser=" + user +
		"\nExecStart=bash -c 'set -o pipefail; for i in {1..40}; do dd bs=64K count=1 iflag=fullblock status=none; sleep 0.1; done <" + path + " | cmp - /srv/content'\n"
}

// TestUnits: the units that are installed, the automount, and a line of fstab with
// x-systemd.automount do what docs/INSTALL.md says, under systemd.
func TestUnits(t *testing.T) {
	long(t)
	t.Parallel()
	to := torrentOf(t, file(t, "units.bin", 40*64<<10), 64<<10)
	in := func(dir string) string { return dir + "/" + to.Info.Name + "/" + to.Info.Name }
	b := bootMachine(t, to, scripted(t, manner{}, to), map[string]string{
		"etc/fstab":                                         "bipfs /mnt/fstab bipfs setuid=bipfs,data=/var/lib/bipfs/fstab,allow_other,_netdev,nofail,noauto,x-systemd.automount 0 0\n",
		"etc/systemd/system/of-mount.service":               consumer("RequiresMountsFor=/srv/torrents", in("/srv/torrents"), "nobody"),
		"etc/systemd/system/of-alice.service":               consumer("After=bipfs@alice.service\nRequires=bipfs@alice.service", in("/home/alice/Torrents"), "alice"),
		"etc/systemd/system/slow.service":                   slowReader(in("/home/alice/Torrents"), "alice"),
		"etc/systemd/system/bipfs@.service.d/watchdog.conf": "[Service]\nWatchdogSec=1\n",
		"usr/local/bin/xdg-open":                            "#!/bin/sh\necho \"$1\" >>/tmp/opened\n",
	})
	b.sh(`adduser --quiet --system --group --home /var/lib/bipfs bipfs; useradd -m -s /bin/sh alice`)
	t.Run("automount", b.automount)
	t.Run("fstab", b.fstab)
	t.Run("service", b.service)
	t.Run("service of a user", func(t *testing.T) { b.userService(t, in("/home/alice/Torrents")) })
}

// automount mounts when somebody looks, for a unit that says RequiresMountsFor=, and
// again after a stop.
func (b *booted) automount(t *testing.T) {
	b.sh(`cp /usr/share/doc/bipfs/examples/srv-torrents.* /etc/systemd/system
		mkdir /srv/torrents; chmod 000 /srv/torrents
		systemctl daemon-reload; systemctl enable --now srv-torrents.automount`)
	if at := b.served(); at != "" {
		t.Fatalf("nobody has looked, and mounted is %s", at)
	}
	b.sh(`ls /srv/torrents; bipfs add /srv/x.torrent`)
	b.does("systemctl", "start", "of-mount")
	worker := b.sh(`grep -h ^CapEff: /proc/$(pgrep -ox bipfs)/status /proc/$(pgrep -x bipfs-keeper)/status | sort -u`)
	if worker != "CapEff:\t0000000000000000" {
		t.Errorf("capabilities: %q", worker)
	}
	b.sh(`kill -KILL $(pgrep -ox bipfs)`)
	b.does("systemctl", "start", "of-mount")

	b.does("systemctl", "stop", "srv-torrents.mount")
	if at, left := b.served(), b.in("pgrep", "-l", "bipfs").out; at != "" || left != "" {
		t.Errorf("stopped, mounted is %q, and there run %q", at, left)
	}
	b.does("systemctl", "start", "of-mount")
	b.does("systemctl", "stop", "srv-torrents.automount", "srv-torrents.mount")
	if at := b.served(); at != "" {
		t.Errorf("stopped, mounted is %q", at)
	}
}

// fstab is the same by a line of /etc/fstab.
func (b *booted) fstab(t *testing.T) {
	b.sh(`systemctl start mnt-fstab.automount; ls /mnt/fstab`)
	if at := b.served(); at != "/mnt/fstab\n" {
		t.Errorf("mounted is %q", at)
	}
	b.does("systemctl", "stop", "mnt-fstab.automount", "mnt-fstab.mount")
}

// service is bipfs@alice: ready when the mount answers; a reader does not see that its
// process is killed, nor that the service is restarted. A stop ends all.
func (b *booted) service(t *testing.T) {
	b.does("systemctl", "enable", "--now", "bipfs@alice")
	b.as("alice", `bipfs add /srv/x.torrent`)
	b.does("systemctl", "start", "of-alice")
	b.does("systemctl", "start", "--no-block", "slow")
	show := func(unit, property string) string { return b.does("systemctl", "show", "-P", property, unit) }
	eventually(t, longEnough, "the reader does not begin", func() bool { return b.in("pgrep", "-x", "cmp").code == 0 })
	before := show("bipfs@alice", "MainPID")
	b.does("kill", "-KILL", before)
	follows := func(before string) {
		t.Helper()
		eventually(t, longEnough, "no process follows", func() bool {
			// It is asked in this order: who is dead is active until systemd has heard of it.
			pid := show("bipfs@alice", "MainPID")
			return pid != before && pid != "0" && show("bipfs@alice", "ActiveState") == "active"
		})
	}
	follows(before)
	restarts := func(want string) {
		t.Helper()
		if n := show("bipfs@alice", "NRestarts"); n != want {
			t.Errorf("restarted %s times, not %s", n, want)
		}
	}
	restarts("1")
	before = show("bipfs@alice", "MainPID")
	b.does("systemctl", "restart", "bipfs@alice") // and the count begins anew
	follows(before)
	eventually(t, longEnough, "the reader does not end", func() bool { return show("slow", "ActiveState") != "activating" })
	if end := show("slow", "Result"); end != "success" {
		t.Errorf("the reader ended with %s", end)
	}
	restarts("0") // by now the watchdog would have bitten
	before = show("bipfs@alice", "MainPID")
	b.does("systemctl", "reload", "bipfs@alice")
	b.does("systemctl", "start", "of-alice")
	if now := show("bipfs@alice", "MainPID"); now != before {
		t.Errorf("after a reload the process is %s, before %s", now, before)
	}
	b.does("systemctl", "disable", "--now", "bipfs@alice")
	if at := b.served(); at != "" {
		t.Errorf("stopped, mounted is %q", at)
	}
}

// userService is share/systemd/user/bipfs.service of alice's own service manager, as `bipfs open` starts it.
func (b *booted) userService(t *testing.T, path string) {
	b.sh(`systemctl start user@$(id -u alice)`)
	begin := time.Now()
	b.as("alice", `bipfs open -- /srv/x.torrent`)
	if opened := b.sh(`cat /tmp/opened`); !strings.HasPrefix(path, opened) {
		t.Errorf("opened is %s", opened)
	}
	t.Logf("opened after %v", time.Since(begin).Round(time.Millisecond))
	b.as("alice", `cmp `+path+` /srv/content; systemctl --user restart bipfs; cmp `+path+` /srv/content; systemctl --user stop bipfs`)
	if at := b.served(); at != "" {
		t.Errorf("stopped, mounted is %q", at)
	}
}
