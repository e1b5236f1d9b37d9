package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	device    = "/dev/fuse"
	subtype   = "bipfs"
	mountType = "fuse." + subtype
	// leastBackground is the least max_background that is asked for. go-fuse's
	// own 12 lets twelve reads of dead files stop every other read of the mount.
	leastBackground = 1024
	// mostLinks is how many symbolic links in a row are followed, as by the kernel.
	mostLinks = 40
)

// Options of a mount. nosuid, nodev and default_permissions are always set.
type Options struct {
	AllowOther bool // other users may enter, as the permission bits say
	AllowRoot  bool // the owner and root may enter
	ReadOnly   bool // MS_RDONLY; without it writes are refused all the same
	NoExec     bool
	NonEmpty   bool // mount over a directory that has entries

	// User and Group are whose mount it is to the kernel: without AllowOther only
	// processes of theirs may enter. nil: those of this process.
	User, Group *uint32
	UID, GID    *uint32 // owner of everything; nil: User and Group
	Umask       uint32  // permission bits taken from files and directories
	Fmask       uint32  // from files too
	Dmask       uint32  // from directories too

	// MaxBackground is how many reads may be under way in the kernel's name;
	// 1024 to 65535, and what is outside is moved there. An ordinary user gets
	// no more than MaxUserBackground.
	MaxBackground int
	Source        string // the first column of df(1); "bipfs" if empty
	Log           *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.User == nil {
		uid := uint32(os.Geteuid())
		o.User = &uid
	}
	if o.Group == nil {
		gid := uint32(os.Getegid())
		o.Group = &gid
	}
	if o.UID == nil {
		o.UID = o.User
	}
	if o.GID == nil {
		o.GID = o.Group
	}
	if o.AllowRoot && !o.AllowOther {
		// The kernel has no allow_root. Everybody may enter and the bits keep
		// out all but the owner and root, whom they do not bind.
		o.AllowOther = true
		o.Umask |= 0o077
	}
	o.MaxBackground = min(max(o.MaxBackground, leastBackground), 65535)
	if o.Source == "" {
		o.Source = subtype
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// masked is a mode as it is shown. Links have no permissions of their own.
func (o Options) masked(mode uint32) uint32 {
	switch mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		return mode &^ ((o.Umask | o.Dmask) & 0o777)
	case syscall.S_IFLNK:
		return mode
	}
	return mode &^ ((o.Umask | o.Fmask) & 0o777)
}

// Mount shows t at the directory dir and returns when the mount answers. With
// CAP_SYS_ADMIN it mounts by itself, else by fusermount3. The error is a sentence
// that says what to do.
func Mount(dir string, t Tree, o Options) (*Server, error) {
	c, err := Attach(dir, o)
	if err != nil {
		return nil, err
	}
	s, err := c.Serve(t, o)
	if err != nil {
		c.Close()
		err = fmt.Errorf("%s does not answer: %w", c.dir, err)
		return nil, errors.Join(err, detach(c.dir, true))
	}
	return s, nil
}

// resolve is dir as the kernel's table of mounts names it. What is mounted there
// is not asked: it may be dead, or not answer. (readlink(2) of a directory fails
// before anybody is asked.)
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for range mostLinks {
		parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return "", sentence(abs, err)
		}
		abs = filepath.Join(parent, filepath.Base(abs))
		target, err := os.Readlink(abs)
		if err != nil {
			return abs, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(parent, target)
		}
		abs = target
	}
	return "", sentence(dir, syscall.ELOOP)
}

// mountable says why dir cannot be mounted at.
func mountable(dir string, o Options) error {
	at, mounted, err := mountAt(dir)
	if err != nil {
		return err
	}
	if mounted && at.kind == mountType {
		return fmt.Errorf("%s is already mounted by bipfs: unmount it first", dir)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return sentence(dir, err)
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if !o.NonEmpty {
		if err := empty(dir); err != nil {
			return err
		}
	}
	if o.AllowOther && os.Geteuid() != 0 && Privileged() != nil && !othersAllowed() {
		return errors.New("allow_other and allow_root are not enabled for ordinary users: " +
			"put the line user_allow_other into /etc/fuse.conf")
	}
	return nil
}

func empty(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return sentence(dir, err)
	}
	defer d.Close()
	if names, _ := d.Readdirnames(1); len(names) > 0 {
		return fmt.Errorf("%s is not empty: choose an empty directory, or -o nonempty to mount over it", dir)
	}
	return nil
}

// othersAllowed tells whether /etc/fuse.conf has the line user_allow_other.
func othersAllowed() bool {
	conf, err := os.ReadFile("/etc/fuse.conf")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(conf)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// sentence is an error of a path as a sentence that begins with the path.
func sentence(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%s does not exist: create it first", path)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be entered by this user", path)
	case errors.Is(err, syscall.ENOTCONN):
		return fmt.Errorf("%s is a dead mount: unmount it first", path)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return fmt.Errorf("%s cannot be used: %w", path, err)
}

// attach makes the mount and returns its open FUSE device.
func attach(dir string, o Options) (int, error) {
	if Privileged() == nil {
		fd, err := attachDirect(dir, o)
		if !errors.Is(err, syscall.EPERM) {
			return fd, err
		}
		// The capability is that of another user namespace: fusermount3 may be more.
	}
	return attachFusermount(dir, o)
}

func attachDirect(dir string, o Options) (int, error) {
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, deviceError(err)
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV)
	if o.ReadOnly {
		flags |= syscall.MS_RDONLY
	}
	if o.NoExec {
		flags |= syscall.MS_NOEXEC
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d,default_permissions",
		fd, syscall.S_IFDIR, *o.User, *o.Group, longestRequest)
	if o.AllowOther {
		data += ",allow_other"
	}
	if err := syscall.Mount(o.Source, dir, mountType, flags, data); err != nil {
		syscall.Close(fd)
		if errors.Is(err, syscall.EACCES) {
			err = fmt.Errorf("AppArmor or SELinux forbids it, in a container without --security-opt apparmor=unconfined: %w", err)
		}
		return -1, fmt.Errorf("%s cannot be mounted: %w", dir, err)
	}
	return fd, nil
}

func deviceError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return errors.New(device + " is missing: load the kernel module (modprobe fuse), " +
			"or give the container --device " + device)
	case errors.Is(err, syscall.EACCES):
		return errors.New(device + " may not be opened by this user: its mode should be 0666")
	case errors.Is(err, syscall.EPERM):
		return errors.New(device + " may not be opened in this container: give it --device " + device)
	}
	return fmt.Errorf("%s cannot be opened: %w", device, err)
}
