package engine

import (
	"bipfs/wire"
)

// A peer holds a block of memory, its spare, while it owes us one. There may be
// far more peers than spares: most of a crowd is idle, or chokes us. Who finds
// none left is asked for nothing until somebody's comes back, and says so to the
// machine, which asks the others meanwhile.

// peerDisk is the disk cache as the peers of a loop have it: of its spares they
// get their part, and leave those of web seeds alone.
type peerDisk loop

// Spare is an empty buffer; nil if the peers have as many as they may.
func (d *peerDisk) Spare() *wire.Buf {
	c := d.t.c
	if c.spares.Add(1) <= int64(spares(c.cfg.Memory)) {
		if b := d.disk.Spare(); b != nil {
			return b
		}
	}
	c.spares.Add(-1)
	return nil
}

// Return takes a spare back.
func (d *peerDisk) Return(b *wire.Buf) {
	d.disk.Return(b)
	d.t.c.spares.Add(-1)
}

// Swap trades a full block for an empty one.
func (d *peerDisk) Swap(p wire.Peer, b wire.Block, full *wire.Buf) (empty *wire.Buf, lease wire.Lease) {
	return d.disk.Swap(p, b, full)
}
