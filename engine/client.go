// Package engine holds torrents and the client: the only place where the
// layers meet. A torrent is one loop (loop.go); a reader turns reads of a file
// into wants with deadlines (reader.go); the client owns the data folder, the
// one door to the network, the disk cache and the handshaker.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/metainfo"
	"bipfs/handshake"
	"bipfs/wire"
)

// Config is what a client needs to know.
type Config struct {
	Dir         string        // the data folder
	Mountpoint  string        // told to whoever finds the folder in use
	Memory      int64         // bound on block memory, bytes; at least LeastMemory
	KeepFree    int64         // free space that storing leaves, bytes
	Listen      []string      // addresses to accept peers at; none = all, at a port chosen once
	Peers       []string      // host:port, tried for every torrent
	ReadTimeout time.Duration // a read without progress this long fails; 0 = never
	NoUpload    bool
	// WaitingReads is how many reads may wait for the swarm at a time. 0 = 768.
	WaitingReads int
	Version      string // of the program, for the peer id and user agents
	Log          *slog.Logger
}

// Client is a set of torrents over one data folder.
type Client struct {
	cfg    Config
	log    *slog.Logger
	clock  clock
	folder *folder
	net    *Network
	disk   *diskcache.Disk
	hand   *handshake.Handshaker
	peerID [20]byte
	key    uint32 // of announces
	port   int

	given    []netip.AddrPort // Config.Peers, resolved; written before givenSet closes
	givenSet chan struct{}

	peers   atomic.Uint32 // the last wire.Peer given out
	readers atomic.Uint64 // the last wire.Reader given out
	waiting chan struct{} // a token for each read that waits for the swarm

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine that the client starts

	mu       sync.Mutex
	closed   bool
	state    clientState
	torrents map[wire.Digest]*Torrent
	order    []*Torrent          // by slot
	names    map[string]*Torrent // as shown now
	earlier  map[string]*Torrent // as shown before
}

// ErrClosed is that the client has been closed.
var ErrClosed = errors.New("the client is closed")

// Open takes the data folder and opens every stored torrent. Nothing is sent
// for a torrent that has its metadata until it is read.
func Open(cfg Config) (*Client, error) {
	if err := checkLimits(cfg.Memory); err != nil {
		return nil, err
	}
	if cfg.WaitingReads == 0 {
		cfg.WaitingReads = 768
	}
	f, err := openFolder(cfg.Dir, cfg.Mountpoint)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, log: cfg.Log, folder: f, clock: clock{time.Now()},
		givenSet: make(chan struct{}),
		waiting:  make(chan struct{}, cfg.WaitingReads),
		torrents: map[wire.Digest]*Torrent{},
		names:    map[string]*Torrent{}, earlier: map[string]*Torrent{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
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
	c.identify()
	c.net = NewNetwork(NetworkConfig{UserAgent: "bipfs/" + c.cfg.Version})
	c.disk, err = diskcache.Open(diskcache.Config{
		Memory: c.cfg.Memory, KeepFree: c.cfg.KeepFree,
		Connections: connections(c.cfg.Memory), Log: c.log,
	})
	if err != nil {
		return err
	}
	c.hand = handshake.New(handshake.Config{
		PeerID: c.peerID, Reserved: handshake.Reserved, Dial: c.net.Dial,
		Known: c.known, Become: c.become, Seed: uint64(c.key), Log: c.log,
		Limits: handshake.Limits{AllPeers: connections(c.cfg.Memory)},
	})
	if err := c.listen(); err != nil {
		return err
	}
	c.wg.Go(c.resolvePeers)
	return c.load()
}

// identify makes the peer id (BEP 20) and the key of announces.
func (c *Client) identify() {
	copy(c.peerID[:], "-BI"+digits(c.cfg.Version)+"-")
	rand.Read(c.peerID[8:])
	var b [4]byte
	rand.Read(b[:])
	c.key = binary.BigEndian.Uint32(b[:])
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

// listen opens the listeners. Without addresses of the user's it listens at
// all addresses at one port, chosen once and kept.
func (c *Client) listen() error {
	addrs := c.cfg.Listen
	chosen := len(addrs) == 0
	if chosen {
		addrs = []string{fmt.Sprintf(":%d", c.state.Port)}
	}
	for _, addr := range addrs {
		ln, err := c.net.Listen(c.ctx, addr)
		if err != nil && chosen && c.state.Port != 0 {
			c.log.Warn("the kept port is taken by somebody else; another one is used", "port", c.state.Port, "err", err)
			ln, err = c.net.Listen(c.ctx, ":0")
		}
		if err != nil {
			return fmt.Errorf("listen at %s: %w", addr, err)
		}
		if c.port == 0 {
			c.port = ln.Addr().(*net.TCPAddr).Port
		}
		c.wg.Go(func() { c.hand.Serve(c.ctx, ln) })
	}
	if chosen && c.state.Port != c.port {
		c.state.Port = c.port
		return c.folder.saveClient(c.state)
	}
	return nil
}

// Port is the port that peers reach the client at.
func (c *Client) Port() int { return c.port }

// resolvePeers looks up the names of Config.Peers.
func (c *Client) resolvePeers() {
	defer close(c.givenSet)
	for _, hostport := range c.cfg.Peers {
		addrs, err := c.net.Resolve(c.ctx, hostport)
		if err != nil {
			c.log.Warn("a peer of --peer cannot be looked up", "peer", hostport, "err", err)
			continue
		}
		c.given = append(c.given, addrs...)
	}
}

// load opens the stored torrents. One that cannot be used is reported and
// skipped.
func (c *Client) load() error {
	all, err := c.folder.torrents(c.log)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := c.restore(s); err != nil {
			c.log.Warn("a stored torrent cannot be used and is left alone", "torrent", s.hash.String(), "err", err)
		}
	}
	return nil
}

func (c *Client) restore(s stored) error {
	t := newTorrent(c, s.hash, s.state)
	if s.metainfo != nil {
		m, err := metainfo.Parse(s.metainfo)
		if err != nil {
			return err
		}
		if m.Info.Hash != s.hash {
			return errors.New("its metadata has another infohash")
		}
		t.known(m.Info, m.Trackers)
	} else {
		m, err := metainfo.ParseMagnet(s.magnet)
		if err != nil {
			return err
		}
		t.magnet = m
		t.trackers = tiers(m.Trackers)
	}
	c.mu.Lock()
	c.state.NextSlot = max(c.state.NextSlot, s.state.Slot+1)
	c.insert(t)
	c.mu.Unlock()
	if t.info == nil {
		t.activate()
	}
	return nil
}

// insert makes t known under its names. The lock is held.
func (c *Client) insert(t *Torrent) {
	c.torrents[t.hash] = t
	c.order = append(c.order, t)
	for i := len(c.order) - 1; i > 0 && c.order[i-1].slot > t.slot; i-- {
		c.order[i], c.order[i-1] = c.order[i-1], c.order[i]
	}
	if t.state.Name == "" || c.names[t.state.Name] != nil {
		t.state.Name = chooseName(t.wantedName(), t.hash, func(n string) bool { return c.names[n] != nil })
	}
	c.names[t.state.Name] = t
	for _, n := range t.state.Earlier {
		c.earlier[n] = t
	}
}

// Add adds a torrent. One that is there already is returned as it is; the
// trackers and metadata that the source has beyond it are taken over.
func (c *Client) Add(s Source) (*Torrent, error) {
	hash := s.hash()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	if t := c.torrents[hash]; t != nil {
		c.mu.Unlock()
		t.merge(s)
		return t, nil
	}
	t := newTorrent(c, hash, torrentState{Slot: c.state.NextSlot, Added: time.Now().UnixNano()})
	c.state.NextSlot++
	err := c.folder.saveClient(c.state)
	if err == nil {
		t.take(s)
		c.insert(t)
		err = t.save()
	}
	if err != nil {
		c.drop(t)
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if t.Info() == nil {
		t.activate()
	}
	return t, nil
}

// drop undoes insert. The lock is held.
func (c *Client) drop(t *Torrent) {
	delete(c.torrents, t.hash)
	if c.names[t.state.Name] == t {
		delete(c.names, t.state.Name)
	}
	for i, o := range c.order {
		if o == t {
			c.order = append(c.order[:i:i], c.order[i+1:]...)
			break
		}
	}
}

// AddURL fetches the .torrent at a URL in the background and adds it. What
// goes wrong is logged.
func (c *Client) AddURL(url string) {
	c.wg.Go(func() {
		s, err := c.FetchSource(c.ctx, Source{URL: url})
		if err == nil {
			_, err = c.Add(s)
		}
		if err != nil && c.ctx.Err() == nil {
			c.log.Error("a torrent is skipped", "err", err)
		}
	})
}

// Torrents are all torrents by slot.
func (c *Client) Torrents() []*Torrent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Torrent(nil), c.order...)
}

