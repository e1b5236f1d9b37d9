//go:build race

package peer

import "syscall"

// readVector reads a alone: of readv the race detector knows nothing.
func readVector(fd int, _ *[2]syscall.Iovec, a, _ []byte) (int, error) { return syscall.Read(fd, a) }
