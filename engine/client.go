// Package engine holds torrents and the client: the only place where the
// layers meet. A torrent is one loop (loop.go); a reader turns reads of a file
// into wants with deadlines (reader.go); the client owns the data folder, the
// one door to the network, the disk cache and the handshaker.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/discovery"
	"bipfs/handshake"
	"bipfs/handshake/utp"
	"bipfs/wire"
)

// Client is a set of torrents over one data folder.
type Client struct {
	cfg    Config
	log    *slog.Logger
	clock  clock
	folder *folder
	net    *Network
	disk   *diskcache.Disk
	hand   *handshake.Handshaker
	ways   []discovery.Way // to trackers
	dht    *discovery.DHT  // nil: there is none
	lsd    *discovery.LSD  // nil: there is none
	me     identity
	port   int

	accepting []netip.AddrPort                  // where the listeners are
	mapping   atomic.Pointer[discovery.PortMap] // nil before a torrent searches
	listening string                            // the first address that peers reach the client at
	first     bool                              // the data folder was new
	events    chronicle
	udp       *UDP        // of uTP and the DHT; nil when there is neither
	utp       *utp.Socket // nil when there is none

	peers     atomic.Uint32     // the last wire.Peer given out
	readers   atomic.Uint64     // the last wire.Reader given out
	spares    atomic.Int64      // that peers have
	lookers   atomic.Int64      // sessions that look ahead
	progress  progress          // of the readers
	scouts    atomic.Int64      // under way
	waiting   places            // of reads that wait for the swarm
	programs  programs          // that read
	habits    habits            // of them
	shares    shares            // of the rates
	asideAt   atomic.Int64      // when stepAside was last
	localOnly localOnly         // those that get what is here
	stirred   chan struct{}     // holds one ring: a torrent has a loop
	received  chan struct{}     // holds one ring: there is a guest
	entrusted atomic.Bool       // guests stay for the next process
	scrapeAt  time.Time         // when it may be asked how many seed; of tend alone
	lanes     chan struct{}     // the places of connections to web seeds
	buried    map[uint32]string // folders of removed torrents, by slot, until Settle
	held      map[string]bool   // folders that the kernel reads since an earlier process; guarded by mu

	ctx    context.Context
	cancel context.CancelFunc
	// farewell outlives ctx by stoppedAnnounces: trackers are told `stopped`.
	farewell context.Context
	silence  context.CancelFunc
	// lastWord outlives it: the trackers of private torrents are waited for.
	lastWord context.Context
	hush     context.CancelFunc

	life  sync.Mutex
	ended bool           // no goroutine is started any more; guarded by life
	wg    sync.WaitGroup // every goroutine that the client starts

	// adding is held while the set of torrents, or one's metadata, changes: it
	// may wait for the disk. It is taken before mu, under which nothing waits.
	adding sync.Mutex

	mu       sync.Mutex
	closed   bool
	state    clientState
	torrents map[wire.Digest]*Torrent
	hidden   map[[20]byte]wire.Digest // infohashes, by what encrypted handshakes name them
	order    []*Torrent               // by slot
	names    map[string]*Torrent      // by path, as shown now
	earlier  map[string]*Torrent      // by path, as shown before

	root        *Directory
	directories map[string]*Directory // by path, without the root
	bySlot      map[uint32]*Directory // with the root
}

// ErrClosed is that the client has been closed.
var ErrClosed = errors.New("the client is closed")

