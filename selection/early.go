package selection

import "bipfs/wire"

// early is a block that came under a lease that is not known: either its grant
// is still on its way, or it is over. Only the grant tells, so the block waits
// for it. Taking the lease at its word would open a piece under a dead one;
// forgetting the block would have it asked for again, for ever, as the disk
// cache takes no block twice.
type early struct {
	peer  *peer
	index int
	lease wire.Lease
}

// await keeps a block until its lease is known. A lease takes a block once, so
// what waits is bounded by the leases whose grants are on their way; the
// bound here is for a disk cache gone wrong.
func (pc *piece) await(p *peer, i int, l wire.Lease) {
	if len(pc.early) < mostEarlyBlocks {
		pc.early = append(pc.early, early{p, i, l})
	}
}
