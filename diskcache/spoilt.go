package diskcache

import (
	"crypto/sha1"
	"hash/crc32"
	"slices"

	"bipfs/diskcache/mend"
	"bipfs/wire"
)

// What several peers brought of a piece that failed its hash is kept, until the
// piece is right: the next copy may be mended by it, or mend it.
//
//	hash wrong ──▶ kept; told, so that each block is asked of another than before
//	hash wrong again ──▶ a choice of the blocks of all copies is right? ──▶ verified
//	                     else one more copy, up to mend.MostCopies
//
// It is kept in memory of its own, beside the ledger's, since a lease ends with its
// verdict.

const (
	// longestMended is the longest piece whose bad copies are kept, bytes.
	longestMended = 4 << 20
	// mostSpoilt is how much is kept of all bad copies, bytes: for longer than
	// that nothing is mended, and one peer alone fetches the piece again.
	mostSpoilt = mend.MostCopies * longestMended
)

// spoilt is what is kept of a piece.
type spoilt struct {
	*mend.Piece
	size int64
}

// mends reports whether bad copies of pieces may be kept, so that it has to be known
// who brought their blocks. One that is verified leaf by leaf needs none: its blocks are
// right or wrong by themselves.
func (t *Torrent) mends() bool { return t.spec.Hash != nil && t.spec.PieceLength <= longestMended }

// mended is what became of a piece that failed its hash.
type mended struct {
	right  bool          // it is right now,
	good   []wire.Digest // of these blocks
	more   bool          // one more copy may mend it
	guilty []wire.Peer   // who brought a bad copy alone
}

// mend tries to make a bad copy right with the blocks of those before it. digests are
// those of its blocks. The piece's worker calls it, without t.mu: nobody else has what
// is kept meanwhile.
func (t *Torrent) mend(p *piece, digests []wire.Digest) (m mended) {
	s := t.takeSpoilt(p)
	if s == nil {
		return m
	}
	sent := make([]mend.Sent, p.count)
	for i, from := range p.from {
		sent[i] = mend.Sent{From: from, Digest: digests[i]}
	}
	room := true
	s.Add(sent, func(i int) []byte {
		n := int64(p.length(i))
		if !room {
			return nil
		}
		s.size += n
		if room = t.disk.spoilt.Add(n) <= mostSpoilt; !room {
			return nil
		}
		return slices.Clone(p.bufs[i][:n])
	})
	var choice []mend.Content
	if room {
		choice, m.guilty = s.Mend(func(choice []mend.Content) bool { return t.isRight(p, choice) })
	}
	if choice == nil {
		t.disk.spoilt.Add(s.Size() - s.size)
		s.size = s.Size()
		m.more = room && s.More()
		t.keepSpoilt(p, s, m.more)
		return m
	}
	for i, c := range choice {
		if c.Digest != digests[i] {
			copy(p.bufs[i][:], c.Data)
			p.crcs[i] = crc32.Checksum(c.Data, castagnoli)
		}
		m.good = append(m.good, c.Digest)
	}
	m.right = true
	t.keepSpoilt(p, s, false)
	return m
}

// isRight reports whether a choice of blocks is the piece.
func (t *Torrent) isRight(p *piece, choice []mend.Content) bool {
	h := proof{sha: sha1.New()}
	for _, c := range choice {
		h.add(c.Data, wire.Hash{})
		t.disk.hashed.Add(int64(len(c.Data)))
	}
	return h.right(&t.spec, p.number)
}

// takeSpoilt takes out what is kept of a piece; nil: there is nothing to mend, nor will
// there be.
func (t *Torrent) takeSpoilt(p *piece) *spoilt {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.spoilt[p.number]
	delete(t.spoilt, p.number)
	if s == nil && slices.ContainsFunc(p.from, func(from wire.Peer) bool { return from != p.from[0] }) {
		s = &spoilt{Piece: mend.New(p.count)}
	}
	return s
}

// keepSpoilt puts back what is kept of a piece, or forgets it.
func (t *Torrent) keepSpoilt(p *piece, s *spoilt, keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if keep && p.state != ended && !t.closed && t.spoilt[p.number] == nil {
		t.spoilt[p.number] = s
		return
	}
	t.disk.spoilt.Add(-s.size)
}

// forgetSpoilt forgets what is kept of a piece that nobody wants any more, or that is
// here. The caller holds t.mu.
func (t *Torrent) forgetSpoilt(n wire.Piece) {
	if s := t.spoilt[n]; s != nil {
		delete(t.spoilt, n)
		t.disk.spoilt.Add(-s.size)
	}
}
