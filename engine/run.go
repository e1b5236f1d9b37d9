package engine

import (
	"time"
)

// class is what a run of reads looks like, which says how far ahead is fetched.
//
//	            1st read        goes on       sequentialAfter
//	probing ───────────▶ nothing ────▶ as much again ────▶ sequential
//	sequential  30 s of what it consumes, leastWindow at least; doubled when used up,
//	            to a quarter of what it has read
//	copying     the same, over the ends of files, and sooner
//	random      nothing: it jumped mostJumps times and read little at each place
//	scanning    nothing: its program reads a little of many files (habit.go)
type class uint8

const (
	probing class = iota
	sequential
	copying
	random
	scanning
)

// Bounds of windows, in bytes; longestReadAhead and readAheadShare (limits.go)
// are the others.
const (
	// sequentialAfter is how much somebody reads on in order before it is taken
	// for one who reads to the end. Until then as much again is fetched as was
	// read, less what the kernel has asked for in advance: that grows with its
	// requests, which double up to its own bound. So who looks at the head of a
	// file, or at a frame in its middle, costs little more than the kernel asks.
	sequentialAfter = 4 << 20
	// leastWindow is the window of such a reader, at least.
	leastWindow = 8 << 20
	// partAhead is the part of what somebody has read on in order that its window
	// is at most, if that is more: so much may come in vain.
	partAhead = 4
	// leastHeir is the least window that a new place inherits after a jump.
	leastHeir = 1 << 20
	// longScan is where what a scanner reads of a file is not a little any more.
	longScan = 16 << 20
)

const (
	// windowTime is how much of what a reader consumes its window is.
	windowTime = 30 * time.Second
	// paceTime is the time over which that is counted, without the time in which
	// the reader waits for us; leastPaceTime is the least that says anything, and
	// longestRest the most that one pause counts.
	paceTime      = 20 * time.Second
	leastPaceTime = 250 * time.Millisecond
	longestRest   = 5 * time.Second
	// mostJumps is how many places in a row are left soon by who reads at random.
	mostJumps = 4
	// slowest and fastest are what deadlines take a reader's rate to be, bytes a
	// second: the order among readers is that of when they need what they want.
	slowest = 1 << 18
	fastest = 16 << 20
)

// The kernel's read-ahead comes unordered: two requests of up to 1 MiB may be
// under way, and the second may come first. Reads up to nearby ahead of where a
// reader stands, or behind behind it, belong to one run.
const (
	nearby = 1 << 20
	behind = 3 * nearby
)

// A run is reads that go on from one another. It is pure: time is an argument.
// Places are bytes of the torrent.
type run struct {
	pos    int64 // where it goes on
	length int64 // bytes that were read on in order, in the files before this, too
	window int64 // bytes ahead of pos, when it is more than a probe; 0: not yet
	mark   int64 // where the window is used up
	sought bool  // it began with a window

	longest int64 // the longest read: so much the kernel reads ahead, twice

	reads   int           // that have begun
	reading int           // that have not ended
	since   time.Duration // when the last that was alone ended
	rested  time.Duration // without a read, lately
	used    int64         // bytes consumed in that time and the reads around it
}

// holds tells whether a read at off goes on in the run.
func (r *run) holds(off int64) bool { return off >= r.pos-behind && off <= r.pos+nearby }

// begin and end are around each read: while there is none, the reader works.
func (r *run) begin(now time.Duration) {
	if r.reading == 0 && r.reads > 0 {
		r.rested += min(now-r.since, longestRest)
	}
	if r.rested > paceTime {
		r.rested, r.used = r.rested/2, r.used/2
	}
	r.reads++
	r.reading++
}

func (r *run) end(now time.Duration) {
	if r.reading--; r.reading == 0 {
		r.since = now
	}
}

// move notes a read of n bytes at off, and is by how much it got on.
func (r *run) move(off, n int64) (grown int64) {
	r.longest = max(r.longest, n)
	grown = off + n - r.pos
	if grown <= 0 {
		return 0 // the kernel's requests have overtaken each other
	}
	r.pos += grown
	r.length += min(grown, n)
	r.used += grown
	return grown
}

// pace is what the reader consumes, in bytes a second of its own time; 0: more
// than can be told, or nothing is known yet.
func (r *run) pace() int64 {
	if r.rested < leastPaceTime {
		return 0
	}
	return int64(float64(r.used) / r.rested.Seconds())
}

// look is how far ahead of pos is to be fetched now, and at most most. pieces
// is the length of a piece.
func (r *run) look(c class, most, pieces int64) int64 {
	ramp := max(0, r.length-2*r.longest)
	switch c {
	case random, scanning:
		r.window, r.sought = 0, false
		return 0
	case copying:
		ramp = max(ramp, pieces, nearby)
	default:
		if r.sought {
			ramp = max(ramp, r.window)
		}
	}
	if r.length < sequentialAfter {
		return min(ramp, most)
	}
	switch {
	case r.window < leastWindow:
		r.widen(leastWindow)
	case r.pos >= r.mark:
		r.widen(min(2*r.window, max(leastWindow, r.length/partAhead)))
	}
	if pace := r.pace(); pace > 0 {
		r.window = min(r.window, max(leastWindow, pace*int64(windowTime/time.Second)))
	}
	r.window = min(r.window, longestReadAhead)
	return min(r.window, most)
}

func (r *run) widen(window int64) { r.window, r.mark = window, r.pos+window }

// halve is that the reader went elsewhere.
func (r *run) halve() { r.widen(r.window / 2) }

// due is when bytes at a distance ahead of a reader are going to be read: at its
// own pace, and no sooner than readers get on at all, each at so many bytes a
// second.
func (r *run) due(distance, each int64) time.Duration {
	rate := min(fastest, each)
	if pace := r.pace(); pace > 0 {
		rate = min(rate, pace)
	}
	rate = max(rate, slowest)
	return time.Duration(distance/rate)*time.Second + time.Duration(distance%rate)*time.Second/time.Duration(rate)
}

// class is that of the run; files is how many it has gone through, scanner
// whether it is a scanner's, jumps how many places were left soon before it.
func (r *run) class(files int, scanner bool, jumps int) class {
	switch {
	case scanner && r.length < longScan:
		return scanning
	case files > 1:
		return copying
	case r.length >= sequentialAfter:
		return sequential
	case jumps >= mostJumps:
		return random
	case r.sought:
		return sequential
	}
	return probing
}

// due is when bytes at a distance are going to be read as far as nothing is known
// of how fast.
func due(distance int64) time.Duration { return (&run{}).due(distance, fastest) }

// share is how far ahead one of so many readers may look, of memory bytes.
func share(memory int64, readers int) int64 {
	all := memory / readAheadShare / int64(max(1, readers))
	return min(longestReadAhead, memory/mostOfOne, max(nearby, all))
}
