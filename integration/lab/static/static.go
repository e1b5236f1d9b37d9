// Package static is what the laboratory measures a mount beside: files in memory
// that never change, served by go-fuse's own tree of nodes as its examples do it.
// It is the least that a file system in user space written in Go costs.
package static

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// validity is how long the kernel may keep what it was told: for ever.
const validity = 365 * 24 * time.Hour

// folder is the root; it has everything below it from the start.
type folder struct {
	fs.Inode
	from string
}

var _ fs.NodeOnAdder = (*folder)(nil)

// OnAdd makes all nodes.
func (f *folder) OnAdd(ctx context.Context) {
	err := filepath.WalkDir(f.from, func(at string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		below, err := filepath.Rel(f.from, at)
		if err != nil {
			return err
		}
		b, err := content(at)
		if err != nil {
			return err
		}
		f.add(ctx, strings.Split(below, "/"), b)
		return nil
	})
	if err != nil {
		panic(err) // the laboratory made the folder
	}
}

// content maps a large file and reads a small one.
func content(at string) ([]byte, error) {
	st, err := os.Stat(at)
	if err != nil || st.Size() < 1<<20 {
		if err != nil {
			return nil, err
		}
		return os.ReadFile(at)
	}
	f, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
}

func (f *folder) add(ctx context.Context, path []string, b []byte) {
	in := f.EmbeddedInode()
	for _, name := range path[:len(path)-1] {
		child := in.GetChild(name)
		if child == nil {
			child = in.NewPersistentInode(ctx, &fs.Inode{}, fs.StableAttr{Mode: syscall.S_IFDIR})
			in.AddChild(name, child, true)
		}
		in = child
	}
	file := &fs.MemRegularFile{Data: b, Attr: fuse.Attr{Mode: 0o444}}
	in.AddChild(path[len(path)-1], in.NewPersistentInode(ctx, file, fs.StableAttr{}), true)
}

// Serve shows the folder from at the directory at, calls ready and returns when it
// is unmounted.
func Serve(from, at string, ready func()) error {
	keep := validity
	server, err := fs.Mount(at, &folder{from: from}, &fs.Options{
		EntryTimeout: &keep, AttrTimeout: &keep,
		MountOptions: fuse.MountOptions{DirectMount: true, DisableXAttrs: true, FsName: "bipfs-lab", Name: "bipfs-lab"},
	})
	if err != nil {
		return err
	}
	ready()
	server.Wait()
	return nil
}
