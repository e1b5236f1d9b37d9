package diskcache

import "bipfs/wire"

// Pinned pieces are not evicted, and what is fetched of them is dropped unwritten only
// for a request that is due sooner. Their files are lent whatever part of the store
// is lent already: lending them keeps nothing that would not be kept.

// Pin has pieces be pinned, instead of those that were. Spec.Pinned are those that
// were pinned when the torrent was added. The set must not be changed any more.
func (t *Torrent) Pin(pieces wire.Bitfield) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pinned = pieces
	for number, l := range t.lending.files {
		if l.lent == 0 {
			continue
		}
		switch n := t.spec.Files[number].Length; {
		case t.pinnedFile(number) && l.counts:
			t.disk.unlend(n)
			l.counts = false
		case !t.pinnedFile(number) && !l.counts:
			t.disk.lendMore(n)
			l.counts = true
		}
	}
}

// Cost is the most bytes of whole pages that a set of pieces takes in the store.
func (s Spec) Cost(pieces wire.Bitfield) int64 {
	t := &Torrent{spec: s}
	length := int64(0)
	for _, f := range s.Files {
		t.starts = append(t.starts, length)
		length += f.Length
	}
	return t.costOf(pieces)
}

// pinnedFile reports whether all of a file is pinned. The caller holds t.mu.
func (t *Torrent) pinnedFile(number int) bool {
	if t.pinned == nil {
		return false
	}
	for p := range t.piecesOf(number) {
		if !t.pinned.Has(p) {
			return false
		}
	}
	return true
}

// mayLend reports whether a file may be lent, and counts it if need be. The caller
// holds t.mu.
func (t *Torrent) mayLend(number int, l *lendable) bool {
	l.counts = !t.pinnedFile(number)
	return !l.counts || t.disk.mayLend(t.spec.Files[number].Length)
}

// lendMore counts n bytes that are lent, however many are already.
func (d *Disk) lendMore(n int64) { d.unlend(-n) }