// BySlot is the torrent with a slot, or nil.
func (c *Client) BySlot(slot uint32) *Torrent {
	c.mu.Lock()
	defer c.mu.Unlock()
	lo, hi := 0, len(c.order)
	for lo < hi {
		if mid := (lo + hi) / 2; c.order[mid].slot < slot {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.order) && c.order[lo].slot == slot {
		return c.order[lo]
	}
	return nil
}

// ByName finds a torrent by its shown name (listed is true), or by an earlier
// name or its infohash.
func (c *Client) ByName(name string) (t *Torrent, listed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.names[name]; t != nil {
		return t, true
	}
	if d, ok := digestOf(name); ok {
		return c.torrents[d], false
	}
	return c.earlier[name], false
}

// known reports whether a peer may ask for an infohash.
func (c *Client) known(hash [20]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.torrents[hash] != nil
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

// Close ends everything: announces `stopped` where `started` was said, closes
// every connection, writes what the time of ctx allows, and gives the folder
// back. It returns when every goroutine of the client has ended.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	order := c.order
	c.mu.Unlock()
	if again {
		return nil
	}
	c.stopTrackers(order)
	c.cancel()
	if c.hand != nil {
		c.hand.Close()
	}
	c.wg.Wait()
	var err error
	if c.disk != nil {
		err = c.disk.Close(ctx)
	}
	c.folder.close()
	return err
}

// stopTrackers tells the trackers of all torrents at the same time.
func (c *Client) stopTrackers(torrents []*Torrent) {
	ctx, cancel := context.WithTimeout(context.Background(), stoppedAnnounces)
	defer cancel()
	var wg sync.WaitGroup
	for _, t := range torrents {
		if l := t.running(); l != nil && l.trackers != nil {
			wg.Go(func() { l.trackers.Stop(ctx) })
		}
	}
	wg.Wait()
}

// FreeToStore is how many bytes storing may still use.
func (c *Client) FreeToStore() int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(c.cfg.Dir, &s); err != nil {
		return 0
	}
	return max(0, int64(s.Bavail)*int64(s.Bsize)-c.cfg.KeepFree)
}
