package diskcache

import (
	"context"
	"hash/crc32"
	"time"

	"bipfs/wire"
)

// Verify hashes what lies in the data files for pieces that the journal does
// not have, and takes in those that are right: a folder that somebody else
// filled becomes a torrent's content. It returns how many pieces are here
// afterwards. Nothing is written but the journal. It ends, with ErrClosed, when the
// torrent is taken out of use.
func (t *Torrent) Verify(ctx context.Context) (here int, err error) {
	buf := make([]byte, wire.BlockSize)
	for n := wire.Piece(0); t.spec.Valid(n); n++ {
		if err := ctx.Err(); err != nil {
			return here, err
		}
		if t.stored(n) {
			here++
			continue
		}
		ok, err := t.verify(n, buf)
		if err != nil {
			return here, err
		}
		if ok {
			here++
		}
	}
	return here, nil
}

// verify is Verify for one piece. A torrent that leaves its folder stays that long.
func (t *Torrent) verify(n wire.Piece, buf []byte) (ok bool, err error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false, ErrClosed
	}
	t.users++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.users--
		t.retire()
	}()
	t.hole.RLock()
	defer t.hole.RUnlock()
	crcs, ok := t.hashStored(n, buf)
	if !ok {
		return false, nil
	}
	still := func() bool { return !t.isFetched(n) }
	if err := t.journal.put(entry{n, written, crcs, still}); err != nil {
		return false, err
	}
	return t.found(n, crcs), nil
}

// isFetched reports whether a piece is open, or has come and is not stored yet.
func (t *Torrent) isFetched(n wire.Piece) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pieces[n] != nil
}

// hashStored hashes a piece as it lies in the data files. A file that is
// missing or too short is a piece that is not right.
func (t *Torrent) hashStored(n wire.Piece, buf []byte) (crcs []uint32, ok bool) {
	h := t.spec.newProof(t.spec.Blocks(n))
	for i := range t.spec.Blocks(n) {
		b := t.spec.Block(n, i)
		if err := t.read(t.spec.Offset(n, b.Begin), [][]byte{buf[:b.Length]}); err != nil {
			return nil, false
		}
		h.add(buf[:b.Length], wire.Hash{})
		t.disk.hashed.Add(int64(b.Length))
		crcs = append(crcs, crc32.Checksum(buf[:b.Length], castagnoli))
	}
	return crcs, h.right(&t.spec, n)
}

// found takes a piece that lies in the store into the books, and reports whether it is
// here. One that is being fetched is not taken: what comes, right or wrong, may be
// spilled over it.
func (t *Torrent) found(n wire.Piece, crcs []uint32) (here bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pieces[n] != nil {
		return t.have.Has(n)
	}
	t.have.Set(n)
	t.countFound(n)
	t.note(&piece{number: n, crcs: crcs})
	t.tell(News{Kind: Verified, Piece: n, OK: true})
	if a := t.awaited[n]; a != nil {
		a.wake()
	}
	return true
}

// flushPoll is how often Flush looks.
const flushPoll = 10 * time.Millisecond

// Flush waits until no verified piece waits to be written any more. A piece
// that could not be stored has been dropped by then: Have tells.
func (t *Torrent) Flush(ctx context.Context) error {
	tick := time.NewTicker(flushPoll)
	defer tick.Stop()
	for t.isDirty() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (t *Torrent) isDirty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pieces {
		if p.state == dirty {
			return true
		}
	}
	return false
}
