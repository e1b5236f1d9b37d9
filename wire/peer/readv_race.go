//go:build race || !linux

package peer

import "syscall"

// readVector reads a alone: of readv the race detector knows nothing, and other
// systems than Linux want it called by their libraries.
func readVector(fd int, _ *[2]syscall.Iovec, a, _ []byte) (int, error) { return syscall.Read(fd, a) }
