// Package handshake turns addresses and accepted sockets into connected peers.
//
//	Offer, Want -> candidates -> scheduler --go--> dial ----+
//	                   ^                                    |   encrypted or plain, 68 bytes
//	                   |                                    +-> each way, ten seconds for all
//	                   |          Serve --go--> accepted ---+
//	                   |                                    |
//	                   |                                    v
//	                   |                    admit: self? banned? twice? too many?
//	                   |                                    |
//	                   |                                    v
//	                   +--- back-off <--- leave <--- Become(ctx, Conn)
//
// The goroutine that opens a socket is that peer until it closes: the
// handshake becomes the connected peer by one function call, and what that
// function returns says how the peer ended. One more goroutine, the scheduler,
// starts the dials; it sleeps until the next candidate is due or something
// changed. Everything it knows is behind one mutex that no socket is touched
// under.
package handshake

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"bipfs/handshake/mse"
)

// Conn is a socket whose handshake is done.
type Conn struct {
	net.Conn               // the socket itself, as Dial or Accept gave it, or RC4 over it
	Reader   *bufio.Reader // over Conn; holds what came behind the handshake
	Infohash [20]byte
	PeerID   [20]byte
	Reserved [8]byte  // the extension bits that both sides set
	Agreed   [20]byte // the infohash that was answered; of a hybrid either, whatever it is kept by
	Incoming bool
	Trip     time.Duration  // how long it took to connect, about a round trip; 0 if it was accepted
	Addr     netip.AddrPort // of the other end; IPv4 is never mapped into IPv6
	Source   Source
	MSE      mse.Method // how the stream goes on after an encrypted handshake; 0: that was plain

	ours   [20]byte // the peer ID that we said
	secret [20]byte // the infohash that an accepted encrypted handshake knew

	byV2     bool // it was found by the v2 infohash of a hybrid
	upgrades bool // it takes the v2 infohash for an answer to the other
	redial   bool // it is to be reached in another way than the last time
	punch    bool // it is to be reached by Config.Punch
}

// over is the network that c runs over, "tcp" or "udp"; "" before there is one.
func (c *Conn) over() string {
	if c.Conn == nil {
		return ""
	}
	return c.LocalAddr().Network()
}

// UTP reports whether c runs over uTP.
func (c *Conn) UTP() bool { return c.over() == "udp" }

// Fast reports whether both sides speak BEP 6.
func (c *Conn) Fast() bool { return c.Reserved[7]&Reserved[7] != 0 }

// Extended reports whether both sides speak BEP 10.
func (c *Conn) Extended() bool { return c.Reserved[5]&Reserved[5] != 0 }

// Node reports whether both sides are nodes of the DHT (BEP 5).
func (c *Conn) Node() bool { return c.Reserved[7]&NodeBit != 0 }

// NodeBit, in the last byte of the extension bits, says that a client is a node
// of the DHT (BEP 5).
const NodeBit = 0x01

// Reserved is the extension bits of a client that speaks BEP 6 and BEP 10.
var Reserved = [8]byte{5: 0x10, 7: 0x04}

// Limits of the handshaker. Zero fields take the value of Defaults.
type Limits struct {
	Handshake  time.Duration // for all of a handshake, the connect included
	HalfOpen   int           // dials under way, of all torrents
	PerTorrent int           // dials under way of one torrent
	Accepting  int           // handshakes of accepted sockets under way; one more closes the oldest
	PerIP      int           // of these from one IPv4 address or /64 of IPv6; one more is closed
	Peers      int           // connections that stand, of one torrent, in and out
	AllPeers   int           // connections that stand, of all torrents
	ForDialled int           // of each of the two, kept for those that we dial; a quarter at most
	Candidates int           // addresses kept for one torrent
	Bans       int           // addresses banned for one torrent, and for all; the oldest are forgotten
	First      time.Duration // back-off after the first failure; doubles with each
	Longest    time.Duration // back-off at the most
	UserMost   time.Duration // the same for a peer that the user, or a magnet link, named
}

// Defaults are the limits that hold where Config says nothing.
var Defaults = Limits{
	Handshake: 10 * time.Second, HalfOpen: 64, PerTorrent: 30, Accepting: 256, PerIP: 16,
	Peers: 200, AllPeers: 500, Candidates: 2000, Bans: 4096,
	First: time.Second, Longest: 30 * time.Minute, UserMost: time.Minute,
}

