package fs

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// MountFor mounts at the directory dir, as Mount does, and returns the open FUSE device
// for a process that may do less: that process serves it. Until then, whoever looks
// into the mount waits. If nobody is to serve it, Forsake it.
func MountFor(dir string, o Options) (*os.File, error) {
	o = o.withDefaults()
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := mountable(dir, o); err != nil {
		return nil, err
	}
	fd, err := attach(dir, o)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), device), nil
}

// Forsake ends a mount at dir that nobody serves.
func Forsake(dir string, device *os.File) error {
	device.Close()
	dir, err := resolve(dir)
	if err != nil {
		return err
	}
	if at, mounted, err := mountAt(dir); err != nil || !mounted || at.kind != mountType {
		return err
	}
	return detach(dir, true)
}

// Serve shows t in a mount that another process has made with MountFor, at dir, by the
// device with the number fd, which it owns.
func Serve(fd int, dir string, t Tree, o Options) (*Server, error) {
	syscall.CloseOnExec(fd)
	s, err := serve(fd, dir, t, o.withDefaults())
	if err != nil {
		err = fmt.Errorf("%s does not answer: %w", dir, err)
		return nil, errors.Join(err, detach(dir, true))
	}
	return s, nil
}

// Resolve is dir as the kernel's table of mounts names it.
func Resolve(dir string) (string, error) { return resolve(dir) }
