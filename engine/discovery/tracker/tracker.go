// Package tracker is a small HTTP tracker (BEP 3, 7, 23) that keeps its swarms
// in memory: for the demonstration, for tests, and for a private swarm of a
// few machines. It has no database, no scrape and no access control.
package tracker

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"sync"
	"time"

	"bipfs/wire/bencode"
)

// Bounds of a tracker.
const (
	MaxTorrents = 1000
	MaxPeers    = 2000 // of one torrent
	MaxAnswer   = 200  // peers of one answer
	MaxQuery    = 4 << 10
)

// Config is what a tracker is made of; the zero Config is usable.
type Config struct {
	Interval time.Duration    // between announces; 0 means 30 minutes. After two without a word a peer is forgotten.
	Now      func() time.Time // nil: the clock
}

// Tracker is an http.Handler that answers announces under any path that ends
// in /announce.
type Tracker struct {
	interval time.Duration
	now      func() time.Time

	mu     sync.Mutex
	swarms map[[20]byte]swarm
}

// swarm is the peers of one torrent. A peer is its address: who announces
// twice is one peer.
type swarm map[netip.AddrPort]member

type member struct {
	id   [20]byte
	left int64
	seen time.Time
}

// announce is what a peer says of itself.
type announce struct {
	infohash, id [20]byte
	addr         netip.AddrPort
	left         int64
	event        string
	want         int
	compact      bool
	noID         bool
}

// New makes a tracker that knows nobody.
func New(c Config) *Tracker {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Tracker{interval: cmp.Or(c.Interval, 30*time.Minute), now: c.Now, swarms: make(map[[20]byte]swarm)}
}

// ServeHTTP answers one announce. A refusal is a "failure reason" with status
// 200, as clients expect.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Base(r.URL.Path) != "announce" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	a, refusal := parse(r)
	if refusal != "" {
		w.Write(encode(failure{refusal}))
		return
	}
	w.Write(t.announce(a))
}

// parse reads the question; refusal says what is wrong with it. The address is
// that of the connection: what a peer says of its own address is not believed,
// or it could turn the swarm on somebody else.
func parse(r *http.Request) (a announce, refusal string) {
	if len(r.URL.RawQuery) > MaxQuery {
		return a, "the query is too long"
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, "the query cannot be parsed"
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return a, "the address of the peer is unknown"
	}
	if copy(a.infohash[:], q.Get("info_hash")) != 20 || len(q.Get("info_hash")) != 20 {
		return a, "info_hash must have 20 bytes"
	}
	if copy(a.id[:], q.Get("peer_id")) != 20 || len(q.Get("peer_id")) != 20 {
		return a, "peer_id must have 20 bytes"
	}
	port, err := strconv.ParseUint(q.Get("port"), 10, 16)
	if err != nil || port == 0 {
		return a, "port must be a number from 1 to 65535"
	}
	a.addr = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), uint16(port))
	if a.left, err = strconv.ParseInt(q.Get("left"), 10, 64); err != nil {
		a.left = 1 // unknown: not a seeder
	}
	if a.want, err = strconv.Atoi(q.Get("numwant")); err != nil || a.want < 0 {
		a.want = 50
	}
	a.want = min(a.want, MaxAnswer)
	a.event, a.compact, a.noID = q.Get("event"), q.Get("compact") != "0", q.Get("no_peer_id") == "1"
	return a, ""
}

// announce notes the peer and tells it of others.
func (t *Tracker) announce(a announce) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.expire(a.infohash, now)
	s := t.swarms[a.infohash]
	if a.event == "stopped" {
		delete(s, a.addr)
		if len(s) == 0 {
			delete(t.swarms, a.infohash)
		}
		return encode(t.answer(s, announce{compact: true}))
	}
	if s == nil {
		if len(t.swarms) >= MaxTorrents && !t.expireAll(now) {
			return encode(failure{"this tracker has all the torrents it can keep"})
		}
		s = make(swarm)
		t.swarms[a.infohash] = s
	}
	if _, known := s[a.addr]; !known && len(s) >= MaxPeers {
		return encode(failure{"this tracker has all the peers of this torrent it can keep"})
	}
	s[a.addr] = member{a.id, a.left, now}
	return encode(t.answer(s, a))
}

// expire forgets the peers of a torrent that have been silent for two
// intervals and a minute.
func (t *Tracker) expire(infohash [20]byte, now time.Time) {
	s := t.swarms[infohash]
	for addr, m := range s {
		if now.Sub(m.seen) > 2*t.interval+time.Minute {
			delete(s, addr)
		}
	}
	if len(s) == 0 {
		delete(t.swarms, infohash)
	}
}

// expireAll does so for all torrents and reports whether there is room now.
func (t *Tracker) expireAll(now time.Time) bool {
	for infohash := range t.swarms {
		t.expire(infohash, now)
	}
	return len(t.swarms) < MaxTorrents
}

type failure struct {
	Reason string `bencode:"failure reason"`
}

type answer struct {
	Complete   int64       `bencode:"complete"`
	Incomplete int64       `bencode:"incomplete"`
	Interval   int64       `bencode:"interval"`
	Peers      bencode.Raw `bencode:"peers"`
	Peers6     []byte      `bencode:"peers6,omitempty"`
}

type dictionary struct {
	IP   string `bencode:"ip"`
	ID   string `bencode:"peer id,omitempty"`
	Port int64  `bencode:"port"`
}

// answer is what a is told: figures, and other peers by chance. A seeder is
// told of no seeders: they have nothing to give each other.
func (t *Tracker) answer(s swarm, a announce) answer {
	out := answer{Interval: int64(t.interval / time.Second)}
	var others []netip.AddrPort
	for addr, m := range s {
		if m.left == 0 {
			out.Complete++
		} else {
			out.Incomplete++
		}
		if addr != a.addr && (a.left != 0 || m.left != 0) {
			others = append(others, addr)
		}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	others = others[:min(len(others), a.want)]
	if a.compact {
		var peers []byte
		peers, out.Peers6 = compact(others)
		out.Peers = encode(peers)
		return out
	}
	list := []dictionary{}
	for _, addr := range others {
		d := dictionary{IP: addr.Addr().String(), Port: int64(addr.Port())}
		if id := s[addr].id; !a.noID {
			d.ID = string(id[:])
		}
		list = append(list, d)
	}
	out.Peers = encode(list)
	return out
}

// compact is addrs in the forms of BEP 23 and BEP 7.
func compact(addrs []netip.AddrPort) (peers, peers6 []byte) {
	peers = []byte{}
	for _, addr := range addrs {
		ip, to := addr.Addr().AsSlice(), &peers6
		if addr.Addr().Is4() {
			to = &peers
		}
		*to = binary.BigEndian.AppendUint16(append(*to, ip...), addr.Port())
	}
	return peers, peers6
}

// encode is v in bencode. Our own structs cannot fail to encode.
func encode(v any) []byte {
	b, err := bencode.Encode(v)
	if err != nil {
		panic("tracker: " + err.Error())
	}
	return b
}