// Config is what a Handshaker is made of.
type Config struct {
	PeerID [20]byte
	// Identity is our peer ID for one torrent; nil: PeerID for all. It must not
	// wait.
	Identity func(infohash [20]byte) [20]byte
	Reserved [8]byte // our extension bits
	// Dial opens a socket; it ends when ctx does.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Redial is Dial after a failure, and after every second one from then on:
	// the peer may be reached in another way. nil: Dial.
	Redial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Punch is Dial for Handshaker.Punch; nil: nobody is reached so.
	Punch func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Unreached is told of a candidate that could not be connected to. It is
	// called in the goroutine that tried, and may wait. It may be nil.
	Unreached func(infohash [20]byte, addr netip.AddrPort)
	// Find is the infohash that Obfuscate makes name of, if the torrent is here:
	// a look-up in a table. It is not asked if Encryption is Off.
	Find func(name [20]byte) (infohash [20]byte, known bool)
	// Us is our own address of one family, as the world sees it, for the order of
	// the dials (BEP 40); invalid while it is not known. nil: it never is.
	Us func(six bool) netip.AddrPort
	// Known reports whether an accepted peer may ask for the torrent. It may
	// wake the torrent; it should not wait.
	Known func(infohash [20]byte) bool
	// Twins tells of a hybrid torrent, asked by either of its infohashes, the
	// both; not ok if it is none. It may be nil; it should not wait.
	Twins func(infohash [20]byte) (Twins, bool)
	// Become is the connected peer, from the end of the handshake to the close
	// of the socket. It returns why the peer ended: ErrBanned bans its IP
	// address for this torrent; after ErrIdle, which is no fault of the peer's,
	// it is dialled again as soon as the torrent wants peers; after anything
	// else the sooner the longer it lasted. ctx ends with Close, or when the connection
	// turns out to be the lesser of two to one peer.
	Become func(ctx context.Context, c *Conn) error
	// Blocked reports whether the user wants no peer at an address; nil: none.
	// It must not wait. After it has changed, Sweep ends who stands.
	Blocked    func(netip.Addr) bool
	Encryption Encryption
	Limits     Limits
	Seed       uint64 // of the jitter of back-offs
	Log        *slog.Logger
}

// Why a handshake fails or a connection ends.
var (
	ErrBanned    = errors.New("peer is banned")
	ErrClosed    = errors.New("handshaker is closed")
	ErrDuplicate = errors.New("peer is connected twice")
	ErrFull      = errors.New("too many peers are connected")
	ErrIdle      = errors.New("torrent needs no peers at the moment")
	ErrForgotten = errors.New("torrent was removed")
	ErrInfohash  = errors.New("peer answered for another torrent")
	ErrProtocol  = errors.New("not the BitTorrent protocol")
	ErrSelf      = errors.New("connected to ourselves")
	ErrUnknown   = errors.New("peer asked for a torrent that is not here")
	ErrPanic     = errors.New("bug in a peer's goroutine")
)

// Handshaker makes peers for any number of torrents.
type Handshaker struct {
	config Config
	limits Limits
	log    *slog.Logger

	life context.Context
	end  context.CancelCauseFunc
	wg   sync.WaitGroup // every goroutine of ours
	bell chan struct{}  // of one: wakes the scheduler; a ring while it works stays in it

	mu       sync.Mutex
	closed   bool
	rand     *rand.Rand
	torrents map[[20]byte]*torrent
	hungry   []*torrent // want more connections than stand or are under way
	banned   bans
	selves   bans      // our own addresses, as far as we met them
	halfOpen int       // dials under way
	resume   time.Time // no dial before: this machine could not open a socket
	standing int       // connections, between admit and leave
	accepted []*accepted
}

// New makes a Handshaker and starts its scheduler. Close must follow.
func New(c Config) *Handshaker {
	h := &Handshaker{
		config: c, limits: c.Limits.filled(), log: c.Log,
		bell: make(chan struct{}, 1), torrents: map[[20]byte]*torrent{},
		rand: rand.New(rand.NewPCG(c.Seed, 0)),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.life, h.end = context.WithCancelCause(context.Background())
	h.banned, h.selves = newBans(h.limits.Bans), newBans(h.limits.Bans)
	h.wg.Go(h.schedule)
	return h
}

// Close ends the handshakes under way, cancels the context of each peer and
// returns when every goroutine has ended, those inside Become included.
func (h *Handshaker) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end(ErrClosed)
	h.wg.Wait()
}

// spawn starts a goroutine that Close joins; false after Close. The lock is
// held.
func (h *Handshaker) spawn(f func()) bool {
	if h.closed {
		return false
	}
	h.wg.Go(f)
	return true
}

