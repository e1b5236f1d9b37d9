package fs

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	static "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// staticEnv makes this binary the measure of a mount: go-fuse's own tree of nodes
// in memory, with a file `big` and directories of staticEach files. It is set to
// DIRECTORY, the environment has the numbers.
const (
	staticEnv      = "BIPFS_FS_TEST_STATIC"
	staticFilesEnv = "BIPFS_FS_TEST_STATIC_FILES" // how many
	staticBytesEnv = "BIPFS_FS_TEST_STATIC_BYTES" // the length of big
	staticEach     = 1000
)

// serveStatic serves until its standard input ends.
func serveStatic(dir string) int {
	files, _ := strconv.Atoi(os.Getenv(staticFilesEnv))
	length, _ := strconv.Atoi(os.Getenv(staticBytesEnv))
	root := &static.Inode{}
	forEver := time.Hour
	server, err := static.Mount(dir, root, &static.Options{
		EntryTimeout: &forEver, AttrTimeout: &forEver,
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, MaxWrite: longestRequest, MaxBackground: leastBackground,
			DisableXAttrs: true, DisableSplice: true,
		},
		OnAdd: func(ctx context.Context) {
			big := &static.MemRegularFile{Data: make([]byte, length), Attr: fuse.Attr{Mode: 0o444}}
			for i := range big.Data {
				big.Data[i] = byte(i * 7)
			}
			root.AddChild("big", root.NewPersistentInode(ctx, big, static.StableAttr{}), false)
			var folder *static.Inode
			for i := range files {
				if i%staticEach == 0 {
					folder = root.NewPersistentInode(ctx, &static.Inode{}, static.StableAttr{Mode: fuse.S_IFDIR})
					root.AddChild(fmt.Sprintf("folder %03d", i/staticEach), folder, false)
				}
				small := &static.MemRegularFile{Data: []byte("x"), Attr: fuse.Attr{Mode: 0o444}}
				folder.AddChild(fmt.Sprintf("file %06d.dat", i), folder.NewPersistentInode(ctx, small, static.StableAttr{}), false)
			}
		},
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("mounted", dir)
	var b [1]byte
	_, _ = os.Stdin.Read(b[:]) // its end is all that it says
	if err := server.Unmount(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}