// Open takes the data folder and opens every stored torrent. Nothing is sent
// for a torrent that has its metadata until it is read.
func Open(cfg Config) (*Client, error) {
	if err := errors.Join(checkLimits(cfg.Memory), cfg.Limits.check()); err != nil {
		return nil, err
	}
	if cfg.WaitingReads == 0 {
		cfg.WaitingReads = 768
	}
	if cfg.dormantAfter == 0 {
		cfg.dormantAfter = dormantAfter
	}
	if cfg.watchEvery == 0 {
		cfg.watchEvery = watchEvery
	}
	if cfg.seedEvery == 0 {
		cfg.seedEvery = seedEvery
	}
	if cfg.guestTime == 0 {
		cfg.guestTime = guestTime
	}
	if cfg.wall == nil {
		cfg.wall = func() time.Time { return time.Now().Round(0) } // without the monotonic clock
	}
	if cfg.addrs == nil {
		cfg.addrs = net.InterfaceAddrs
	}
	if cfg.webSeedPause == 0 {
		cfg.webSeedPause = webSeedPause
	}
	f, err := openFolder(cfg.Dir, cfg.Mountpoint)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, log: cfg.Log, folder: f, clock: clock{time.Now()}, stirred: make(chan struct{}, 1), received: make(chan struct{}, 1),
		lanes:    make(chan struct{}, allLanes),
		torrents: map[wire.Digest]*Torrent{}, hidden: map[[20]byte]wire.Digest{},
		names: map[string]*Torrent{}, earlier: map[string]*Torrent{}, buried: map[uint32]string{}, held: map[string]bool{},
		directories: map[string]*Directory{},
	}
	c.root = &Directory{c: c, made: c.clock.start}
	c.bySlot = map[uint32]*Directory{0: c.root}
	c.waiting.most, c.waiting.now = cfg.WaitingReads, c.clock.now
	c.programs.init("/proc")
	c.habits.of = map[string]habit{}
	c.shares.init(cfg.Limits)
	c.localOnly.init(cfg.LocalOnly)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.farewell, c.silence = context.WithCancel(context.Background())
	c.lastWord, c.hush = context.WithCancel(context.Background())
	if err := c.open(); err != nil {
		c.Close(context.Background())
		return nil, err
	}
	return c, nil
}

func (c *Client) open() error {
	var err error
	if c.state, err = c.folder.loadClient(); err != nil {
		return err
	}
	warnings, err := diskcache.Probe(c.cfg.Dir)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.log.Warn(w, "dir", c.cfg.Dir)
	}
	c.me = c.newIdentity()
	c.net, err = NewNetwork(NetworkConfig{UserAgent: "bipfs/" + c.cfg.Version, Bind: c.cfg.Bind, Proxy: c.cfg.Proxy})
	if err != nil {
		return err
	}
	if err := c.LoadBlocklist(c.ctx); err != nil {
		return err
	}
	c.ways = trackerWays(c.net)
	c.disk, err = diskcache.Open(diskcache.Config{
		Memory: c.cfg.Memory, KeepFree: c.cfg.KeepFree, Evict: c.cfg.Evict, Most: c.cfg.Disk, Lent: c.cfg.Lent,
		Connections: spares(c.cfg.Memory) + allLanes, Log: c.log,
	})
	if err != nil {
		return err
	}
	c.hand = handshake.New(handshake.Config{
		PeerID: c.me.peerID, Identity: c.identity, Us: c.outer, Reserved: c.reserved(), Dial: c.dial, Redial: c.redial, Blocked: c.net.Blocked,
		Find: c.find, Known: c.known, Twins: c.twins, Become: c.become, Seed: uint64(c.me.key), Log: c.log,
		Punch: c.punch, Unreached: c.unreached,
		Limits: c.cfg.peers(), Encryption: c.cfg.Encryption,
	})
	c.first = c.state.Port == 0 && c.state.NextSlot == 1
	if err := c.listen(); err != nil {
		return err
	}
	c.spawn(c.watch)
	c.spawn(c.host)
	c.joinUDP()
	c.joinDHT()
	c.joinLSD()
	if err := c.load(); err != nil {
		return err
	}
	c.disk.Bound(c.tenants)
	for _, url := range c.state.URLs {
		c.fetchURL(url)
	}
	c.spawn(c.striveAll)
	c.spawn(c.recount)
	c.spawn(c.tend)
	return nil
}

// reserved are the extension bits of our handshakes.
func (c *Client) reserved() [8]byte {
	r := handshake.Reserved
	if c.cfg.DHT {
		r[7] |= handshake.NodeBit
	}
	return r
}

// digits are the four digits of a version in a peer id: 0.1.2 is 0120.
func digits(version string) string {
	out := make([]byte, 0, 4)
	for _, r := range version {
		if r >= '0' && r <= '9' && len(out) < 4 {
			out = append(out, byte(r))
		}
	}
	for len(out) < 4 {
		out = append(out, '0')
	}
	return string(out)
}

