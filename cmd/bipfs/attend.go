//go:build linux

package main

import (
	"context"
	"sync"

	"bipfs/fs"
)

// attend begins what goes on beside a mount, until ctx ends: inotify, .bipfs and the
// folders of --watch.
func (d *daemon) attend(ctx context.Context, wg *sync.WaitGroup, server *fs.Server, t *tree, folders []*dropFolder) {
	kernel := server.Kernel()
	d.forget = func(slot uint32, name string) { kernel.Gone(rootID, id(slot, 0), name) } // it may keep names for a year
	d.told = kernel.Told
	t.daemon.Store(d)
	wg.Go(func() { watch(ctx, d, server.Show()) })
	for _, f := range folders {
		// Not joined: a network file system may hold it for longer than a stop takes.
		go f.run(ctx)
	}
}
