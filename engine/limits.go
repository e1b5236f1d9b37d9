package engine

import (
	"fmt"
	"syscall"
	"time"

	"bipfs/handshake"
	"bipfs/wire"
)

// The bounds of the engine, with what they are for. docs/LIMITS.md adds them
// up together with those of the other layers.
const (
	// maxConnections is the number of connected peers of all torrents together,
	// torrentMost that of one: as many as may come, and besides those that one
	// torrent dials for. Each has a socket, and 20 kB at most while it is idle.
	maxConnections = 3000 + torrentConnections
	torrentMost    = 1000 + torrentConnections

	// torrentConnections is how many peers one torrent dials for.
	torrentConnections = 60

	// seedConnections is how many one dials for that only seeds: leeches dial,
	// too, and the places are those that readers need.
	seedConnections = 4

	// seedEvery is how often it is looked who seeds, and how much a kill loses of
	// what is counted; seedTurn is how long one seeds before its place may be
	// another's.
	seedEvery = 30 * time.Second
	seedTurn  = 30 * time.Minute

	// leastConnections is how many peers there may be where hardly any files may
	// be open.
	leastConnections = 16

	// maxSpares is how many peers owe us a block at a time. Each holds one spare
	// block of the disk cache's memory.
	maxSpares = 400

	// mostWebSeeds is how many URLs one torrent asks at a time; the others take
	// the places of those that fail for good. Each has webSeedLanes connections:
	// while one waits for the head of an answer, the other reads.
	mostWebSeeds = 4
	webSeedLanes = 2

	// allLanes is how many connections to web seeds there are, of all torrents.
	// Each may hold one spare block. One that nobody asks for anything gives
	// its place away.
	allLanes = 64

	// webSeedPause is the pause after the first failure of a web seed; it
	// doubles up to longestWebSeedPause.
	webSeedPause        = 5 * time.Second
	longestWebSeedPause = 10 * time.Minute

	// inboxEvents is how many events of peers wait for one loop. A peer that
	// finds it full stops reading its socket: TCP then holds the peer back.
	inboxEvents = 256

	// wantEvents is the same for the lane of readers, which goes ahead.
	wantEvents = 256

	// batchEvents is how many events a loop takes in before it acts.
	batchEvents = 64

	// messageSlots, extendedSlots and loadSlots are the lanes of one peer's
	// outbox: messages of selection, of BEP 10, and loaded blocks.
	messageSlots  = 256
	extendedSlots = 16
	loadSlots     = 16

	// requestQueue is how many requests of one peer we queue, as we tell it
	// (reqq, BEP 10); selection keeps to it.
	requestQueue = 2000

	// longestReadAhead bounds how far a reader that goes on in order is read
	// ahead for, in bytes, and mostOfOne the part of the memory for which it is;
	// readAheadShare is the part for which all of them are together.
	longestReadAhead = 32 << 20
	mostOfOne        = 8
	readAheadShare   = 4

	// dormantAfter is how long a torrent without an open file, and without an
	// upload, keeps its peers.
	dormantAfter = 5 * time.Minute

	// judgeEvery is how often at most a loop asks whether a peer is useful.
	judgeEvery = 50 * time.Millisecond
	// lackEvery is how often it asks so while a read waits and none is.
	lackEvery = time.Second

	// brokenPatience is how long reads of a torrent wait once one has timed
	// out without a useful peer, until a useful peer comes.
	brokenPatience = 400 * time.Millisecond

	// openRetry is how long a store that could not be opened is left alone.
	openRetry = 5 * time.Second

	// stoppedAnnounce is how long one may take while the client goes on.
	stoppedAnnounce = 10 * time.Second

	// stoppedAnnounces is how long all `stopped` announces get together.
	stoppedAnnounces = 200 * time.Millisecond

	// lastWords is the same for those of private torrents, which may count who
	// leaves without a word as who cheats: a name, a TCP and a TLS handshake.
	lastWords = 1200 * time.Millisecond

	// LeastMemory is the least bound on block memory that the client starts
	// with: the spares, and room for two reads of the largest size.
	LeastMemory = 16 << 20
)

// checkLimits says whether the bounds fit the memory that they share.
func checkLimits(memory int64) error {
	if memory < LeastMemory {
		return fmt.Errorf("--memory %d is too little: at least %d bytes are needed", memory, LeastMemory)
	}
	return nil
}

// spares is how many peers may owe us a block at a time: their spares take no
// more than an eighth of the memory. Those of web seeds come on top.
func spares(memory int64) int {
	return int(min(maxSpares, max(16, memory/8/wire.BlockSize)))
}

// peers are the bounds on connections: those that were asked for, as far as they fit.
func (c Config) peers() handshake.Limits {
	l := handshake.Limits{AllPeers: connections(), Peers: torrentMost, ForDialled: torrentConnections}
	if c.MaxPeers > 0 {
		l.AllPeers = min(l.AllPeers, c.MaxPeers)
	}
	if c.MaxTorrentPeers > 0 {
		l.Peers = min(l.Peers, c.MaxTorrentPeers)
	}
	return l
}

// connections is how many peers may be connected at most: they take half of the
// file descriptors that this process may have, so that there are some for the
// handshakes, the store and whoever reads.
func connections() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return leastConnections
	}
	return int(min(maxConnections, max(leastConnections, r.Cur/2)))
}