// load opens the stored torrents. One that cannot be used is reported and
// skipped.
func (c *Client) load() error {
	all, alone, err := c.folder.torrents(c.log)
	if err != nil {
		return err
	}
	for _, s := range all { // first: a new slot is to be none of them
		c.state.NextSlot = max(c.state.NextSlot, s.state.Slot+1)
		for _, slot := range slices.Concat(s.state.FolderSlots, s.state.Slots) {
			c.state.NextSlot = max(c.state.NextSlot, slot+1)
		}
	}
	var remains []diskcache.Remains
	for _, name := range alone {
		remains = append(remains, c.folder.remainsOf(name, 0))
	}
	for _, s := range all {
		if s.state.Removed != 0 && !c.resumes(s) {
			if c.bury(s) {
				remains = append(remains, c.folder.remainsOf(s.id.String(), s.state.Removed))
			}
			continue
		}
		var err error
		if slices.Contains(c.cfg.Aside, s.id.Hash.String()) {
			err = ErrAside
		} else {
			labelled(s.id.Hash, func() { err = c.restore(s) })
		}
		if err != nil {
			c.log.Warn("a stored torrent cannot be used and is left alone", "torrent", s.id.String(), "err", err)
			remains = append(remains, c.folder.remainsOf(s.id.String(), 0))
		}
	}
	c.disk.Remain(remains, c.remains)
	c.spawn(c.sweep)
	return nil
}

func (c *Client) restore(s stored) error {
	t := newTorrent(c, s.id, s.state)
	if err := t.remember(s); err != nil {
		return err
	}
	if err := errors.Join(t.rememberPins(), t.rememberLimits()); err != nil {
		return err
	}
	if s.state.Removed != 0 {
		t.resume()
	}
	identified, err := t.identify(&t.state)
	if err != nil {
		return err
	}
	if err := t.refusal(); errors.Is(err, ErrNoUpload) {
		c.log.Warn("a stored torrent is left alone but for what is here of it", "torrent", t.id, "err", ErrNoUpload)
	}
	moved, err := c.restored(t)
	if err != nil {
		return err
	}
	identified = identified && !moved
	c.mu.Lock()
	c.insert(t, s.state.Name)
	state := t.state
	c.mu.Unlock()
	if t.Info() == nil {
		if !identified {
			state.Name = "" // chosen when the metadata is here
			err = c.folder.saveTorrent(t.id, state)
		}
		if err == nil && !t.stopped.Load() {
			_, err = t.activate()
		}
		return err
	}
	if !identified || state.Name != s.state.Name { // an older program stored it; the last stop came before it was stored
		return c.folder.saveTorrent(t.id, state)
	}
	return nil
}

// known reports whether a peer may ask for an infohash.
func (c *Client) known(hash [20]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.torrents[hash]
	return t != nil && t.unusable() == nil && t.refusal() == nil
}

// twins is the two infohashes of a hybrid.
func (c *Client) twins(hash [20]byte) (twins handshake.Twins, ok bool) {
	c.mu.Lock()
	t := c.torrents[hash]
	c.mu.Unlock()
	if t == nil {
		return twins, false
	}
	info := t.Info()
	if info == nil || !info.HasV1() || !info.HasV2() {
		return twins, false
	}
	return handshake.Twins{Kept: t.hash, V1: info.Hash, V2: info.V2.Short()}, true
}

// become is the connected peer: it runs in the goroutine that made the
// connection, until the connection ends.
func (c *Client) become(ctx context.Context, conn *handshake.Conn) error {
	c.mu.Lock()
	t := c.torrents[conn.Infohash]
	c.mu.Unlock()
	if t == nil {
		return ErrClosed
	}
	l, err := t.activate()
	if err != nil {
		return err
	}
	return l.host(ctx, conn)
}

// spawn runs f in a goroutine that Close joins. Once the client is being closed
// it does nothing, and reports so: what f would wait for has ended.
func (c *Client) spawn(f func()) bool {
	c.life.Lock()
	defer c.life.Unlock()
	if !c.ended {
		c.wg.Go(f)
	}
	return !c.ended
}

// enter has Close wait for the caller, who calls c.wg.Done at the end. It is
// false once the client is being closed.
func (c *Client) enter() bool {
	c.life.Lock()
	defer c.life.Unlock()
	if !c.ended {
		c.wg.Add(1)
	}
	return !c.ended
}
