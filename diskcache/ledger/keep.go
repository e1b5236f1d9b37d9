package ledger

import (
	"fmt"

	"bipfs/wire"
)

// Keep takes so many blocks out of a lease that is about to end: they were
// proven one by one and readers may have them. They are held from here on, and
// Released like any others: the one way from leased to held that is not by way
// of dirty.
func (l *Ledger) Keep(n wire.Lease, blocks int) {
	if blocks == 0 {
		return
	}
	e := l.leases[n]
	if e == nil || e.state == queued || blocks > e.room {
		panic(fmt.Sprintf("ledger: lease %d has no %d blocks to keep", n, blocks))
	}
	e.room -= blocks
	e.torrent.leased -= blocks
	l.counts.Leased -= blocks
	l.counts.Held += blocks
}
