//go:build !race

package diskcache

import "golang.org/x/sys/unix"

const racing = false

func mapRegion(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|mapLazily)
}

// The system's refusal to take memory back costs memory, nothing else.
func forget(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

func unmapRegion(b []byte) { _ = unix.Munmap(b) }
