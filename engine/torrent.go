package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// Torrent is one torrent of a client.
//
//	resolving ──metadata──▶ dormant ◀──────5 min────── active
//	                         ▲ │ └──open, peer comes──▶──┘
//	                goal met │ └─data, and a goal (seeding.go)─▶ seeding
//	                         └────────────────────────────────────┘
//
// A dormant torrent has no loop: no goroutine, no socket, no packet. Resolving,
// active and seeding ones have one.
type Torrent struct {
	c     *Client
	id    metainfo.ID // what it was added by; the metadata may have one infohash more
	hash  wire.Digest // of id
	slot  uint32
	added time.Time
	// unrecorded is that something is stored, and that the process was killed before it
	// wrote a record; set before anybody else sees t.
	unrecorded bool

	resolved chan struct{} // closed when info is set
	hopeless chan struct{} // closed when the metadata cannot be used
	why      error         // of that; set before

	useful atomic.Bool // some peer can bring what is wanted
	broken atomic.Bool // a read timed out, and no useful peer has come since

	waits    waits       // of reads for the swarm
	blocked  blocked     // of these, what for
	walks    walks       // of readers from file to file
	finished atomic.Bool // every piece was here at some time

	stopped, paused atomic.Bool            // by the user
	pinned          atomic.Pointer[pinned] // nil: nothing, or there is no metadata
	striving        atomic.Bool            // something of it is not here; set under mu
	removed         atomic.Bool
	held            atomic.Bool // the kernel reads it since an earlier life of it (remains.go)
	guest           atomic.Bool // nobody has added it (guest.go); changed under Client.mu

	own atomic.Pointer[identity] // nil: the client's; set before anybody else sees t

	state torrentState // guarded by Client.mu

	// info and store are set once, store first, under Client.adding and opening.
	info      atomic.Pointer[metainfo.Info]     // nil while it is not resolved
	store     atomic.Pointer[diskcache.Torrent] // nil until the first use
	opening   sync.Mutex
	saving    sync.Mutex // held while the record is written
	discarded bool       // it is not to be written any more; guarded by saving
	refused   error      // why the store could not be opened; guarded by opening
	again     time.Time  // when that is tried again

	// What is guarded by mu, under which nothing waits.
	mu           sync.Mutex
	magnet       *metainfo.Magnet // nil when no magnet link named it; never changed, but replaced
	bare         *metainfo.Info   // metadata that it was added with and that lacks its piece layers
	trackers     [][]string
	webSeeds     []string        // URLs
	liars        map[string]bool // of them, those that sent bad data
	loop         *loop           // nil while dormant
	started      bool            // by Start
	handles      int             // open files, and fetches of the whole
	readers      map[*Reader]struct{}
	live         map[wire.Peer]connection
	ended        payload       // bytes of connections that have ended
	before       payload       // bytes that were moved before this `started`
	record       record        // as of the start of the client, but for what is set
	dealt        [4]int64      // of the record that was written last
	accounted    time.Time     // until when offered is counted
	offered      time.Duration // less than a second that is not in the record yet
	seedingSince time.Time     // zero: it does not seed
	lastClose    time.Time
	waited       bool // opening the unresolved directory has waited once
}

// payload is bytes of blocks.
type payload struct{ downloaded, uploaded int64 }

func newTorrent(c *Client, id metainfo.ID, s torrentState) *Torrent {
	t := &Torrent{
		c: c, id: id, hash: id.Hash, slot: s.Slot, state: s,
		added: time.Unix(0, s.Added), resolved: make(chan struct{}), hopeless: make(chan struct{}),
		live: map[wire.Peer]connection{},
	}
	t.waits.useful = t.useful.Load
	t.stopped.Store(s.Stopped)
	t.paused.Store(s.Paused)
	return t
}

// Slot is t's number in the data folder: never 0, never used again.
func (t *Torrent) Slot() uint32 { return t.slot }

// Hash is what handshakes and trackers know t by: the v1 infohash that it was
// added by or, if there was none, the beginning of the v2 one.
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

