package engine

import (
	"time"

	"bipfs/diskcache"
	"bipfs/selection"
	"bipfs/wire"
)

// load has the disk cache deliver a block to a peer's outbox.
func (l *loop) load(store *diskcache.Torrent, c selection.Load) {
	k := l.links[c.Peer]
	if k == nil {
		return
	}
	l.lastUse = time.Now()
	b := c.Block
	if geo := l.t.Info().Geometry; geo.Padded(b) {
		if b.Begin >= geo.PieceSize(b.Piece) {
			k.peer.Deliver(b, wire.Loan{Bytes: zeros[:b.Length], Of: nobody{}})
			return
		}
		b = geo.Block(b.Piece, geo.Index(b))
	}
	store.Load(b, func(loan wire.Loan, err error) {
		if err != nil {
			k.unload(c.Block)
			return
		}
		if b != c.Block {
			loan = padded(loan, c.Block.Length)
		}
		k.peer.Deliver(c.Block, loan)
	})
}

// padded is a loan with zeros behind it, n bytes in all, in memory of its own.
func padded(loan wire.Loan, n uint32) wire.Loan {
	b := make([]byte, n)
	copy(b, loan.Bytes)
	loan.Of.Release()
	return wire.Loan{Bytes: b, Of: nobody{}}
}

// zeros is what lies in a gap. Nobody may change it.
var zeros wire.Buf

// nobody is whose bytes need not be given back.
type nobody struct{}

// Release does nothing.
func (nobody) Release() {}
