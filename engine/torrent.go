package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/discovery"
	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/peer"
)

// Torrent is one torrent of a client.
//
//	resolving ──metadata──▶ dormant ◀──────5 min────── active
//	                           └──open, peer comes──▶──┘
//
// A dormant torrent has no loop: no goroutine, no socket, no packet. Resolving
// and active ones have one.
type Torrent struct {
	c     *Client
	hash  wire.Digest
	slot  uint32
	added time.Time

	resolved chan struct{} // closed when info is set

	useful atomic.Bool // some peer can bring what is wanted
	broken atomic.Bool // a read timed out, and no useful peer has come since

	downloaded, uploaded atomic.Int64 // payload bytes of connections that have ended

	state torrentState // guarded by Client.mu

	// info and store are set once, store first, under Client.adding and opening.
	info    atomic.Pointer[metainfo.Info]     // nil while it is not resolved
	store   atomic.Pointer[diskcache.Torrent] // nil until the first use
	opening sync.Mutex

	// What is guarded by mu, under which nothing waits.
	mu        sync.Mutex
	magnet    *metainfo.Magnet // nil when it came as a .torrent
	trackers  [][]string
	loop      *loop // nil while dormant
	handles   int   // open files, and fetches of the whole
	live      map[wire.Peer]*peer.Conn
	lastClose time.Time
	waited    bool // opening the unresolved directory has waited once
}

func newTorrent(c *Client, hash wire.Digest, s torrentState) *Torrent {
	return &Torrent{
		c: c, hash: hash, slot: s.Slot, state: s,
		added: time.Unix(0, s.Added), resolved: make(chan struct{}),
		live: map[wire.Peer]*peer.Conn{},
	}
}

// Slot is t's number in the data folder: never 0, never used again.
func (t *Torrent) Slot() uint32 { return t.slot }

// Hash is t's v1 infohash.
func (t *Torrent) Hash() wire.Digest { return t.hash }

// Name is the name that t is shown under.
func (t *Torrent) Name() string {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.state.Name
}

// Earlier are the names that t was shown under before, oldest first.
func (t *Torrent) Earlier() []string {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.state.Earlier
}

// Added is when t was added; Mtime is when its content was made, as far as
// anybody knows. Neither ever changes once the metadata is here.
func (t *Torrent) Added() time.Time { return t.added }

// Mtime: see Added.
func (t *Torrent) Mtime() time.Time {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.state.Mtime == 0 {
		return t.added
	}
	return time.Unix(t.state.Mtime, 0)
}

// Info is t's metadata, or nil while it is not resolved.
func (t *Torrent) Info() *metainfo.Info { return t.info.Load() }

// Resolved is closed when the metadata is here.
func (t *Torrent) Resolved() <-chan struct{} { return t.resolved }

// FirstWait reports whether this is the first time that somebody waits for the
// metadata: later ones do not wait.
func (t *Torrent) FirstWait() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.waited
	t.waited = true
	return first
}

// running is t's loop, or nil.
func (t *Torrent) running() *loop {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loop
}

// open is t's part of the disk cache; it reads the journal on first use. The
// metadata must be here.
func (t *Torrent) open() (*diskcache.Torrent, error) {
	info := t.Info()
	if info == nil {
		return nil, errors.New("its metadata is not here yet")
	}
	return t.openAs(info)
}

// openAs is open with metadata that t is only about to have.
func (t *Torrent) openAs(info *metainfo.Info) (*diskcache.Torrent, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	if s := t.store.Load(); s != nil {
		return s, nil
	}
	files := make([]diskcache.File, len(info.Files))
	for i, f := range info.Files {
		files[i] = diskcache.File{Length: f.Length, Pad: f.Pad}
	}
	s, err := t.c.disk.Add(diskcache.Spec{
		Dir: t.c.folder.torrentDir(t.hash), Geometry: info.Geometry,
		Hash: info.PieceHash, Files: files,
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", t.hash, err)
	}
	t.store.Store(s)
	return s, nil
}

// activate wakes t: it is t's loop, running.
func (t *Torrent) activate() (*loop, error) {
	if l := t.running(); l != nil {
		return l, nil
	}
	if t.Info() != nil {
		if _, err := t.open(); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loop != nil {
		return t.loop, nil
	}
	l := newLoop(t)
	if !t.c.spawn(l.run) {
		return nil, ErrClosed
	}
	t.loop = l
	return l, nil
}

// announcing are the trackers that t's loop tells of itself.
func (t *Torrent) announcing() []*discovery.Trackers {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loop == nil {
		return nil
	}
	return t.loop.trackers
}

// asleep ends t's loop, unless somebody needs it; it is the loop's own
// question.
func (t *Torrent) asleep() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handles > 0 {
		return false
	}
	t.loop = nil
	return true
}

// peersGiven are the peers that the user and the magnet link name.
func (t *Torrent) peersGiven() []netip.AddrPort {
	select {
	case <-t.c.givenSet:
	case <-t.c.ctx.Done():
		return nil
	}
	out := append([]netip.AddrPort(nil), t.c.given...)
	t.mu.Lock()
	magnet := t.magnet
	t.mu.Unlock()
	if magnet != nil {
		out = append(out, t.c.resolveAll(magnet.Peers)...)
	}
	return out
}

// announce is what trackers are told.
func (t *Torrent) announce() discovery.Announce {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := discovery.Announce{
		Infohash: t.hash, PeerID: t.c.peerID, Port: t.c.port, Key: t.c.key,
		Downloaded: t.downloaded.Load(), Uploaded: t.uploaded.Load(),
		Left: 1, // unknown, but not nothing, while there is no metadata
	}
	for _, conn := range t.live {
		n := conn.Counters()
		a.Downloaded += n.DownloadedPayload
		a.Uploaded += n.UploadedPayload
	}
	if t.Info() != nil {
		a.Left = t.missing()
	}
	return a
}

// hold counts who needs t's loop.
func (t *Torrent) hold(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handles += n
	t.lastClose = time.Now()
}

// met and parted keep the connections whose bytes are counted.
func (t *Torrent) met(p wire.Peer, conn *peer.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[p] = conn
}

func (t *Torrent) parted(p wire.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.live[p].Counters()
	t.downloaded.Add(n.DownloadedPayload)
	t.uploaded.Add(n.UploadedPayload)
	delete(t.live, p)
}

// missing is how many bytes of t are not here. The metadata must be.
func (t *Torrent) missing() int64 {
	info, store := t.Info(), t.store.Load()
	if store == nil {
		return info.Length
	}
	have, last := store.Have(), wire.Piece(info.Pieces()-1)
	here := int64(have.Count()) * info.PieceLength
	if have.Has(last) {
		here -= info.PieceLength - int64(info.PieceSize(last))
	}
	return info.Length - here
}

// Start wakes t without a reader: it announces itself and serves what it has.
func (t *Torrent) Start() error {
	_, err := t.activate()
	return err
}

// DataFile is where the content of file i of the metadata lies on disk.
func (t *Torrent) DataFile(i int) string {
	return filepath.Join(t.c.folder.torrentDir(t.hash), "data", fmt.Sprint(i))
}
