package main

import (
	"bytes"
	"os"
	"os/user"
	"strings"
	"testing"
)

// TestFstabLine: what mount(8) says becomes a command line of ours.
func TestFstabLine(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string // the command line, or what an error says
		bad  bool
	}{
		{[]string{"bipfs", "/mnt"}, "mount -- /mnt", false},
		{[]string{"none", "/mnt", "-o", "rw"}, "mount -- /mnt", false},
		{[]string{"a.torrent", "/m n t", "-sn", "-v", "-o", "ro,noexec"}, "mount -o ro -o noexec -- /m n t a.torrent", false},
		{[]string{"bipfs", "/mnt", "-orw,allow_other,uid=1000,umask=077", "-t", "fuse.bipfs"}, "mount -o allow_other -o uid=1000 -o umask=077 -- /mnt", false},
		{[]string{"bipfs", "/mnt", "-o", "defaults,_netdev,nofail,noauto,user,user=me,x-systemd.automount,X-mount.mkdir=0755,comment=x,nosuid,nodev,exec,relatime"}, "mount -- /mnt", false},
		{[]string{"bipfs", "/mnt", "-o", "data=/srv/x,disk=200GiB,no-upload,lsd=false,peer=192.0.2.1:1,peer=192.0.2.2:2"},
			"mount --data=/srv/x --disk=200GiB --no-upload --lsd=false --peer=192.0.2.1:1 --peer=192.0.2.2:2 -- /mnt", false},
		{[]string{"bipfs", "/mnt", "-o", "setuid=" + me.Username}, "mount -- /mnt", false},
		{[]string{"bipfs", "/mnt", "-o", "setuid=" + me.Uid}, "mount -- /mnt", false},
		{[]string{"-o", "rw", "--", "x"}, "not a flag", true},
		{[]string{"bipfs", "/mnt", "-s", "-o", "size=5,iocharset=utf8"}, "mount -- /mnt", false},
		{[]string{"bipfs", "/mnt", "-o", "size=5"}, "size=5", true},
		{[]string{"bipfs", "/mnt", "-o", "disk"}, "disk=SIZE", true},
		{[]string{"bipfs", "/mnt", "-o", "disk=much"}, "much", true},
		{[]string{"bipfs", "/mnt", "-o", "memory=1MiB"}, "too little", true},
		{[]string{"bipfs", "/mnt", "-o", "option=suid"}, "option=suid", true},
		{[]string{"bipfs", "/mnt", "-o", "uid=me"}, "uid", true},
		{[]string{"bipfs", "/mnt", "-o", "setuid=no such user"}, "no such user", true},
		{[]string{"bipfs", "/mnt", "-o"}, "-o needs", true},
		{[]string{"bipfs", "/mnt", "-x"}, "-x", true},
		{[]string{"bipfs"}, "SPEC DIR", true},
		{[]string{"a", "b", "c"}, "SPEC DIR", true},
		{nil, "SPEC DIR", true},
	} {
		var out, errs bytes.Buffer
		code := runMountProgram(append([]string{"-f", "-v"}, c.args...), streams{strings.NewReader(""), &out, &errs})
		if c.bad {
			if code != mountUsage || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
				t.Errorf("%q: %d %s", c.args, code, errs.String())
			}
			continue
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		if code != 0 || first != "bipfs "+c.want || errs.Len() > 0 {
			t.Errorf("%q: %d %q, not %q; %s", c.args, code, first, c.want, errs.String())
		}
	}
}

// TestSetuid: only root makes a daemon of somebody else.
func TestSetuid(t *testing.T) {
	other := "nobody"
	if os.Getuid() != 0 {
		other = "root"
	}
	l := fstabLine{options: []string{"setuid=" + other}}
	if err := l.read(12345); err == nil || !strings.Contains(err.Error(), "only root") {
		t.Error(err)
	}
	l = fstabLine{options: []string{"setuid=nobody"}}
	if err := l.read(0); err != nil {
		t.Skip(err) // not of every system
	}
	if l.account == nil || l.account.uid == 0 {
		t.Errorf("%+v", l.account)
	}
	env := strings.Join(l.environment([]string{"PATH=/bin", "HOME=/root", "XDG_RUNTIME_DIR=/run/user/0", "BIPFS_DOWN=5MB/s", "LD_PRELOAD=x", "SUDO_USER=y"}), " ")
	if env != "BIPFS_HANDED=yes PATH=/bin BIPFS_DOWN=5MB/s HOME="+l.account.home+" USER=nobody LOGNAME=nobody" {
		t.Error(env)
	}
}

func TestCalledByMount(t *testing.T) {
	for argv0, want := range map[string]bool{"/sbin/mount.bipfs": true, "mount.fuse.bipfs": true, "bipfs": false, "/usr/bin/bipfs": false, "mount.bipfs/bipfs": false} {
		if isMountProgram(argv0) != want {
			t.Error(argv0)
		}
	}
}

func FuzzFstabLine(f *testing.F) {
	f.Add("bipfs\n/mnt\n-o\nrw,data=/x")
	f.Add("-v\n-osetuid=1\na\nb")
	f.Fuzz(func(t *testing.T, args string) {
		l, err := parseFstabLine(strings.Split(args, "\n"))
		if err == nil && (l.spec == "" && !strings.Contains(args, "\n")) {
			t.Errorf("%+v", l)
		}
	})
}
