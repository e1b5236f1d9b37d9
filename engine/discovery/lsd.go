package discovery

// Local service discovery (BEP 14): who is on our links and has what we look
// for. One LSD serves all torrents of a client.
//
//	Announce ──> due ──> message of up to 24 torrents ──> each group of each link
//	              ^                                             │
//	              └──────────── 5 minutes ──────────────────────┘
//	each group ──> from our link? ──> parse ──> ours? ──> searched for? ──> Peer
//
// While no torrent searches it is in no group and has no socket.

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// The groups of BEP 14.
var (
	lsdGroup4 = netip.MustParseAddrPort("239.192.152.143:6771")
	lsdGroup6 = netip.MustParseAddrPort("[ff15::efc0:988f]:6771")
)

// Bounds of local service discovery.
const (
	// LSDEvery is how often a torrent is announced (BEP 14).
	LSDEvery = 5 * time.Minute
	// LSDSoonest is the least time between two announces of one torrent, if it
	// begins anew to search or the links change (BEP 14).
	LSDSoonest = time.Minute
	// LSDGap is the least time between two messages of ours.
	LSDGap = time.Second
	// LSDHeard is how many messages are read from one group in LSDGap; what
	// comes beyond it the kernel throws away.
	LSDHeard = 50
	// LSDPeers is how many peers of one torrent are taken between two announces
	// of it, and LSDPorts how many of them may be at one address.
	LSDPeers, LSDPorts = 64, 4
	// LSDLook is how often we look whether the links are still the same.
	LSDLook = time.Minute
)

// Group is one multicast group on one link. Its methods may be called from
// several goroutines at a time.
type Group interface {
	Send(b []byte) error
	// Receive waits for the next message of the group, and is its length and
	// where it came from. near is false if that is not on the link.
	Receive(b []byte) (n int, from netip.Addr, near bool, err error)
	// Close ends Receive.
	Close() error
}

// Links are the links that this machine is on.
type Links interface {
	// Links says what they are, in words that change when they do.
	Links() string
	// Join is the group on each link. Without one it is an error.
	Join(group netip.AddrPort) ([]Group, error)
}

// LSDConfig is what an LSD is made of.
type LSDConfig struct {
	Port  uint16 // where we accept peers; 0: nowhere, so we only listen
	Links Links
	// Peer takes a peer of a torrent that searches. It must neither wait nor
	// call the LSD, which holds its lock: once nobody announces no peer comes.
	Peer func(infohash [20]byte, addr netip.AddrPort)
	Log  *slog.Logger
}

// LSD is local service discovery. Run does it; Announce may be called from any
// goroutine.
type LSD struct {
	c      LSDConfig
	cookie string
	wake   chan struct{} // holds one ring

	mu       sync.Mutex
	torrents map[[20]byte]*neighbours
}

// neighbours are those of one torrent.
type neighbours struct {
	searching int       // for how many it is announced: two lives of a torrent may overlap
	told      time.Time // when it was announced last; zero: never
	due       time.Time
	heard     map[netip.AddrPort]bool // since then
}

// NewLSD is an LSD without torrents.
func NewLSD(c LSDConfig) *LSD {
	return &LSD{c: c, cookie: rand.Text()[:16], wake: make(chan struct{}, 1), torrents: map[[20]byte]*neighbours{}}
}

// Announce announces a torrent, and takes its peers, until ctx ends. It must not
// be a private one (BEP 27).
func (l *LSD) Announce(ctx context.Context, infohash [20]byte) {
	l.add(infohash)
	<-ctx.Done()
	l.remove(infohash)
}

func (l *LSD) add(infohash [20]byte) {
	l.mu.Lock()
	t := l.torrents[infohash]
	if t == nil {
		t = &neighbours{}
		l.torrents[infohash] = t
	}
	if t.searching++; t.searching == 1 {
		t.soon(time.Now())
	}
	l.mu.Unlock()
	l.ring()
}

func (l *LSD) remove(infohash [20]byte) {
	l.mu.Lock()
	t := l.torrents[infohash]
	if t.searching--; t.searching == 0 {
		t.heard = nil
	}
	l.mu.Unlock()
	l.ring()
}

func (l *LSD) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// soon has a torrent announced as soon as BEP 14 allows.
func (t *neighbours) soon(now time.Time) {
	if t.due = now; !t.told.IsZero() && t.told.Add(LSDSoonest).After(now) {
		t.due = t.told.Add(LSDSoonest)
	}
}

