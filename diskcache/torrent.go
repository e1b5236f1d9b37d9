package diskcache

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"bipfs/wire"
)

// Spec is what there is to know of a torrent.
type Spec struct {
	// Dir is the torrent's own folder. It gets `journal` and `data/<number>`,
	// each when something is first written to it.
	Dir string
	wire.Geometry

	// Hash is the SHA-1 of a piece (BEP 3); nil in a torrent that is v2 only.
	// Node is the node of a piece in its file's hash tree, and its layer (BEP
	// 52); nil in a torrent of BEP 3. Where there is a Hash, pieces are verified
	// by that as a whole, and by Node block by block. Both are pure, and called
	// from any goroutine.
	Hash func(wire.Piece) wire.Digest
	Node func(wire.Piece) (node wire.Hash, layer int)

	Files []File

	// What eviction goes by: when the torrent was read last before this run, and
	// whether nothing of it is evicted now; nil: never. Kept is called from any
	// goroutine, with no lock held.
	Used time.Time
	Kept func() bool

	Pinned wire.Bitfield // pieces that are not evicted (pin.go); nil: none
}

// Wasted counts bytes that came and were of no use.
type Wasted struct {
	Unwanted int64 // brought for no lease
	Failed   int64 // of pieces that failed their hash
	Lost     int64 // under leases that were closed or revoked
	Dropped  int64 // verified and dropped before they were stored
}

// Torrent is one torrent's part of a Disk. All methods are safe for concurrent
// use.
type Torrent struct {
	disk    *Disk
	id      uint32 // its number in the ledger
	spec    Spec
	starts  []int64 // where each file begins
	journal *journal
	bell    chan struct{}
	left    chan struct{} // closed when nothing of it is left to do
	storing bool          // a lot of it is with a worker; under writer.mu

	// hole is held by whoever makes holes in the files, and shared by those who
	// write to them. It is taken before all other locks, and while the disk works.
	hole sync.RWMutex

	mu       sync.Mutex
	have     wire.Bitfield // verified and here, in memory or stored
	pieces   map[wire.Piece]*piece
	expected map[wire.Piece]int
	failed   map[wire.Piece]bool // failed its hash and has not come right since
	spoilt   map[wire.Piece]*spoilt
	awaited  map[wire.Piece]*awaited
	jobs     map[uint64]*job // reads from the store under way, by block
	unsynced map[wire.Piece]*unsynced
	counted  wire.Bitfield           // may have bytes in the store; nil without eviction
	debris   map[wire.Piece]struct{} // of them, those that are of no use
	ends     wire.Bitfield           // the pieces that are evicted last; nil: none
	pinned   wire.Bitfield           // those that are never; nil: none; see pin.go
	clock    readClock
	unswept  bool // what a kill left may lie in its files; see sweep.go
	// Of one that was removed, see remains.go.
	removed   int64         // when, Unix ns
	after     time.Duration // nothing of it can go before that, on the ledger's clock
	impatient bool          // it does not wait for its folder
	deaf      bool          // nobody hears its news
	news      []News
	wasted    Wasted
	closed    bool
	retired   bool
	users     int // pieces and reads that are not done with
	crcs      crcCache
	space     space
	stamps    stamps
	lending   lending
	former    *Torrent // that has lent files of the same folder; nil: none
}

// Add makes a torrent known and reads its journal. While the pieces of an
// earlier Torrent of the same folder are being written, it waits up to five
// seconds, then it is ErrBusy. ErrVersion is the journal of a newer program.
func (d *Disk) Add(s Spec) (*Torrent, error) {
	t, err := d.newTorrent(s)
	if err != nil {
		return nil, err
	}
	if err := d.enterTorrent(t); err != nil {
		return nil, err
	}
	return t, nil
}

// enterTorrent makes a torrent known, of which nobody else knows yet.
func (d *Disk) enterTorrent(t *Torrent) error {
	t.users = 1 // the Disk may be closed while the journal is read
	if err := t.enter(); err != nil {
		return err
	}
	have, err := t.journal.load()
	if err != nil {
		t.gone()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have = have
	t.enterStore()
	t.users--
	t.retire()
	return nil
}

// newTorrent is a torrent that nobody knows yet.
func (d *Disk) newTorrent(s Spec) (*Torrent, error) {
	t := &Torrent{
		disk: d, spec: s, pinned: s.Pinned,
		bell: make(chan struct{}, 1), left: make(chan struct{}),
		pieces:   map[wire.Piece]*piece{},
		expected: map[wire.Piece]int{},
		failed:   map[wire.Piece]bool{},
		spoilt:   map[wire.Piece]*spoilt{},
		awaited:  map[wire.Piece]*awaited{},
		jobs:     map[uint64]*job{},
		unsynced: map[wire.Piece]*unsynced{},
	}
	var length int64
	for _, f := range s.Files {
		if f.Length < 0 {
			return nil, errors.New("a file has a negative length")
		}
		t.starts = append(t.starts, length)
		length += f.Length
	}
	if length != s.Length || s.Pieces() > wire.MaxPieces || s.PieceLength > wire.MaxPieceLength {
		return nil, fmt.Errorf("files of %d bytes are not a torrent of %d", length, s.Length)
	}
	t.spec.Dir = filepath.Clean(s.Dir)
	t.journal = &journal{
		files: d.files, name: filepath.Join(t.spec.Dir, "journal"),
		geo: s.Geometry, fingerprint: fingerprint(s), boot: d.boot,
		turn: make(chan struct{}, 1),
	}
	t.stamps = stamps{d.files, filepath.Join(t.spec.Dir, "stamps")}
	t.markEnds()
	return t, nil
}

// markEnds notes the pieces that the ends of files lie in.
func (t *Torrent) markEnds() {
	mark := func(off, end int64) {
		if t.ends == nil {
			t.ends = wire.NewBitfield(t.spec.Pieces())
		}
		for at := off; at < end; at += t.spec.PieceLength - at%t.spec.PieceLength {
			t.ends.Set(wire.Piece(at / t.spec.PieceLength))
		}
	}
	for i, f := range t.spec.Files {
		if n := min(f.Ends, f.Length); n > 0 && t.disk.config.Evict {
			mark(t.starts[i], t.starts[i]+n)
			mark(t.starts[i]+f.Length-n, t.starts[i]+f.Length)
		}
	}
}

// enter takes the folder, from a former Torrent that is about to leave it, too.
func (t *Torrent) enter() error {
	d := t.disk
	patience := time.NewTimer(5 * time.Second)
	defer patience.Stop()
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return ErrClosed
		}
		former := d.dirs[t.spec.Dir]
		if former == nil {
			t.former = d.lenders[t.spec.Dir]
			n := d.ledger.Join(max(1, t.spec.MostBlocks()))
			t.id = uint32(n)
			d.torrents[n], d.dirs[t.spec.Dir] = t, t
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		if t.impatient {
			return ErrBusy
		}
		select {
		case <-former.left:
		case <-patience.C:
			return fmt.Errorf("%s: %w", t.spec.Dir, ErrBusy)
		}
	}
}

