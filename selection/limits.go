package selection

import (
	"time"

	"bipfs/wire"
)

// Every bound of the machine.
const (
	// Requests to a peer.
	firstDepth     = 8                      // queue of a peer nothing is known of
	leastDepth     = 2                      // queue of the slowest peer that is not snubbed
	mostDepth      = 500                    // queue of any peer, whatever its reqq
	defaultReqq    = 250                    // reqq of a peer that does not say (BEP 10)
	eagerTime      = 100 * time.Millisecond // after our interest, so long it is asked ahead of its unchoke
	queueTime      = 300 * time.Millisecond
	guessedRate    = 512 << 10              // bytes a second, of a peer nothing is known of
	guessedRTT     = 100 * time.Millisecond // of a peer nothing is known of
	sampleTime     = 100 * time.Millisecond // shortest sample of a rate
	shortestAnswer = time.Millisecond       // what came sooner counts as that
	fewBlocks      = 4                      // of a peer say little about its rate
	leastSilence   = 2 * time.Second        // a peer with due work that is silent so long is snubbed
	mostSilence    = 20 * time.Second       // and any that is silent so long
	leastStall     = 250 * time.Millisecond // no peer that has answered is stalled sooner,
	leastFirst     = 20 * time.Millisecond  // nor any sooner than so long and one and a quarter of the others' round trip, thrice if its own is unknown,
	firstStall     = time.Second            // or so long, while none has answered
	slowQueue      = 500 * time.Millisecond // what takes a peer longer is too slow for a waiting read, if others are faster
	leastGain      = 50 * time.Millisecond  // what is urgent overtakes what is due so much later, if it comes so much sooner
	slowAnswer     = 64 << 10               // bytes a second: a peer whose first answer is slower is slow
	mostPause      = time.Second            // a longer silence is a stop, and not expected again
	soon           = time.Second            // what has its deadline within it is urgent
	mostCopies     = 64                     // blocks asked for again of others, as peers are stalled, in a burst,
	copyShare      = 30                     // and per cent of what comes, in the long run
	firstMute      = 2 * time.Second        // a snubbed peer is left alone so long,
	mostMute       = time.Minute            // doubling up to so long
	refusalTime    = 10 * time.Second       // a piece whose block a peer rejected is not asked of it,
	overflowTime   = time.Second            // or so long if its queue may have been full
	mostRefusals   = 64                     // pieces remembered so; more replace the oldest
	mostGhosts     = 2 * mostDepth          // cancelled requests remembered until they are answered,
	leastGhostTime = 500 * time.Millisecond // for so long at least,
	mostGhostTime  = 3 * time.Second        // and at most
	mostAllowed    = 64                     // allowed-fast pieces kept of a peer (BEP 6 suggests 10)

	lingerTime = 10 * time.Second // interest outlasts the last want so long

	asideTime      = time.Second            // the background steps aside so long for one read,
	asideForOthers = 150 * time.Millisecond // or for one of another torrent,
	asideBeyond    = time.Hour              // what of it is due no sooner

	// Pieces.
	horizon    = 128 // pieces considered in the strict order of their deadlines
	mostOpens  = 64  // Opens that may wait for a grant ahead of another
	mostAskers = 2   // peers asked for one block at once

	mostEarlyBlocks = 2 * wire.MaxPieceLength / wire.BlockSize // of a piece, before their grant

	// Endgame.
	lastBlocks  = 32 // a piece with no more blocks on their way may ask for them twice
	endgameSpan = 4  // pieces looked at
	mostDoubles = 16 // blocks asked twice at once

	// Serving.
	mostRequests   = 2000             // requests queued for a peer: some clients refill their queue twice a second at most
	mostRejects    = 2 * mostRequests // rejects not sent yet; a peer that causes more floods
	regularSlots   = 4                // peers unchoked for their rate
	roundTime      = 10 * time.Second
	turnTime       = time.Minute // a seeding turn ends after so long,
	turnBytes      = 16 << 20    // or so many bytes, if others wait
	mostSuggested  = 4           // pieces suggested (BEP 6) to who is unchoked
	mostGifts      = 10          // allowed-fast pieces of a newcomer (BEP 6),
	giftBytes      = 2 << 20     // of which it may take so much while choked, or two pieces
	optimisticTurn = 3           // rounds that an optimistic unchoke lasts

	// Proof and defence.
	mostFailures     = 64                     // failed copies of pieces kept for comparison
	mostDigests      = 1 << 17                // digests kept in them
	mendLength       = 4 << 20                // bytes of a piece: of longer ones the disk cache keeps no bad copy
	shareTime        = 500 * time.Millisecond // a piece that fresh peers bring in this time is not shared with more of them
	shareWait        = 20 * time.Millisecond  // fresh peers that connect so much later than the first find their part of a piece
	suspectTime      = 10 * time.Second
	trialTime        = 500 * time.Millisecond     // a peer whose first block is not proven for so long is trusted without
	mostLeafExposure = 16                         // open pieces with something unverified of a peer, for what leaves have proven of it
	mostProven       = 1 << 24                    // verified blocks counted of a peer
	mostVerdicts     = 64                         // verified leases remembered for blocks reported late
	mostStreak       = 16                         // verified pieces after which exposure is no longer bounded
	mostUnasked      = 32                         // blocks nobody asked for, without any reason
	mostForgiven     = 1000                       // and with one
	mostNoise        = mostRequests + mostRejects // messages without use: a choke may meet a full queue,
	noiseLeak        = 50                         // of which so many are forgotten each second
	mostEarlyHaves   = 4096                       // haves kept before the geometry is known; more are lost
	leastLog         = 64                         // entries of the log of pieces beyond one for each piece
	longestRequest   = 128 << 10

	// A choked peer that choked us less than this ago may unchoke soon.
	hopeTime = 40 * time.Second
)

// blockTime is how long a block takes at a rate in bytes a second.
func blockTime(rate int64, blocks int) time.Duration {
	return time.Duration(int64(blocks) * wire.BlockSize * int64(time.Second) / max(rate, 1))
}
