package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/fs"
)

// A mount of mount.bipfs is made by one process and served by another, of the user
// that is named by setuid=:
//
//	mount.bipfs (root) ── opens /dev/fuse, mounts ──▶ bipfs mount (USER, no capabilities)
//	  ends when it is told "mounted" ◀──── pipe ────── serves, until it is unmounted
//
// The daemon can gain no rights (no_new_privs), so it cannot unmount: root does, and
// the daemon ends with its mount. One that is ended first leaves a dead mount, which
// the next mount.bipfs cleans away.

const (
	// deviceEnv says that the mount is made, and which descriptor its device is.
	deviceEnv = "BIPFS_DEVICE"
	// handTime is how long a daemon may take until its mount answers: it loads all
	// its torrents first.
	handTime = 90 * time.Second
)

// mount mounts, and returns when the mount answers.
func (l *fstabLine) mount(m *mountCommand, s streams) error {
	dir, err := filepath.Abs(l.dir)
	if err == nil {
		err = fs.Clean(dir)
	}
	if err != nil {
		return err
	}
	if dir, err = fs.Resolve(dir); err != nil {
		return err
	}
	l.dir = dir
	options, err := mountOptions(m.Options)
	if err != nil {
		return err
	}
	options.Source = l.spec // or mount -a would mount it again
	if l.account != nil {
		options.User, options.Group = &l.account.uid, &l.account.gid
	}
	waitingReads(&options)
	device, err := fs.MountFor(dir, options)
	if err != nil {
		return err
	}
	if err := l.start(device, s); err != nil {
		return errors.Join(err, fs.Forsake(dir, device))
	}
	return device.Close()
}

// start starts the daemon, and returns when it has said that the mount answers.
func (l *fstabLine) start(device *os.File, s streams) error {
	said, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.Command("/proc/self/exe", l.command()...)
	cmd.Args[0] = "bipfs"
	cmd.Dir = "/"
	cmd.Env = l.environment(os.Environ())
	cmd.Stdout, cmd.Stderr = theirs, s.err
	cmd.ExtraFiles = []*os.File{device} // the first of these is 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a := l.account; a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
	}
	err = l.startBounded(cmd)
	theirs.Close()
	if err != nil {
		return fmt.Errorf("the daemon cannot be started: %w", err)
	}
	if err := said.SetReadDeadline(time.Now().Add(handTime)); err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	switch {
	case err == nil:
		_, err = io.WriteString(s.out, line)
		return errors.Join(err, cmd.Process.Release())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Join(fmt.Errorf("%s does not answer after %v", l.dir, handTime), cmd.Process.Kill(), cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s is not mounted: the daemon has ended (%w)", l.dir, err)
	}
	return fmt.Errorf("%s is not mounted: the daemon has ended", l.dir)
}

// startBounded starts a process that can gain no rights, if it is to be of another
// user: by setting that for this thread, which the process inherits it from. What
// else the thread does later needs no more rights than it has.
func (l *fstabLine) startBounded(cmd *exec.Cmd) error {
	if l.account == nil {
		return cmd.Start()
	}
	// What whoever called mount(8) as root had open is not for the user.
	if err := unix.CloseRange(uint(os.Stderr.Fd())+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return cmd.Start()
}

// environment is the daemon's: root's folders are not those of another user.
func (l *fstabLine) environment(of []string) []string {
	env := []string{deviceEnv + "=3"}
	for _, v := range of {
		if name, _, _ := strings.Cut(v, "="); l.account == nil || strings.HasPrefix(name, "BIPFS_") ||
			name == "PATH" || name == "LANG" || name == "TZ" || name == "JOURNAL_STREAM" {
			env = append(env, v)
		}
	}
	if a := l.account; a != nil {
		env = append(env, "HOME="+a.home, "USER="+a.name, "LOGNAME="+a.name)
	}
	return env
}

// takeDevice is the device of a mount that mount.bipfs has made for this process; 0 if
// there is none. Programs that this one starts are not told of it.
func takeDevice() int {
	fd, err := strconv.Atoi(os.Getenv(deviceEnv))
	os.Unsetenv(deviceEnv)
	if err != nil || fd <= int(os.Stderr.Fd()) {
		return 0
	}
	return fd
}

// attach is the server of the mount: one that is made, or that was.
func (m *mountCommand) attach(mountpoint string, t fs.Tree, options fs.Options) (*fs.Server, error) {
	if m.device > 0 {
		return fs.Serve(m.device, mountpoint, t, options)
	}
	return fs.Mount(mountpoint, t, options)
}

// mounted says that the mount answers. Who is told that does not listen any more, so
// a daemon that was handed its mount says the rest to the journal, or to a file in
// its data folder.
func (m *mountCommand) mounted(mountpoint, data string, s streams) error {
	fmt.Fprintln(s.out, "mounted", mountpoint)
	if m.device == 0 {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if !isJournal(s.err) {
		log, err := os.OpenFile(filepath.Join(data, "log"), os.O_WRONLY|os.O_TRUNC|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		if err := become(os.Stderr, log); err != nil {
			return err
		}
	}
	return errors.Join(become(os.Stdin, null), become(os.Stdout, null))
}

// become has the descriptor of f lead where that of other does.
func become(f, other *os.File) error {
	return os.NewSyscallError("dup3", unix.Dup3(int(other.Fd()), int(f.Fd()), 0))
}
