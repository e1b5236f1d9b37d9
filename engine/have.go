package engine

import "bipfs/wire"

// Have is the pieces that are here. Nothing is opened for it: it is not known of a
// torrent that nobody has used since the start.
func (t *Torrent) Have() (have wire.Bitfield, known bool) {
	store := t.store.Load()
	if store == nil {
		return have, false
	}
	return store.Have(), true
}
