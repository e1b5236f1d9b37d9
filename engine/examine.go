package engine

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"bipfs/diskcache"
)

// Examined is what a data folder, or the place where it would be made, has.
type Examined struct {
	Warnings []string // sentences about what its file system lacks
	Free     int64    // bytes
	Kind     string   // of a file system that is no good place; "" is any other
	Port     int      // where peers are accepted; 0: none is chosen yet
}

// odd are file systems that are no good place for data, by their magic numbers
// (statfs(2)), as 32 bits.
var odd = map[uint32]string{
	0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x65735546: "FUSE", 0x01021994: "tmpfs", 0x858458f6: "ramfs",
}

// Examine tries what the data in dir needs. If it is missing that is the folder that
// it would be made in. An error means that nothing can be stored there.
func Examine(dir string) (x Examined, err error) {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if x.Warnings, err = diskcache.Probe(dir); err != nil {
		return x, err
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return x, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	x.Free, x.Kind = int64(s.Bavail)*int64(s.Bsize), odd[uint32(s.Type)]
	state, err := (&folder{dir: dir}).loadClient()
	x.Port = state.Port
	return x, err
}

// Listenable reports whether peers could be accepted at a port of this machine; 0 is
// any.
func Listenable(ctx context.Context, port int) error {
	n, err := NewNetwork(NetworkConfig{})
	if err != nil {
		return err
	}
	l, err := n.Listen(ctx, net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// MostPeers is how many peers the limit on open files leaves, and how many there would
// be without it.
func MostPeers() (now, most int) { return connections(), maxConnections }
