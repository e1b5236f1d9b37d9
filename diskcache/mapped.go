//go:build !race

package diskcache

import "golang.org/x/sys/unix"

const racing = false

func mapRegion(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

// populate has the system back memory at once: one call for what would be a fault for
// each page. That it does not (before Linux 5.14) changes nothing.
func populate(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }

// The system's refusal to take memory back costs memory, nothing else.
func forget(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

func unmapRegion(b []byte) { _ = unix.Munmap(b) }
