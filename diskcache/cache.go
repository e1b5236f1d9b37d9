package diskcache

import (
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
)

// cache decides, by ristretto, which verified blocks that nobody needs stay in
// memory. Ristretto may drop or refuse any of them at any time; each has a
// reference, which OnExit takes back. Only the keeper sets, deletes and waits:
// ristretto is safe in no other way.
type cache struct {
	all   *ristretto.Cache[uint64, *block]
	count atomic.Int64

	mu       sync.Mutex
	incoming []*block

	// The keeper's: what was set, oldest first. Ristretto does not say what it
	// has, and memory that a lease lacks is to come from what is oldest.
	order []cached
	most  int
	disk  *Disk
}

type cached struct {
	key uint64
	b   *block
}

// batch is the most Sets before a Wait. Ristretto has a queue of 32 Ki Sets,
// which would hold half a gigabyte that nobody counts.
const batch = 64

func newCache(d *Disk, blocks int) (*cache, error) {
	c := &cache{most: blocks, disk: d}
	all, err := ristretto.NewCache(&ristretto.Config[uint64, *block]{
		NumCounters:        int64(blocks) * 10,
		MaxCost:            int64(blocks),
		BufferItems:        64,
		IgnoreInternalCost: true,
		OnExit: func(b *block) {
			if b != nil {
				b.cached.Store(false)
				c.count.Add(-1)
				b.Release()
			}
		},
		// What is verified never changes: the first of two stays.
		ShouldUpdate: func(_, _ *block) bool { return false },
		KeyToHash:    func(key uint64) (uint64, uint64) { return mix(key), 0 },
	})
	c.all = all
	return c, err
}

// mix spreads a key over all bits, one to one: ristretto's counters look at
// the low ones, and there all torrents have the same.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// get finds a block and adds a reference.
func (c *cache) get(key uint64) *block {
	if b, ok := c.all.Get(key); ok && b.retain(key) {
		return b
	}
	return nil
}

// add takes over one reference of each of the blocks.
func (c *cache) add(blocks []*block) {
	c.mu.Lock()
	c.incoming = append(c.incoming, blocks...)
	c.mu.Unlock()
	c.disk.ring()
}

// fill puts what was added into ristretto. It reports whether there was any.
func (c *cache) fill() bool {
	c.mu.Lock()
	blocks := c.incoming
	c.incoming = nil
	c.mu.Unlock()
	for i, b := range blocks {
		key := b.key.Load()
		b.cached.Store(true)
		c.count.Add(1)
		if c.all.Set(key, b, 1) {
			c.order = append(c.order, cached{key, b})
		} else {
			b.cached.Store(false)
			c.count.Add(-1)
			b.Release()
		}
		if (i+1)%batch == 0 {
			c.all.Wait()
		}
	}
	if len(blocks) > 0 {
		c.all.Wait()
	}
	if len(c.order) > 2*c.most {
		c.compact()
	}
	return len(blocks) > 0
}

func (x cached) there() bool { return x.b.cached.Load() && x.b.key.Load() == x.key }

// compact forgets what ristretto has dropped by itself.
func (c *cache) compact() {
	kept := c.order[:0]
	for _, x := range c.order {
		if x.there() {
			kept = append(kept, x)
		}
	}
	clear(c.order[len(kept):])
	c.order = kept
}

// evict drops the n oldest blocks, or all there are. It reports how many.
func (c *cache) evict(n int) (evicted int) {
	i := 0
	for ; i < len(c.order) && evicted < n; i++ {
		if !c.order[i].there() {
			continue
		}
		c.all.Del(c.order[i].key)
		if evicted++; evicted%batch == 0 {
			c.all.Wait()
		}
	}
	c.order = c.order[i:]
	c.all.Wait()
	return evicted
}

// close drops everything. The keeper has ended.
func (c *cache) close() { c.all.Close() }