// Leave takes the torrent out of use. Who waits gets ErrClosed. What is
// verified is still being written, in the background; the files stay.
func (t *Torrent) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	for _, p := range t.pieces {
		switch p.state {
		case waiting, opened:
			t.end(p)
		case clean:
			t.unkeep(p, true)
		}
	}
	for n := range t.spoilt {
		t.forgetSpoilt(n)
	}
	clear(t.expected)
	for _, a := range t.awaited {
		a.wake()
	}
	t.retire()
}

// retire has the syncer end a closed torrent that nobody uses. The caller
// holds t.mu.
func (t *Torrent) retire() {
	if t.closed && t.users == 0 {
		t.retired = true
		t.disk.ringSync()
	}
}

// gone takes out what is left of the torrent.
func (t *Torrent) gone() {
	d := t.disk
	t.leaveStore()
	if t.journal != nil {
		t.journal.close()
	}
	d.files.leave(t.id)
	lender := t.lender()
	d.mu.Lock()
	if d.dirs[t.spec.Dir] == t {
		delete(d.dirs, t.spec.Dir)
		if d.lenders[t.spec.Dir] = lender; lender == nil {
			delete(d.lenders, t.spec.Dir)
		}
	}
	if d.torrents[t.number()] == t {
		delete(d.torrents, t.number())
		d.ledger.Leave(t.number())
		close(t.left)
	}
	d.mu.Unlock()
}

// Have is the set of pieces that are here. It is a copy.
func (t *Torrent) Have() wire.Bitfield {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.have.Clone()
}

// Local reports whether e is here, so that reading it takes no network.
func (t *Torrent) Local(e wire.Extent) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spec.Within(e) && t.have.Has(e.Piece)
}

// Wasted is what came for nothing so far.
func (t *Torrent) Wasted() Wasted {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wasted
}

// Expect tells that a reader is going to read p: what is here of it stays as
// long as there is other memory to take. It counts.
func (t *Torrent) Expect(p wire.Piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spec.Valid(p) && !t.closed {
		t.expected[p]++
	}
}

// Unexpect takes one Expect back.
func (t *Torrent) Unexpect(n wire.Piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.expected[n] {
	case 0: // closed since
	case 1:
		delete(t.expected, n)
		t.disk.ring() // somebody may be waiting for its memory
		if p := t.pieces[n]; p != nil && p.state == clean {
			t.unkeep(p, true)
		}
	default:
		t.expected[n]--
	}
}

// absent takes a stored piece whose bytes are not what they were out of the
// books. It is fetched again, never returned. But while a file of it is lent it
// stays, and whoever needs it gets an error.
func (t *Torrent) absent(n wire.Piece, why error) error {
	t.mu.Lock()
	had := t.have.Has(n)
	if p := t.pieces[n]; p != nil && p.state == dirty {
		t.mu.Unlock()
		return ErrAbsent // that was given up already: this one has come since
	}
	if had && t.damaged(n) {
		t.mu.Unlock()
		return fmt.Errorf("%s: piece %d is damaged, and cannot be fetched again while a file of it is open: %w", t.spec.Dir, n, why)
	}
	if had {
		t.have.Clear(n)
		t.leaveDebris(n)
		delete(t.unsynced, n)
		t.crcs.forget(n)
		if p := t.pieces[n]; p != nil && p.state == clean {
			t.unkeep(p, true)
		}
		t.tell(News{Kind: Evicted, Piece: n})
	}
	t.mu.Unlock()
	if !had {
		return ErrAbsent
	}
	t.disk.log.Warn("a stored piece is damaged and will be fetched again",
		"dir", t.spec.Dir, "piece", n, "err", why)
	still := func() bool { return !t.stored(n) }
	if err := t.journal.put(entry{n, none, nil, still}); err != nil {
		t.disk.log.Warn("the journal cannot be written", "dir", t.spec.Dir, "err", err)
	}
	return ErrAbsent
}

func (t *Torrent) stored(n wire.Piece) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.have.Has(n)
}

// Left is closed when a torrent that was taken out of use has let go of its
// folder: all that it had to write is written.
func (t *Torrent) Left() <-chan struct{} { return t.left }
