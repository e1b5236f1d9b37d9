package diskcache

import "bipfs/wire"

// NewsKind is what a piece of news says.
type NewsKind uint8

// The news of a torrent.
const (
	Granted  NewsKind = iota // Piece has Lease, with room for N blocks
	Room                     // Lease has room for N more
	Revoke                   // Lease is over; what it held is lost
	Verified                 // Piece was checked: OK or not; Lease is over
	Evicted                  // Piece is not here any more
	Proven                   // Blocks of an open piece are right, and here to be read
	Spoiled                  // Blocks were bad, as their leaves tell, and are gone again; From brought them
)

// IsOfBlocks reports whether news says what became of blocks that peers brought.
func (k NewsKind) IsOfBlocks() bool { return k == Verified || k == Proven || k == Spoiled }

// News is something that happened to a piece. A Verified that is OK is true
// whatever its lease: the piece is here. One of lease 0 answers an Open of a
// piece that was here already.
type News struct {
	Kind    NewsKind
	Piece   wire.Piece
	Lease   wire.Lease
	N       int
	OK      bool
	Digests []wire.Digest // of each block, of a bad piece and of the good one after it
	Came    []wire.Digest // of each block as it came, if the piece was bad and is mended
	Kept    bool          // of a bad piece: the next copy may be mended by this one, if no peer sends a block again
	Guilty  []wire.Peer   // who are proven to have brought bad blocks
	Blocks  []int         // their numbers in Piece
	From    wire.Peer
}

// Listen is Have, and that news is heard from now on; what there was is forgotten.
func (t *Torrent) Listen() wire.Bitfield {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deaf, t.news = false, nil
	return t.have.Clone()
}

// Deafen is that nobody hears the news until Listen: none is kept. Pieces that are waiting
// or open are given up: whoever listens next could neither open nor close them.
func (t *Torrent) Deafen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deaf, t.news = true, nil
	for _, p := range t.pieces {
		t.abandon(p)
	}
	for n := range t.spoilt {
		t.forgetSpoilt(n)
	}
}

// Bell has one ring in it when there is news.
func (t *Torrent) Bell() <-chan struct{} { return t.bell }

// News appends the news since the last call to buf, in order.
func (t *Torrent) News(buf []News) []News {
	t.mu.Lock()
	defer t.mu.Unlock()
	buf = append(buf, t.news...)
	clear(t.news)
	t.news = t.news[:0]
	return buf
}

// tell adds to the news. The caller holds t.mu.
func (t *Torrent) tell(n News) {
	if t.closed || t.deaf {
		return
	}
	t.news = append(t.news, n)
	select {
	case t.bell <- struct{}{}:
	default:
	}
}
