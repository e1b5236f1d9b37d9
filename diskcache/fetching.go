package diskcache

import "bipfs/wire"

// Fetching are the pieces that have memory and are being put together, in no
// order. There are no more of them than memory has room for.
func (t *Torrent) Fetching() (pieces []wire.Piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, p := range t.pieces {
		if p.state == opened {
			pieces = append(pieces, n)
		}
	}
	return pieces
}
