package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// fusermount is the program that mounts and unmounts for ordinary users: setuid
// root, and part of every distribution's fuse3 package.
func fusermount(args ...string) (*exec.Cmd, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		// A service may have no PATH.
		for _, dir := range []string{"", "/usr/bin/", "/bin/"} {
			if path, err := exec.LookPath(dir + name); err == nil {
				return exec.Command(path, args...), nil
			}
		}
	}
	if os.Geteuid() == 0 {
		return nil, errors.New("root may not mount here, and fusermount3 is not installed: give the container --cap-add SYS_ADMIN")
	}
	return nil, errors.New("fusermount3 is not installed: install the package fuse3, or run as root")
}

// runFusermount runs it; the error is its own words.
func runFusermount(cmd *exec.Cmd) error {
	var words bytes.Buffer
	cmd.Stderr = &words
	err := cmd.Run()
	if line := strings.TrimSpace(words.String()); err != nil && line != "" {
		return errors.New(line)
	}
	return err
}

// mostKilled is how often fusermount3 is started that signals end: who ends a service,
// or the machine, tells all its processes at once, and one of them has just begun to
// unmount.
const mostKilled = 3

// detachFusermount has fusermount3 unmount.
func detachFusermount(args ...string) (err error) {
	for range mostKilled {
		cmd, err2 := fusermount(args...)
		if err2 != nil {
			return err2
		}
		var exit *exec.ExitError
		if err = runFusermount(cmd); !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
			return err
		}
	}
	return err
}

// attachFusermount mounts by fusermount3, which sends the open FUSE device over a
// socket that it finds in _FUSE_COMMFD.
func attachFusermount(dir string, o Options) (int, error) {
	if _, err := os.Stat(device); err != nil {
		return -1, deviceError(err)
	}
	cmd, err := fusermount("-o", fusermountOptions(o), "--", dir)
	if err != nil {
		return -1, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer syscall.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount")
	defer theirs.Close()
	cmd.ExtraFiles = []*os.File{theirs} // it gets them from 3 on
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	if err := runFusermount(cmd); err != nil {
		return -1, fmt.Errorf("%s cannot be mounted: %w", dir, err)
	}
	fd, err := receiveFD(pair[0])
	if err != nil {
		return -1, errors.Join(fmt.Errorf("%s cannot be mounted: %w", dir, err), detach(dir, true))
	}
	return fd, nil
}

func fusermountOptions(o Options) string {
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	opts := []string{
		"fsname=" + escape.Replace(o.Source), "subtype=" + subtype,
		fmt.Sprintf("max_read=%d", longestRequest), "default_permissions", "nosuid", "nodev",
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{o.AllowOther, "allow_other"}, {o.ReadOnly, "ro"}, {o.NoExec, "noexec"}} {
		if flag.set {
			opts = append(opts, flag.name)
		}
	}
	return strings.Join(opts, ",")
}

// receiveFD takes the one descriptor that was sent over a socket. It does not
// wait: the sender has ended.
func receiveFD(socket int) (int, error) {
	data, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := syscall.Recvmsg(socket, data, control, syscall.MSG_CMSG_CLOEXEC|syscall.MSG_DONTWAIT)
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("fusermount3 sent no descriptor")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("fusermount3 sent no descriptor")
	}
	return fds[0], nil
}
