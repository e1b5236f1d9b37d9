package utp

import "time"

// Bounds of one connection.
const (
	// mostBuffer is how many bytes a connection holds at most in one direction:
	// written and not acknowledged, or received and not read. leastBuffer is
	// what it may always hold, however full the socket's memory is.
	mostBuffer  = 1 << 20
	leastBuffer = 32 << 10
	// mostFlight is how many packets are unacknowledged at most, and how far
	// ahead of the next one a packet may come. libtorrent drops what comes
	// further ahead than 512, libutp 1024.
	mostFlight = 512
	// maxSack is how many bytes of selective acknowledgements we send, a bit a
	// packet. After longer ones libtorrent 2.0.8 may never send a missing packet
	// again.
	maxSack = 32
)

// Congestion control.
const (
	target        = 100 * time.Millisecond // of queueing delay (BEP 29)
	mostGain      = 3000                   // bytes a round trip
	firstWindow   = 4                      // packets (RFC 3390, as 4 · 1232 bytes)
	leastWindow   = 2                      // packets (RFC 6817 MIN_CWND)
	baseMinutes   = 10                     // RFC 6817 BASE_HISTORY
	filterLen     = 4                      // RFC 6817 CURRENT_FILTER
	noQueue       = target / 20            // a queue that is hardly there,
	strayKeep     = 0.8                    // and what a loss leaves of the window then;
	congestedKeep = 0.5                    // what it leaves else
	drainEvery    = 4 * time.Minute        // a queue that never empties is emptied
	reordered     = 3                      // packets sent later that arrived: the earlier one is lost
)

// Times of one connection.
const (
	firstTimeout  = time.Second // before anything is measured (BEP 29)
	leastTimeout  = 500 * time.Millisecond
	mostTimeout   = 16 * time.Second
	leastProbe    = 10 * time.Millisecond
	mostAckDelay  = 100 * time.Millisecond // of a peer (libutp's)
	ackDelay      = 20 * time.Millisecond  // ours
	ackEvery      = 2                      // packets in order that are acknowledged at once
	keepAliveTime = 29 * time.Second       // of our silence: routers forget a UDP port after 30 s
	idleTime      = 2 * time.Second        // after which the window is not believed any more

	// A connection ends when this many time-outs pass in a row without a
	// sign of the peer: after 0.5 + 1 + 2 + 4 + 8 + 16 + 16 s on a short path.
	mostTimeouts = 7
	// The same for the first packet: 1 + 2 + 4 + 8 s.
	mostSynTimeouts = 4
	// halfOpenTime is how long an accepted connection may take to prove its
	// address.
	halfOpenTime = 10 * time.Second
	// stallTime is how long a peer that acknowledges may refuse all data.
	stallTime = 2 * time.Minute
	// lingerTime is how long a closed connection goes on delivering what was
	// written, timeWait how long it answers after all is said.
	lingerTime = 10 * time.Second
	timeWait   = time.Second

	never = time.Duration(1<<63 - 1)
)

// Bounds of a socket, where Config says nothing.
const (
	defaultMemory = 64 << 20 // bytes of payload of all connections
	// Handshakes of others under way: of one IP address, and in all. One more
	// of all pushes out the oldest, so that a flood of them has to go round all
	// places within one round trip of an honest peer to shut it out.
	mostHalfOpen   = 256
	mostHalfOpenIP = 16
	defaultBacklog = 64   // connections that wait for Accept
	mostConns      = 4096 // connections of all kinds
	mostResets     = 200  // a second, sent to those we do not know
)
