package diskcache

import (
	"context"
	"sync"

	"bipfs/wire"
	"bipfs/wire/merkle"
)

// mostLeaves is the number of leaves that are kept of verified pieces, of all
// torrents together: 8 MiB of them, for 4 GiB of content.
const mostLeaves = 1 << 18

// leafCache is the leaves of the pieces that were verified or asked for last.
type leafCache struct {
	mu    sync.Mutex
	of    map[uint64][]wire.Hash // by the key of the piece's first block
	order []uint64               // the oldest first
	count int                    // leaves
}

func (c *leafCache) get(key uint64) []wire.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[key]
}

func (c *leafCache) add(key uint64, leaves []wire.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[uint64][]wire.Hash{}
	}
	if c.of[key] != nil || len(leaves) > mostLeaves {
		return
	}
	for c.count+len(leaves) > mostLeaves {
		c.count -= len(c.of[c.order[0]])
		delete(c.of, c.order[0])
		c.order = c.order[1:]
	}
	c.of[key] = leaves
	c.order = append(c.order, key)
	c.count += len(leaves)
}

// keepLeaves keeps those of a piece that was verified by them.
func (t *Torrent) keepLeaves(p *piece) {
	if p.leaves != nil && p.proof.sha == nil {
		t.disk.leaves.add(keyOf(t.id, p.number, 0), p.proof.leaves)
	}
}

// Known is the leaves of a piece that is here, if they are in memory: nobody may
// change them. It does not wait.
func (t *Torrent) Known(n wire.Piece) (leaves []wire.Hash, ok bool) {
	if !t.spec.Valid(n) || !t.stored(n) {
		return nil, false
	}
	leaves = t.disk.leaves.get(keyOf(t.id, n, 0))
	return leaves, leaves != nil
}

// leafStride is the number of blocks that Leaves reads at a time.
const leafStride = 16

// Leaves is the leaves of a piece that is here, read and hashed if they are not
// in memory; ErrAbsent if the piece is not here, or is another than the hash
// tree's. It waits as Acquire does.
func (t *Torrent) Leaves(ctx context.Context, n wire.Piece) ([]wire.Hash, error) {
	if leaves, ok := t.Known(n); ok {
		return leaves, nil
	}
	if t.spec.Node == nil || !t.spec.Valid(n) {
		return nil, ErrAbsent
	}
	whole := t.spec.Whole(n)
	leaves := make([]wire.Hash, 0, t.spec.Blocks(n))
	for at := uint32(0); at < whole.Length; at += leafStride * wire.BlockSize {
		e := wire.Extent{Piece: n, Begin: at, Length: min(leafStride*wire.BlockSize, whole.Length-at)}
		loans, err := t.Acquire(ctx, []wire.Extent{e})
		if err != nil {
			return nil, err
		}
		for _, l := range loans {
			leaves = append(leaves, merkle.Leaf(l.Bytes))
		}
		releaseAll(loans)
	}
	if node, layer := t.spec.Node(n); merkle.Root(leaves, 0, layer) != node {
		return nil, ErrAbsent
	}
	t.disk.leaves.add(keyOf(t.id, n, 0), leaves)
	return leaves, nil
}
