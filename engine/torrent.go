package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
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

	// The names in state belong to the client's lock; the rest to mu, which is
	// taken inside it.
	state torrentState

	mu        sync.Mutex
	magnet    *metainfo.Magnet // nil when it came as a .torrent
	info      *metainfo.Info   // nil while it is not resolved
	trackers  [][]string
	store     *diskcache.Torrent // nil until the first use
	loop      *loop              // nil while dormant
	handles   int                // open files, and fetches of the whole
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

// hash is the infohash that a source names; a URL names none.
func (s Source) hash() wire.Digest {
	if s.Torrent != nil {
		return s.Torrent.Info.Hash
	}
	return s.Magnet.Hash
}

// tiers puts each tracker of a magnet link into a tier of its own (BEP 9 says
// nothing of tiers; all are asked in turn).
func tiers(trackers []string) [][]string {
	var out [][]string
	for _, t := range trackers {
		out = append(out, []string{t})
	}
	return out
}

// take fills a new torrent from its source.
func (t *Torrent) take(s Source) {
	if s.Torrent != nil {
		t.known(s.Torrent.Info, s.Torrent.Trackers)
		t.state.Mtime = clampTime(s.Torrent.Created, t.added).Unix()
		return
	}
	t.magnet = s.Magnet
	t.trackers = tiers(s.Magnet.Trackers)
}

// known sets the metadata of a torrent that nobody else sees yet.
func (t *Torrent) known(info *metainfo.Info, trackers [][]string) {
	t.info, t.trackers = info, trackers
	close(t.resolved)
}

// merge takes over what a source has that t has not.
func (t *Torrent) merge(s Source) {
	if s.Torrent != nil && t.Info() == nil {
		if l, err := t.activate(); err == nil {
			t.c.wg.Go(func() { l.resolve(s.Torrent.Info) })
		}
	}
}

// clampTime is when a torrent was created, as far as that can be true: from
// 2001, when the protocol was, to when it was added; else the time added.
func clampTime(created, added time.Time) time.Time {
	if created.Before(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)) || created.After(added) {
		return added
	}
	return created
}

// wantedName is the name that t would have if it were alone.
func (t *Torrent) wantedName() string {
	switch {
	case t.info != nil:
		return t.info.Name
	case t.magnet != nil && t.magnet.Name != "":
		return metainfo.SafeName(t.magnet.Name)
	}
	return t.hash.String()
}

// save writes t to the data folder. The client's lock is held.
func (t *Torrent) save() error {
	f := t.c.folder
	if err := os.MkdirAll(f.torrentDir(t.hash), 0o700); err != nil {
		return err
	}
	if err := t.saveMetadata(); err != nil {
		return err
	}
	state := t.state
	if t.info == nil {
		state.Name = "" // chosen when the metadata is here
	}
	return f.saveTorrent(t.hash, state)
}

func (t *Torrent) saveMetadata() error {
	if t.info == nil {
		return t.c.folder.writeTorrent(t.hash, "magnet", []byte(t.magnet.String()+"\n"))
	}
	m := metainfo.Torrent{Info: t.info, Trackers: t.trackers, Created: time.Unix(t.state.Mtime, 0)}
	return t.c.folder.writeTorrent(t.hash, "torrent", m.Encode())
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
func (t *Torrent) Info() *metainfo.Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info
}

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
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.openLocked()
}

func (t *Torrent) openLocked() (*diskcache.Torrent, error) {
	if t.store != nil {
		return t.store, nil
	}
	if t.info == nil {
		return nil, errors.New("its metadata is not here yet")
	}
	files := make([]diskcache.File, len(t.info.Files))
	for i, f := range t.info.Files {
		files[i] = diskcache.File{Length: f.Length, Pad: f.Pad}
	}
	s, err := t.c.disk.Add(diskcache.Spec{
		Dir: t.c.folder.torrentDir(t.hash), Geometry: t.info.Geometry,
		Hash: t.info.PieceHash, Files: files,
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", t.hash, err)
	}
	t.store = s
	return s, nil
}

// activate wakes t: it is t's loop, running.
func (t *Torrent) activate() (*loop, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loop != nil {
		return t.loop, nil
	}
	if t.c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if t.info != nil {
		if _, err := t.openLocked(); err != nil {
			return nil, err
		}
	}
	t.loop = newLoop(t)
	t.c.wg.Go(t.loop.run)
	return t.loop, nil
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
	if t.magnet != nil {
		for _, hostport := range t.magnet.Peers {
			addrs, err := t.c.net.Resolve(t.c.ctx, hostport)
			if err != nil {
				t.c.log.Debug("a peer of a magnet link cannot be looked up", "peer", hostport, "err", err)
				continue
			}
			out = append(out, addrs...)
		}
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
	if t.info != nil {
		a.Left = t.missingLocked()
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

// missing is how many bytes of t are not here.
func (t *Torrent) missing() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.missingLocked()
}

func (t *Torrent) missingLocked() int64 {
	if t.store == nil {
		return t.info.Length
	}
	have, last := t.store.Have(), wire.Piece(t.info.Pieces()-1)
	here := int64(have.Count()) * t.info.PieceLength
	if t.info.Pieces() > 0 && have.Has(last) {
		here -= t.info.PieceLength - int64(t.info.PieceSize(last))
	}
	return t.info.Length - here
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
