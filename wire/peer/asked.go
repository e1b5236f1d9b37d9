package peer

import (
	"sync"

	"bipfs/wire"
)

// asked is the set of blocks on their way to us and the spare that the next of
// them is read into. The writer fills it, the reader empties it.
//
//	          Request                     the block
//	nothing ----------> live ----------------------------> nothing
//	                     |  Cancel, or a choke without BEP 6   ^
//	                     v                                     |
//	                  cancelled -------------------------------+
//	                     the block, a reject, or (without BEP 6) a choke
//
// A cancelled block may be on its way already, so it is taken in if it comes.
// Without BEP 6 nothing says that it will not: such entries are forgotten in
// the order in which they came, a generation at a time.
//
// The spare is held from the first live entry to the last. A connection that
// asks for nothing holds no memory.
type asked struct {
	disk Disk
	fast bool

	mu        sync.Mutex
	choked    bool // by the peer
	live      blocks
	cancelled blocks // the younger generation
	older     blocks
	spare     *wire.Buf // nil while the reader fills it
	filling   bool
}

type blocks map[wire.Block]struct{}

// remove takes b out of the set and reports whether it was in it.
func (s blocks) remove(b wire.Block) bool {
	_, in := s[b]
	delete(s, b)
	return in
}

func (a *asked) init(d Disk, fast bool) {
	*a = asked{disk: d, fast: fast, choked: true, live: blocks{}, cancelled: blocks{}, older: blocks{}}
}

// ask notes that a request for b is about to be written. It must come before
// the write: the answer can be here before the write returns. ErrNoMemory is
// that there is no spare, and the request must not be written.
func (a *asked) ask(b wire.Block) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cancelled.remove(b)
	a.older.remove(b)
	if a.choked && !a.fast {
		// The peer will drop it without a word, unless it is about to unchoke
		// us. Nobody waits for it: selection has seen the choke or will.
		a.forsake(b)
		return nil
	}
	if len(a.live) >= MaxAsked {
		return ErrAsked
	}
	if a.spare == nil && !a.filling {
		if a.spare = a.disk.Spare(); a.spare == nil {
			return ErrNoMemory
		}
	}
	a.live[b] = struct{}{}
	return nil
}

// cancel notes that a cancel of b is about to be written.
func (a *asked) cancel(b wire.Block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.live.remove(b) {
		a.forsake(b)
		a.rest()
	}
}

// forsake puts b among the cancelled. The lock is held.
func (a *asked) forsake(b wire.Block) {
	if len(a.cancelled) >= MaxAsked {
		clear(a.older)
		a.cancelled, a.older = a.older, a.cancelled
	}
	a.cancelled[b] = struct{}{}
}

// rejected notes that b will not come.
func (a *asked) rejected(b wire.Block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(b)
	a.rest()
}

// choke notes that the peer choked us. With BEP 6 it rejects each request that
// it drops. Without, all are dropped: what was cancelled before is settled;
// what was live is cancelled now, for a request that crosses a choke and the
// unchoke after it is served.
func (a *asked) choke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.choked = true
	if a.fast {
		return
	}
	clear(a.older)
	clear(a.cancelled)
	a.live, a.cancelled = a.cancelled, a.live
	a.rest()
}

// unchoke notes that the peer unchoked us.
func (a *asked) unchoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.choked = false
}

// take hands the spare to the reader, to fill it with b; ok is false if nobody
// asked for b. The reader calls give next, unless the buffer is nil: b was
// cancelled, and there is no memory for it now.
func (a *asked) take(b wire.Block) (buf *wire.Buf, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.remove(b) {
		return nil, false
	}
	buf, a.spare = a.spare, nil
	if buf == nil { // a cancelled block, and nothing live
		buf = a.disk.Spare()
	}
	a.filling = buf != nil
	return buf, true
}

// give is the end of take: buf is the next spare.
func (a *asked) give(buf *wire.Buf) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.filling, a.spare = false, buf
	a.rest()
}

// remove takes b out, live or cancelled. The lock is held.
func (a *asked) remove(b wire.Block) bool {
	return a.live.remove(b) || a.cancelled.remove(b) || a.older.remove(b)
}

// rest returns the spare if nothing live needs it. The lock is held.
func (a *asked) rest() {
	if len(a.live) == 0 && a.spare != nil {
		a.disk.Return(a.spare)
		a.spare = nil
	}
}

// end gives the spare back; both goroutines have ended.
func (a *asked) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.live)
	a.rest()
}
