package diskcache

import (
	"time"

	"bipfs/wire"
)

// readClock tells when what is stored of a torrent was read last: coarsely, for
// each row of pieces that follow each other, and for no more than mostRows of them,
// so that it costs 4 KiB of an open torrent at most. What was not read in this run
// was read when the torrent was. The torrent's lock guards it.
type readClock struct {
	row   wire.Piece // pieces of each row
	ticks []uint32   // by row, since the disk was opened; 0: not in this run
}

const (
	mostRows = 1024
	// readTick is how exactly it is known: 32 bits of it are 8 years.
	readTick = time.Second / 16
)

func newReadClock(pieces int) readClock {
	row := max(1, (pieces+mostRows-1)/mostRows)
	return readClock{wire.Piece(row), make([]uint32, (pieces+row-1)/row)}
}

// touch notes that a piece is read or stored. Without eviction nobody asks.
func (c *readClock) touch(p wire.Piece, now time.Duration) {
	if c.ticks != nil {
		c.ticks[p/c.row] = uint32(now/readTick) + 1
	}
}

// touchAll is touch for the pieces [from, to].
func (c *readClock) touchAll(from, to wire.Piece, now time.Duration) {
	if c.ticks == nil {
		return
	}
	for p := from / c.row * c.row; p <= to; p += c.row {
		c.touch(p, now)
	}
}

// read is when a row was read last, on the ledger's clock; used is that of the
// torrent before this run.
func (c *readClock) read(row int, used time.Duration) time.Duration {
	if tick := c.ticks[row]; tick > 0 {
		return time.Duration(tick) * readTick
	}
	return used
}

// noteRead is that es are read now. The caller holds t.mu.
func (t *Torrent) noteRead(es []wire.Extent) {
	if t.clock.ticks == nil {
		return
	}
	now := t.disk.now()
	for _, e := range es {
		t.clock.touch(e.Piece, now)
	}
}
