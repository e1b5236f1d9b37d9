package control

import (
	"fmt"
	"os"
	"syscall"
)

// peerUser is who opened the other end of a socket.
func peerUser(fd uintptr) (uid uint32, err error) {
	who, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return who.Uid, nil
}

// short is a name of a folder that fits into the address of a socket (108 bytes)
// until done.
func short(dir string) (name string, done func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d", d.Fd()), func() { d.Close() }, nil
}
