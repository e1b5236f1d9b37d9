package diskcache

// A torrent that is removed leaves its folder while the kernel may still read files of
// it by itself. Whoever comes into the folder next, to use what is left or to evict it,
// leaves these as they are, too: it knows who was there before.
//
//	Torrent ◀──former── Torrent ◀──former── Torrent    of one folder; the last is in use

// isLent reports whether a file is lent, be it by a Torrent that has left the folder
// since. The caller holds t.mu; of two of one folder that of the later is taken first.
func (t *Torrent) isLent(number int) bool {
	l := t.lending.files[number]
	return l != nil && l.lent > 0 || t.former != nil && t.former.lends(number)
}

// lends is isLent for who does not hold t.mu.
func (t *Torrent) lends(number int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isLent(number)
}

// lender is t, or the latest before it, if any file is lent; nil: none is.
func (t *Torrent) lender() *Torrent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lenderNow()
}

// lenderNow is lender for who holds t.mu.
func (t *Torrent) lenderNow() *Torrent {
	for _, l := range t.lending.files {
		if l.lent > 0 {
			return t
		}
	}
	if t.former == nil {
		return nil
	}
	return t.former.lender()
}

// unlender forgets a Torrent that has left and lends nothing any more. The caller holds
// t.mu.
func (t *Torrent) unlender() {
	d, next := t.disk, t.lenderNow()
	if !t.closed || next == t {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lenders[t.spec.Dir] != t {
		return
	}
	if d.lenders[t.spec.Dir] = next; next == nil {
		delete(d.lenders, t.spec.Dir)
	}
}
