package diskcache

import (
	"cmp"
	"slices"
	"time"

	"bipfs/diskcache/ledger"
	"bipfs/wire"
)

// The keeper is one goroutine that carries out what the ledger decides. It is
// rung when something may have become possible, and looks at the clock now and
// then. Nobody waits for it but those who wait for memory.

// ring tells the keeper that there may be something to decide.
func (d *Disk) ring() {
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

// keep is the keeper: it carries out what the ledger decides.
func (d *Disk) keep() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-d.bell:
		case <-t.C:
			d.touch()
			d.writer.look()
			d.memory.rest(d.now())
		case <-d.stop:
			return
		}
		for d.settle() {
		}
	}
}

// settle does what can be done now. It reports whether it did anything: then
// more may be possible.
func (d *Disk) settle() (progress bool) {
	progress = d.cache.fill()
	d.mu.Lock()
	now := d.now()
	if at, ok := d.ledger.Next(); ok && at <= now {
		d.mu.Unlock()
		d.touch() // or a lease would be revoked whose blocks are only not counted yet
		d.mu.Lock()
	}
	orders := slices.Clone(d.ledger.Ready(now))
	shortage := d.ledger.Shortage()
	soft, hard := d.ledger.Excess()
	head, _ := d.ledger.Head()
	d.mu.Unlock()
	for _, o := range orders {
		d.obey(o)
		progress = true
	}
	if shortage > 0 {
		n := d.cache.evict(shortage)
		if n < shortage {
			n += d.yield(shortage - n)
		}
		progress = progress || n > 0
	}
	if soft > 0 && d.writer.drop(soft, hard, head) {
		progress = true
	}
	return progress
}

func (d *Disk) obey(o ledger.Order) {
	d.mu.Lock()
	t := d.torrents[o.Torrent]
	admit := d.admits[o.Load]
	if o.Kind == ledger.Admit {
		delete(d.admits, o.Load)
	}
	d.mu.Unlock()
	switch {
	case o.Kind == ledger.Admit:
		if admit == nil {
			panic("diskcache: memory for nobody")
		}
		admit(true)
	case t == nil: // it has left since, and freed what it had
	case o.Kind == ledger.Grant:
		t.granted(o)
	case o.Kind == ledger.Revoke:
		t.revoked(o)
	}
}

// all is a list of the torrents, for the keeper and the syncer.
func (d *Disk) all() []*Torrent {
	d.mu.Lock()
	defer d.mu.Unlock()
	ts := make([]*Torrent, 0, len(d.torrents))
	for _, t := range d.torrents {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *Torrent) int { return cmp.Compare(a.id, b.id) })
	return ts
}

// touch tells the ledger which leases have seen blocks. Swap does not, so as
// to take no lock that all connections share.
func (d *Disk) touch() {
	d.mu.Lock()
	waiting := d.ledger.Waiting()
	d.mu.Unlock()
	if !waiting {
		return
	}
	type seen struct {
		lease  wire.Lease
		blocks int
		last   time.Duration
	}
	var all []seen
	for _, t := range d.all() {
		t.mu.Lock()
		for _, p := range t.pieces {
			if p.state == opened && p.fresh > 0 {
				all = append(all, seen{p.lease, p.fresh, p.last})
				p.fresh = 0
			}
		}
		t.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range all {
		d.ledger.Stored(s.lease, s.blocks, s.last)
	}
}
