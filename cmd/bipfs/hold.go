//go:build linux

package main

import "bipfs/fs"

// HoldGone implements fs.Holder: what a removed torrent has left stays while the kernel
// reads a file of it by itself. There may be nothing left: then it was deleted, and
// the kernel has the file open.
func (t *tree) HoldGone(of fs.ID) {
	if err := t.client.HoldRemoved(uint32(of >> 32)); err != nil {
		t.spool.log.Debug("a file that the kernel reads by itself is not held", "err", err)
	}
}
