//go:build !race

package diskcache

import "golang.org/x/sys/unix"

const racing = false

// mapRegion asks for pages of 2 MiB, where the system has them: with small ones
// every fourth part of a block is a page fault in the middle of a read from a socket.
func mapRegion(n int) ([]byte, error) {
	region, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err == nil {
		_ = unix.Madvise(region, unix.MADV_HUGEPAGE) // a refusal costs those faults
	}
	return region, err
}

// The system's refusal to take memory back costs memory, nothing else.
func forget(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

func unmapRegion(b []byte) { _ = unix.Munmap(b) }
