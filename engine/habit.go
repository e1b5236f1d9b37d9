package engine

import (
	"sync"
	"time"
)

// A program that opens many files and reads a little of each is a scanner: a
// media server's probe, a maker of thumbnails, file(1). What it has not asked
// for it will not read. It may be one process for each file, so it is known by
// its name.
//
//	file closed ── a little was read, in no time ──▶ one more
//	    └───────── more of it, or at leisure ──────▶ from the start
const (
	// scannedFiles is how many files in a row make a scanner.
	scannedFiles = 4
	// littleOf is the part of a file that is more than a little.
	littleOf = 8
	// noTime is the most time that a scanner spends with a file, without that in
	// which it waits for us. Who looks at films for longer watches them.
	noTime = 5 * time.Second
	// habitAge is how long a habit is remembered, and mostHabits how many are.
	habitAge   = 10 * time.Minute
	mostHabits = 256
)

// habits are what programs did with the files that they closed last.
type habits struct {
	mu sync.Mutex
	of map[string]habit
}

type habit struct {
	little int // files in a row of which a little was read
	at     time.Duration
}

// scans tells whether a program is a scanner.
func (h *habits) scans(name string, now time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.of[name]
	return k.little >= scannedFiles && now-k.at < habitAge
}

// closed notes that a program has closed a file of size bytes after it read so
// many of them, and was at it for so long.
func (h *habits) closed(name string, read, size int64, busy, now time.Duration) {
	if name == "" || read == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.of[name]
	if now-k.at >= habitAge || read >= size/littleOf || busy >= noTime {
		k.little = 0
	}
	if read < size/littleOf && busy < noTime {
		k.little++
	}
	k.at = now
	if _, known := h.of[name]; !known && len(h.of) >= mostHabits {
		h.forget(now)
	}
	h.of[name] = k
}

// forget makes room for one more. The lock is held.
func (h *habits) forget(now time.Duration) {
	oldest, at := "", now
	for name, k := range h.of {
		if now-k.at >= habitAge {
			delete(h.of, name)
		} else if k.at <= at {
			oldest, at = name, k.at
		}
	}
	if len(h.of) >= mostHabits {
		delete(h.of, oldest)
	}
}
