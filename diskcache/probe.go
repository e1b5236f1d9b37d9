package diskcache

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Probe tries what a store in dir needs of its file system. A warning is one
// sentence about what is missing and what that means; an error means that
// nothing can be stored there.
func Probe(dir string) (warnings []string, err error) {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, fmt.Errorf("%s cannot be written to: %w", dir, err)
	}
	defer f.Close()
	defer os.Remove(f.Name())
	warn := func(format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf(format, args...))
	}
	fd := int(f.Fd())
	const size = 16 << 20
	if err := probeSparse(fd, size); err != nil {
		if !errors.Is(err, errNotSparse) {
			return nil, fmt.Errorf("%s cannot be written to: %w", dir, err)
		}
		warn("the file system of %s has no sparse files: every torrent takes its full size at once.", dir)
	}
	if err := punchHole(fd, size-4096, 4096); err != nil {
		warn("the file system of %s cannot punch holes: space comes back only when a whole torrent is removed.", dir)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		warn("the file system of %s has no locks: nothing keeps two programs from using it at once.", dir)
	}
	if err := unix.Fsync(fd); err != nil {
		warn("the file system of %s cannot sync: after a power cut, pieces may have to be fetched again.", dir)
	}
	return warnings, nil
}

var errNotSparse = errors.New("not sparse")

// probeSparse writes the last page of an empty file of so many bytes and looks
// how much space that took.
func probeSparse(fd, size int) error {
	if _, err := unix.Pwrite(fd, make([]byte, 4096), int64(size-4096)); err != nil {
		return err
	}
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	if s.Blocks*512 > int64(size/2) {
		return errNotSparse
	}
	return nil
}
