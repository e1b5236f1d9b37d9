package engine

import "golang.org/x/sys/unix"

// bindToDevice has a socket send and hear through one device alone.
func bindToDevice(fd int, device string) error { return unix.BindToDevice(fd, device) }
