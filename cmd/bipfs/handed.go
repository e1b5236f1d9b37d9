//go:build linux

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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/fs"
)

// A mount of mount.bipfs is made by one process, and kept and served by others, of the
// user that is named by setuid=:
//
//	mount.bipfs (root) ── opens /dev/fuse, mounts ──▶ keeper ──▶ worker, and the next
//	  ends when it is told "mounted" ◀──── pipe ──────┘ (USER, no capabilities)
//
// The two can gain no rights (no_new_privs), so they cannot unmount: root does, and they
// end with their mount. If they are ended first they leave a dead mount, which the next
// mount.bipfs cleans away.

const (
	// handedEnv says that the mount is made, and handedFiles lead to it.
	handedEnv = "BIPFS_HANDED"
	// handTime is how long a daemon may take until its mount answers: it loads all
	// its torrents first.
	handTime = 90 * time.Second
)

// handedFiles are the first descriptors after those that every process has.
var handedFiles = [2]int{3, 4}

// mount mounts, and returns when the mount answers.
func (l *fstabLine) mount(m *mountCommand, s streams) error {
	dir, err := filepath.Abs(l.dir)
	if err == nil {
		err = fs.Clean(dir)
	}
	if err != nil {
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
	c, err := fs.Attach(dir, options)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := l.start(c, s); err != nil {
		return errors.Join(err, c.Unmount())
	}
	return nil
}

// start starts the daemon, and returns when it has said that the mount answers.
func (l *fstabLine) start(c *fs.Connection, s streams) error {
	said, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	program, err := os.Executable()
	if err != nil {
		return errors.Join(err, theirs.Close())
	}
	cmd := exec.Command("/proc/self/exe", l.command()...)
	cmd.Args[0] = "bipfs-keeper"
	cmd.Dir = "/"
	cmd.Env = append(l.environment(os.Environ()), keeperEnv+"="+program)
	cmd.Stdout, cmd.Stderr = theirs, s.err
	files := c.Files()
	cmd.ExtraFiles = files[:] // handedFiles
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
	case errors.Is(err, os.ErrDeadlineExceeded): // the keeper ends its worker, then itself
		return errors.Join(fmt.Errorf("%s does not answer after %v", l.dir, handTime), cmd.Process.Signal(syscall.SIGTERM), cmd.Process.Release())
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
	env := []string{handedEnv + "=yes"}
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

// handed reports whether mount.bipfs has made a mount for this process.
func handed() bool { return os.Getenv(handedEnv) != "" }

// takeConnection is that mount. Programs that this one starts are not told of it.
func takeConnection(mountpoint string) (*fs.Connection, error) {
	os.Unsetenv(handedEnv)
	return fs.Inherit(mountpoint, handedFiles)
}