// Offer names addresses at which peers of a torrent may be; of a hybrid, those
// that were found by its v2 infohash are dialled by that. Those that cannot
// be dialled, banned ones and our own are left out.
func (h *Handshaker) Offer(infohash [20]byte, s Source, addrs ...netip.AddrPort) {
	us := h.us()
	twins, hybrid := h.twins(infohash)
	byV2 := hybrid && infohash == twins.V2
	if hybrid {
		infohash = twins.Kept
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.torrent(infohash)
	now, hasRoom := time.Now(), true
	for _, a := range addrs {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if c := t.candidates[a]; c != nil {
			t.improve(c, s)
		} else if hasRoom && dialable(a) && !h.selves.has(a) && !h.isBanned(t, a.Addr()) {
			hasRoom = t.offer(candidate{addr: a, source: s, due: now, rank: us.rank(a)}, h.limits.Candidates)
		}
		if c := t.candidates[a]; c != nil && byV2 {
			c.byV2 = true
		}
	}
	h.feed(t)
}

// dialable reports whether a can be the address of a peer.
func dialable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// Want has the torrent's candidates dialled until n connections stand. 0 stops
// the dialling and closes nothing. Want and Offer may come in any order.
func (h *Handshaker) Want(infohash [20]byte, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.torrent(infohash)
	t.want = n
	h.feed(t)
}

// Withdraw forgets the candidates of a torrent that only s has named. Those
// that are connected or being dialled are forgotten when that ends, unless
// another source has named them by then.
func (h *Handshaker) Withdraw(infohash [20]byte, s Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.torrents[infohash]
	if t == nil {
		return
	}
	for _, c := range t.candidates {
		switch {
		case c.source != s:
		case c.place >= 0:
			t.drop(c)
		default:
			c.withdrawn = true
		}
	}
	h.feed(t)
}

// Forget ends the dials of a torrent and drops its candidates and bans. The
// connections that stand are for the torrent to close.
func (h *Handshaker) Forget(infohash [20]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.torrents[infohash]; t != nil {
		delete(h.torrents, infohash)
		t.want = 0
		t.end(ErrForgotten)
	}
}

// Ban never dials the address again nor lets it in, for any torrent. It closes
// nothing.
func (h *Handshaker) Ban(addr netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.banned.add(netip.AddrPortFrom(addr.Unmap(), 0))
}

func (h *Handshaker) isBanned(t *torrent, ip netip.Addr) bool {
	return t.banned.has(netip.AddrPortFrom(ip, 0)) || h.isUnwelcome(ip)
}

// isUnwelcome reports whether no torrent wants to meet ip.
func (h *Handshaker) isUnwelcome(ip netip.Addr) bool {
	return h.banned.has(netip.AddrPortFrom(ip, 0)) || h.config.Blocked != nil && h.config.Blocked(ip)
}

// Sweep ends the connections to addresses that are blocked by now.
func (h *Handshaker) Sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.torrents {
		for _, l := range t.links {
			if h.isUnwelcome(l.addr) {
				l.end(ErrBanned)
			}
		}
	}
}

// Stats is the state of one torrent.
type Stats struct {
	Candidates int // addresses known
	HalfOpen   int // of these, dialled at the moment
	Standing   int // connections, in and out
	Want       int
}

// Stats is what is known of a torrent; zero if nothing is.
func (h *Handshaker) Stats(infohash [20]byte) Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.torrents[infohash]
	if t == nil {
		return Stats{}
	}
	return Stats{Candidates: len(t.candidates), HalfOpen: t.halfOpen, Standing: t.standing, Want: t.want}
}

// torrent is the torrent's entry, which it makes if there is none. The lock is
// held.
func (h *Handshaker) torrent(infohash [20]byte) *torrent {
	t := h.torrents[infohash]
	if t == nil {
		t = &torrent{
			infohash: infohash, candidates: map[netip.AddrPort]*candidate{},
			links: map[[20]byte]*link{}, banned: newBans(h.limits.Bans),
		}
		t.life, t.end = context.WithCancelCause(h.life)
		h.torrents[infohash] = t
	}
	return t
}

// filled is l with the defaults in its zero fields.
func (l Limits) filled() Limits {
	for _, f := range []struct{ field, value *int }{
		{&l.HalfOpen, &Defaults.HalfOpen}, {&l.PerTorrent, &Defaults.PerTorrent},
		{&l.Accepting, &Defaults.Accepting}, {&l.PerIP, &Defaults.PerIP},
		{&l.Peers, &Defaults.Peers}, {&l.AllPeers, &Defaults.AllPeers},
		{&l.Candidates, &Defaults.Candidates}, {&l.Bans, &Defaults.Bans},
	} {
		if *f.field <= 0 {
			*f.field = *f.value
		}
	}
	for _, f := range []struct{ field, value *time.Duration }{
		{&l.Handshake, &Defaults.Handshake}, {&l.First, &Defaults.First},
		{&l.Longest, &Defaults.Longest}, {&l.UserMost, &Defaults.UserMost},
	} {
		if *f.field <= 0 {
			*f.field = *f.value
		}
	}
	return l
}