// Unusable is closed when the metadata is known and cannot be used: it is of a
// format that is not supported, or hostile. Resolved will never be closed then.
func (t *Torrent) Unusable() <-chan struct{} { return t.hopeless }

// unusable is why the metadata cannot be used, or nil.
func (t *Torrent) unusable() error {
	select {
	case <-t.hopeless:
		return t.why
	default:
		return nil
	}
}

// giveUp notes that the metadata cannot be used. The loop calls it, once.
func (t *Torrent) giveUp(err error) {
	t.why = fmt.Errorf("the metadata cannot be used: %w", err)
	close(t.hopeless)
}

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

// openAs is open with metadata that t is only about to have. A store that
// cannot be opened (the journal of a newer version, a disk that fails) is said
// once and is EIO; it is tried again, but not by every one of a thousand peers.
func (t *Torrent) openAs(info *metainfo.Info) (*diskcache.Torrent, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	if s := t.store.Load(); s != nil {
		return s, nil
	}
	if t.removed.Load() {
		return nil, ErrRemoved
	}
	if time.Now().Before(t.again) {
		return nil, t.refused
	}
	s, err := t.c.disk.Add(t.spec(info))
	if err != nil {
		err = fmt.Errorf("%w: the store of %v cannot be opened: %w", syscall.EIO, t.id, err)
		if t.c.ctx.Err() == nil && (t.refused == nil || t.refused.Error() != err.Error()) {
			t.c.log.Error("the torrent cannot be read", "err", err)
			t.happens(control.Event{Event: evError, Error: err.Error()})
		}
		t.refused, t.again = err, time.Now().Add(openRetry)
		return nil, err
	}
	s.Deafen() // until there is a loop
	t.store.Store(s)
	return s, nil
}

// activate wakes t: it is t's loop, running.
func (t *Torrent) activate() (*loop, error) {
	if err := t.refusal(); err != nil { // the loop that there may be is ending
		return nil, err
	}
	if l := t.running(); l != nil {
		return l, nil
	}
	if err := t.unusable(); err != nil {
		return nil, err
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
	if err := t.refusal(); err != nil { // the user has decided so meanwhile
		return nil, err
	}
	l := newLoop(t)
	if !t.c.spawn(func() { labelled(t.hash, l.run) }) {
		return nil, ErrClosed
	}
	t.loop = l
	t.c.stir()
	// Trackers are told what was moved since the `started` of this life.
	t.before.downloaded, t.before.uploaded = t.moved()
	t.accounted = time.Now()
	return l, nil
}

// asleep ends t's loop, unless somebody needs it; it is the loop's own
// question.
func (t *Torrent) asleep() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if (t.strives() || t.handles > 0 || !t.seedingSince.IsZero()) && t.refusal() == nil {
		return false
	}
	t.endLoop()
	return true
}

// endLoop is that t has no loop any more. The lock is held: or what the next one has
// begun, and has offered, would be forgotten.
func (t *Torrent) endLoop() {
	t.loop = nil
	if s := t.store.Load(); s != nil {
		s.Deafen()
	}
	t.c.hand.Forget(t.hash)
}

// hold counts who needs t's loop.
func (t *Torrent) hold(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handles += n
	t.lastClose = time.Now()
}

// met and parted keep the connections whose bytes are counted.
func (t *Torrent) met(p wire.Peer, conn connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[p] = conn
}

func (t *Torrent) parted(p wire.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.live[p].Counters()
	t.ended.downloaded += n.DownloadedPayload
	t.ended.uploaded += n.UploadedPayload
	delete(t.live, p)
}

// Start wakes t without a reader: it announces itself and serves what it has.
func (t *Torrent) Start() error {
	t.mu.Lock()
	t.started = true
	t.mu.Unlock()
	_, err := t.activate()
	return err
}

// sought reports whether t looks for peers from the moment it wakes.
func (t *Torrent) sought() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.started || t.strives() || t.handles > 0 || !t.seedingSince.IsZero()
}

// DataFile is where the content of file i of the metadata lies on disk.
func (t *Torrent) DataFile(i int) string {
	return filepath.Join(t.c.folder.torrentDir(t.id), "data", fmt.Sprint(i))
}