// Run announces and listens until ctx ends.
func (l *LSD) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if l.idle() {
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
			continue
		}
		l.meet(ctx)
	}
}

// idle reports whether no torrent searches.
func (l *LSD) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.torrents {
		if t.searching > 0 {
			return false
		}
	}
	return true
}

// meet is one stay in the groups: until no torrent searches, the links change,
// or ctx ends.
func (l *LSD) meet(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	links := l.c.Links.Links()
	groups := map[Group]netip.AddrPort{}
	for _, to := range []netip.AddrPort{lsdGroup4, lsdGroup6} {
		joined, err := l.c.Links.Join(to)
		if err != nil {
			l.c.Log.Debug("a group of local service discovery is not joined", "group", to, "err", err)
		}
		for _, g := range joined {
			groups[g] = to
			listening.Go(func() { l.listen(ctx, g) })
		}
	}
	defer func() {
		for g := range groups {
			g.Close()
		}
	}()
	for look := time.Now().Add(LSDLook); !l.idle(); {
		now := time.Now()
		if !now.Before(look) {
			if l.c.Links.Links() != links {
				l.again(now)
				return
			}
			look = now.Add(LSDLook)
		}
		hashes, next := l.due(now, look)
		if l.c.Port != 0 && len(hashes) > 0 {
			l.send(groups, Search{Port: l.c.Port, Infohashes: hashes, Cookie: l.cookie})
		}
		select {
		case <-time.After(LSDGap): // between two messages, and two looks at what is due
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(time.Until(next)):
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

// again has all torrents announced: the links have changed.
func (l *LSD) again(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.torrents {
		if t.searching > 0 {
			t.soon(now)
		}
	}
}

// due are the torrents to be announced now, MaxSought at most, and when the
// next ones are, or latest.
func (l *LSD) due(now, latest time.Time) (hashes [][20]byte, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = latest
	for hash, t := range l.torrents {
		switch {
		case t.searching == 0:
			if now.Sub(t.told) >= LSDSoonest {
				delete(l.torrents, hash)
			}
			continue
		case !t.due.After(now) && len(hashes) < MaxSought:
			hashes = append(hashes, hash)
			t.told, t.due, t.heard = now, now.Add(LSDEvery), nil
		}
		if t.due.Before(next) {
			next = t.due
		}
	}
	return hashes, next
}

// send tells every group of s. What does not go out is weather: it is told
// again in LSDEvery.
func (l *LSD) send(groups map[Group]netip.AddrPort, s Search) {
	for g, to := range groups {
		if err := g.Send(s.Append(nil, to)); err != nil {
			l.c.Log.Debug("local service discovery is not heard", "group", to, "err", err)
		}
	}
}

// listen takes what a group hears until it is closed or ctx ends.
func (l *LSD) listen(ctx context.Context, g Group) {
	var b [MaxSearch + 1]byte // one more, to tell what is too long
	var since time.Time
	for heard := 0; ; heard++ {
		if now := time.Now(); now.Sub(since) >= LSDGap {
			since, heard = now, 0
		}
		if heard == LSDHeard {
			select {
			case <-time.After(time.Until(since.Add(LSDGap))):
			case <-ctx.Done():
				return
			}
		}
		n, from, near, err := g.Receive(b[:])
		if err != nil {
			// A link that went down: its end is found when the links are looked at.
			return
		}
		if near {
			l.hear(b[:n], from)
		}
	}
}

// hear takes one message.
func (l *LSD) hear(b []byte, from netip.Addr) {
	s, err := ParseSearch(b)
	if err != nil || s.Cookie == l.cookie {
		return
	}
	at := netip.AddrPortFrom(from, s.Port)
	for _, hash := range s.Infohashes {
		l.take(hash, at)
	}
}

// take takes a peer of a torrent, unless it is known or one too many.
func (l *LSD) take(hash [20]byte, at netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.torrents[hash]
	if t == nil || t.searching == 0 || t.heard[at] || len(t.heard) >= LSDPeers {
		return
	}
	ports := 0
	for a := range t.heard {
		if a.Addr() == at.Addr() {
			ports++
		}
	}
	if ports >= LSDPorts {
		return
	}
	if t.heard == nil {
		t.heard = map[netip.AddrPort]bool{}
	}
	t.heard[at] = true
	l.c.Peer(hash, at)
}
