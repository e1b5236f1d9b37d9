package engine

import (
	"log/slog"
	"net"
	"time"

	"bipfs/diskcache"
)

// Unbounded is a Config.Disk that is no bound of its own.
const Unbounded = diskcache.Unbounded

// Config is what a client needs to know.
type Config struct {
	Dir             string        // the data folder
	Mountpoint      string        // told to whoever finds the folder in use
	Memory          int64         // bound on block memory, bytes; at least LeastMemory
	KeepFree        int64         // free space that storing leaves, bytes
	Evict           bool          // make room for what is read by evicting what was read long ago
	Disk            int64         // with Evict: bytes that are stored at most; Unbounded: as KeepFree leaves
	Listen          []string      // addresses to accept peers at; none = all, at a port chosen once
	Peers           []string      // host:port, tried for every torrent
	ReadTimeout     time.Duration // a read without progress this long fails; 0 = never
	NoUpload        bool
	Limits          Rates         // of all torrents together
	MaxPeers        int           // connected at a time, of all torrents; 0 = as many as fit
	MaxTorrentPeers int           // of one; 0 = torrentMost
	SeedRatio       float64       // bytes to give for each byte got, before a torrent seeds no more; 0 = none seeds
	SeedTime        time.Duration // or time to be offered for; 0 = none seeds
	MaxSeeding      int           // torrents that seed at a time; 0 = none
	// A private torrent seeds, if any does, and is kept until it has given so much
	// for each byte got, or was offered for so long. 0 = it is one like all others.
	PrivateSeedRatio float64
	PrivateSeedTime  time.Duration
	Encryption       Encryption // of peer connections
	Bind             string     // device or address that all packets leave from; "" = any
	Proxy            string     // URL of a proxy that everything goes through; "" = none
	NoPEX            bool       // no exchange of peers with peers (BEP 11)
	NoUTP            bool       // no uTP (BEP 29)
	// Blocklist is a file, or an http or https URL, of addresses that no peer
	// may have; "" = none.
	Blocklist string
	NoPortMap bool     // no router is asked to let peers in
	LSD       bool     // look for peers in the networks that we are in
	DHT       bool     // take part in the DHT
	DHTNodes  []string // host:port, its nodes that are asked first
	// LocalOnly are programs that get what is here and time-outs for the rest. The
	// kernel knows the first 15 bytes of their names.
	LocalOnly []string
	// Aside are torrents that are left alone, as Label names them: they have crashed
	// the program.
	Aside []string
	// Lent is that files may be lent to the kernel since an earlier process: nothing
	// gives way before Client.Settle.
	Lent bool
	// WaitingReads is how many reads may wait for the swarm at a time. 0 = 768.
	WaitingReads int
	Version      string // of the program, for the peer id and user agents
	Log          *slog.Logger

	// For tests, which cannot wait, sleep or move.
	dormantAfter  time.Duration // 0 = dormantAfter
	webSeedPause  time.Duration // 0 = webSeedPause
	watchEvery    time.Duration // 0 = watchEvery
	seedEvery     time.Duration // 0 = seedEvery
	announceEvery time.Duration // 0 = discovery.MinInterval
	guestTime     time.Duration // 0 = guestTime
	wall          func() time.Time
	addrs         func() ([]net.Addr, error)
}
