//go:build !race && linux

package peer

import (
	"syscall"
	"unsafe"
)

// readVector is readv(2) of two parts, of which b may be empty. It allocates nothing.
func readVector(fd int, v *[2]syscall.Iovec, a, b []byte) (int, error) {
	if len(b) == 0 {
		return syscall.Read(fd, a)
	}
	v[0].Base, v[1].Base = &a[0], &b[0]
	v[0].SetLen(len(a))
	v[1].SetLen(len(b))
	n, _, errno := syscall.Syscall(syscall.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(v)), uintptr(len(v)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
