package diskcache

import "golang.org/x/sys/unix"

func preadv(fd int, bufs [][]byte, off int64) (int, error)  { return unix.Preadv(fd, bufs, off) }
func pwritev(fd int, bufs [][]byte, off int64) (int, error) { return unix.Pwritev(fd, bufs, off) }

// syncData has the data of a file on the disk.
func syncData(fd int) error { return unix.Fdatasync(fd) }

// punchHole gives the space of n bytes back; the length stays.
func punchHole(fd int, off, n int64) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}
