//go:build !linux

package diskcache

import "golang.org/x/sys/unix"

// preadv reads one part after another, up to the end of the file.
func preadv(fd int, bufs [][]byte, off int64) (int, error) {
	return vectored(unix.Pread, fd, bufs, off)
}

func pwritev(fd int, bufs [][]byte, off int64) (int, error) {
	return vectored(unix.Pwrite, fd, bufs, off)
}

// vectored is a call for each part, up to the first that does less than it was asked.
func vectored(call func(int, []byte, int64) (int, error), fd int, bufs [][]byte, off int64) (n int, err error) {
	for _, b := range bufs {
		k, err := call(fd, b, off+int64(n))
		if n += max(0, k); err != nil && n == 0 {
			return 0, err
		}
		if err != nil || k < len(b) {
			break // what was done counts; the next call meets the error again
		}
	}
	return n, nil
}

// syncData has the data of a file on the disk.
func syncData(fd int) error { return unix.Fsync(fd) }

// punchHole gives no space back: nothing is evicted then.
func punchHole(int, int64, int64) error { return unix.EOPNOTSUPP }
