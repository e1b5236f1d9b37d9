//go:build !race

package diskcache

import "golang.org/x/sys/unix"

// mapLazily has no swap set aside for what is not used.
const mapLazily = unix.MAP_NORESERVE

// populate has the system back memory at once: one call for what would be a fault for
// each page. That it does not (before Linux 5.14) changes nothing.
func populate(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }
