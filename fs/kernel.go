package fs

import (
	"context"
	"log/slog"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// mostNotices is the most notices that wait to be told. Over it notices are
// dropped, with one line in the log: what is not Fixed is asked for again
// anyway.
const mostNotices = 64 << 10

// Kernel tells the kernel what it should forget. Nobody waits: a notice is put
// in a queue and told by a goroutine of its own, because the kernel may hold it
// up until a request is answered. A notice that waits already is not put twice.
// The zero Kernel tells nobody.
type Kernel struct{ n *notices }

// Entry says that a name came, went or means something else now.
func (k Kernel) Entry(dir ID, name string) { k.n.put(notice{kind: entry, dir: dir, name: name}) }

// Gone says that a name that meant child is no more, even where it is in use as
// a working directory.
func (k Kernel) Gone(dir, child ID, name string) {
	k.n.put(notice{kind: gone, dir: dir, child: child, name: name})
}

// Invalidate says that the attributes of id changed. Its bytes cannot.
func (k Kernel) Invalidate(id ID) { k.n.put(notice{kind: attributes, dir: id}) }

// Told waits until the kernel has been told all that was said before, or ctx ends.
// It is never called by a handler: the kernel may hold a notice up until that is
// answered.
func (k Kernel) Told(ctx context.Context) {
	if k.n == nil {
		return
	}
	told := make(chan struct{})
	k.n.put(notice{kind: mark, told: told})
	select {
	case <-told:
	case <-k.n.stop:
	case <-ctx.Done():
	}
}

type kind uint8

const (
	entry kind = iota
	gone
	attributes
	mark // nothing for the kernel
)

type notice struct {
	kind       kind
	dir, child ID
	name       string
	told       chan struct{} // of a mark: closed when its turn comes
}

// teller is the part of fuse.Server that tells the kernel.
type teller interface {
	EntryNotify(parent uint64, name string) fuse.Status
	DeleteNotify(parent, child uint64, name string) fuse.Status
	InodeNotify(node uint64, off, length int64) fuse.Status
}

type notices struct {
	log     *slog.Logger
	to      teller
	mu      sync.Mutex
	known   map[notice]struct{} // those in queue
	queue   []notice
	full    bool // notices were dropped since the queue was empty
	bell    chan struct{}
	stop    chan struct{}
	telling sync.WaitGroup
}

func startNotices(to teller, log *slog.Logger) *notices {
	q := &notices{
		log: log, to: to, known: map[notice]struct{}{},
		bell: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	q.telling.Go(q.run)
	return q
}

// close ends the goroutine and joins it.
func (q *notices) close() {
	close(q.stop)
	q.telling.Wait()
}

func (q *notices) put(n notice) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, waits := q.known[n]; waits {
		return
	}
	if len(q.queue) >= mostNotices {
		if !q.full {
			q.full = true
			q.log.Warn("too many notices for the kernel, some are dropped", "most", mostNotices)
		}
		return
	}
	q.known[n] = struct{}{}
	q.queue = append(q.queue, n)
	select {
	case q.bell <- struct{}{}:
	default:
	}
}

func (q *notices) take() (n notice, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.queue, q.full = nil, false
		return n, false
	}
	n, q.queue = q.queue[0], q.queue[1:]
	delete(q.known, n)
	return n, true
}

func (q *notices) run() {
	for {
		select {
		case <-q.stop:
			return
		case <-q.bell:
		}
		for n, ok := q.take(); ok; n, ok = q.take() {
			select {
			case <-q.stop:
				return
			default:
				q.tell(n)
			}
		}
	}
}

// tell has nobody to report an error to. ENOENT is the usual one: the kernel
// did not know the name.
func (q *notices) tell(n notice) {
	var st fuse.Status
	switch n.kind {
	case mark:
		close(n.told)
		return
	case entry:
		st = q.to.EntryNotify(uint64(n.dir), n.name)
	case gone:
		st = q.to.DeleteNotify(uint64(n.dir), uint64(n.child), n.name)
	case attributes:
		// The offset -1 leaves the bytes alone: to drop them the kernel would
		// wait for every read under way.
		st = q.to.InodeNotify(uint64(n.dir), -1, 0)
	}
	if st != fuse.OK && st != fuse.ENOENT {
		q.log.Debug("the kernel did not take a notice", "dir", uint64(n.dir), "name", n.name, "status", st)
	}
}
