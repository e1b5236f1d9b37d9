package diskcache

import (
	"sync/atomic"

	"bipfs/wire"
)

// block is the header of one block of memory. While refs is 0 the memory is
// free or a buf, and belongs to whoever holds the *wire.Buf. While it is
// above, the memory is a verified block: immutable, and shared by all who hold
// a reference. Headers live as long as the memory, so a stale pointer to one
// is harmless: retain fails, or finds another key.
type block struct {
	disk   *Disk
	buf    *wire.Buf
	refs   atomic.Int32
	cached atomic.Bool // ristretto holds one of the references
	key    atomic.Uint64
	length int // bytes; written only while refs is 0
}

// keyOf names block i of piece p of a torrent: 28 bits of torrent, 21 of piece
// and 15 of block, which is what wire.MaxPieces and wire.MaxPieceLength need.
func keyOf(torrent uint32, p wire.Piece, i int) uint64 {
	return uint64(torrent)<<36 | uint64(p)<<15 | uint64(i)
}

// share turns a buf into a verified block with so many references.
func (b *block) share(key uint64, length int, refs int32) {
	if b.refs.Load() != 0 {
		panic("diskcache: a block is verified twice")
	}
	b.length = length
	b.key.Store(key)
	b.refs.Store(refs)
}

// retain adds a reference if the block is a verified one, the one of key.
func (b *block) retain(key uint64) bool {
	for {
		n := b.refs.Load()
		if n == 0 {
			return false
		}
		if b.refs.CompareAndSwap(n, n+1) {
			break
		}
	}
	if b.key.Load() != key {
		b.Release()
		return false
	}
	return true
}

// Release gives one reference back. With the last one the memory is free.
func (b *block) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		b.disk.released(b)
	case n < 0:
		panic("diskcache: a block was released twice")
	}
}

func (b *block) bytes() []byte { return b.buf[:b.length] }

func releaseAll(loans []wire.Loan) {
	for _, l := range loans {
		if l.Of != nil {
			l.Of.Release()
		}
	}
}
