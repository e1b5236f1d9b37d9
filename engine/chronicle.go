package engine

import (
	"path"
	"sync"
	"time"

	"bipfs/engine/control"
)

// chronicle is what has happened, the latest events of it: a ring that nobody
// waits for. Who reads asks for what came after the event that it has seen last,
// and is told how many it has missed.
type chronicle struct {
	mu   sync.Mutex
	ring []control.Event // mostEvents at most; the oldest is at seq % mostEvents once it is full
	seq  uint64          // of the latest
	more chan struct{}   // closed at the next event; nil: nobody waits
}

// mostEvents is how many events are kept.
const mostEvents = 1024

// add numbers an event and keeps it.
func (c *chronicle) add(e control.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Time, e.Seq = time.Now(), c.seq+1
	c.seq++
	if len(c.ring) < mostEvents {
		c.ring = append(c.ring, e)
	} else {
		c.ring[(e.Seq-1)%mostEvents] = e
	}
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

// latest is the number of the latest event, 0 before the first.
func (c *chronicle) latest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seq
}

// after are the events after since that are kept, the oldest first, and how many
// between are not. Who has seen events that have not happened yet has seen those
// of an earlier process: it gets all.
func (c *chronicle) after(since uint64) (events []control.Event, missed uint64, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since > c.seq {
		since = 0
	}
	if first := c.seq - uint64(len(c.ring)); since < first {
		missed, since = first-since, first
	}
	for seq := since + 1; seq <= c.seq; seq++ {
		events = append(events, c.ring[(seq-1)%mostEvents])
	}
	if c.more == nil {
		c.more = make(chan struct{})
	}
	return events, missed, c.more
}

// Events are those after since that are still known, the oldest first, how many
// between are not, and what is closed when there are more.
func (c *Client) Events(since uint64) (events []control.Event, missed uint64, more <-chan struct{}) {
	return c.events.after(since)
}

// The words for what happens (docs/API.md).
const (
	evAdded         = "added"
	evMetadata      = "metadata"
	evMoved         = "moved"
	evFile          = "file-complete"
	evComplete      = "complete"
	evRemoved       = "removed"
	evStopped       = "stopped"
	evStarted       = "started"
	evPaused        = "paused"
	evResumed       = "resumed"
	evPinned        = "pinned"
	evUnpinned      = "unpinned"
	evBanned        = "peer-banned"
	evTrackerFailed = "tracker-failed"
	evDiskFull      = "disk-full"
	evDiskFree      = "disk-free"
	evError         = "error"
)

// EventNames are all of them, in the order of docs/API.md.
var EventNames = []string{
	evAdded, evMetadata, evMoved, evFile, evComplete, evRemoved, evStopped, evStarted, evPaused, evResumed,
	evPinned, evUnpinned, evBanned, evTrackerFailed, evDiskFull, evDiskFree, evError,
}

// happens notes an event of t. Client.mu is not held.
func (t *Torrent) happens(e control.Event) {
	t.c.mu.Lock()
	e.Infohash, e.Name, e.Folder = t.ID(), t.state.Name, t.state.Folder
	t.c.mu.Unlock()
	t.c.events.add(e)
}

// fileComplete notes that file i is here.
func (t *Torrent) fileComplete(i int) {
	f := t.Info().Files[i]
	t.happens(control.Event{Event: evFile, Path: path.Join(append([]string{t.Path()}, f.Path...)...)})
}

// lookAtDisk notes when the store becomes full, and when it has room again. stored
// is whether it had at the last look.
func (c *Client) lookAtDisk(stored bool) (stores bool) {
	stores = c.disk.Stats().Storing
	switch {
	case stored && !stores:
		c.events.add(control.Event{Event: evDiskFull})
	case stores && !stored:
		c.events.add(control.Event{Event: evDiskFree})
	}
	return stores
}
