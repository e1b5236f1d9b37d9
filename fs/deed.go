package fs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Who watches a mount by inotify(7) sees what is done to it by system calls, and
// nothing else. So what has changed in the Tree is done once more, for show, by a
// process of ours, the hand (hand.go), whose requests are known here by its thread:
//
//	Show ──▶ queue ──▶ deeds.run ──pipe──▶ hand ── mkdir(2) ──▶ kernel ──▶ inotify
//	                      │                                       │
//	                      └─ doing: the one deed under way ◀─MKDIR─┘ answered by nodes
//
// A deed changes nothing: the handlers answer the hand as if the name were still to
// come, or were still there, and everybody else as always.

const (
	// mostDeeds is the most deeds that wait to be done. Over it they are dropped,
	// with one line in the log: who watches has to look for itself anyway.
	mostDeeds = 16 << 10
	// mostTries is how often a deed is begun again that was hindered by what the
	// kernel knew of the name.
	mostTries = 4
	// forgetTime is how long the kernel may take to forget that.
	forgetTime = time.Second
)

type act uint8

const (
	creates act = iota
	removes
	moves
	completes
)

// A deed is something to be seen.
type deed struct {
	act   act
	place Place
	to    Place // of a move
	id    ID    // what the name means, or meant
}

// new is the place of the name that the deed makes, if it makes one.
func (d deed) new() (p Place, ok bool) {
	switch d.act {
	case creates:
		return d.place, true
	case moves:
		return d.to, true
	}
	return p, false
}

// doing is the deed under way, and the thread that does it.
type doing struct {
	deed
	tid uint32
}

// coming are the names that are still to be shown. The kernel is to ask for them each
// time: one that it keeps would have the hand's mkdir fail with EEXIST.
type coming struct {
	some atomic.Int32 // deeds, so that nobody else waits for the lock
	mu   sync.Mutex
	of   map[comingName]int
}

type comingName struct {
	dir  ID
	name string
}

// add counts a deed (1), or that it is done (-1).
func (c *coming) add(d deed, n int) {
	place, ok := d.new()
	if !ok {
		return
	}
	dir, name := place.Last()
	of := comingName{dir, name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[comingName]int{}
	}
	c.some.Add(int32(n))
	if c.of[of] += n; c.of[of] == 0 {
		delete(c.of, of)
	}
}

func (c *coming) has(dir ID, name string) bool {
	if c.some.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[comingName{dir, name}] > 0
}

// Show has who watches the mount by inotify(7) see what has changed. Nobody waits for
// it; where the mount is MS_RDONLY nothing is shown. The zero Show shows nothing.
type Show struct{ d *deeds }

// Created shows that there is a new directory: IN_CREATE.
func (s Show) Created(p Place) { s.d.put(deed{act: creates, place: p, id: p.ID()}) }

// Removed shows that a directory is no more: IN_DELETE. The Tree does not know the name
// any more, nor need it know those on the way.
func (s Show) Removed(p Place) { s.d.put(deed{act: removes, place: p, id: p.ID()}) }

// Moved shows that a directory has another name, or is in another directory:
// IN_MOVED_FROM, IN_MOVED_TO.
func (s Show) Moved(from, to Place) { s.d.put(deed{act: moves, place: from, to: to, id: to.ID()}) }

// Completed shows that a file has all its bytes: IN_CLOSE_WRITE. The path is below
// the root.
func (s Show) Completed(path string, id ID) {
	s.d.put(deed{act: completes, place: Place{Path: path}, id: id})
}

type deeds struct {
	log    *slog.Logger
	nodes  *nodes
	kernel Kernel
	hire   func() (worker, error)

	mu     sync.Mutex
	hand   worker // nil: none
	queue  []deed
	full   bool // deeds were dropped since the queue was empty
	bell   chan struct{}
	stop   chan struct{}
	acting sync.WaitGroup
}

// worker does deeds: the hand, or in tests somebody else.
type worker interface {
	thread() uint32
	// do returns the errno of the system call, or errHand: then it is of no more use.
	do(deed) error
	// dismiss ends it, and what it does. It may be called more than once.
	dismiss()
}

func startDeeds(n *nodes, k Kernel, hire func() (worker, error), log *slog.Logger) *deeds {
	d := &deeds{log: log, nodes: n, kernel: k, hire: hire, bell: make(chan struct{}, 1), stop: make(chan struct{})}
	d.acting.Go(d.run)
	return d
}

// close ends the goroutine and the hand.
func (d *deeds) close() {
	if d == nil {
		return
	}
	close(d.stop)
	d.exchange(nil) // it may be waiting for an answer that nobody gives any more
	d.acting.Wait()
}

// exchange dismisses the hand and puts another in its place, or none.
func (d *deeds) exchange(hand worker) {
	d.mu.Lock()
	was := d.hand
	d.hand = hand
	if hand != nil && d.stopped() { // it comes too late
		was, d.hand = hand, nil
	}
	d.mu.Unlock()
	if was != nil {
		was.dismiss()
	}
}

// ready is the hand, which is started if there is none; nil if none can be. failed is
// when that was tried last.
func (d *deeds) ready(failed *time.Time) worker {
	d.mu.Lock()
	hand := d.hand
	d.mu.Unlock()
	if hand != nil || !failed.IsZero() && time.Since(*failed) <= hireAgain {
		return hand
	}
	hand, err := d.hire()
	if err != nil {
		*failed = time.Now()
		d.log.Warn("inotify shows nothing of this mount for a while: no process for it can be started", "err", err)
		return nil
	}
	d.exchange(hand)
	return hand
}

func (d *deeds) put(x deed) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) >= mostDeeds {
		if !d.full {
			d.full = true
			d.log.Warn("too much has changed at once for inotify, some is not shown", "most", mostDeeds)
		}
		return
	}
	d.queue = append(d.queue, x)
	d.nodes.coming.add(x, 1)
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

func (d *deeds) take() (x deed, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.queue, d.full = nil, false
		return x, false
	}
	x, d.queue = d.queue[0], d.queue[1:]
	return x, true
}

// run has the hand do what is in the queue. The hand comes with the first deed and
// goes when there was none for a while.
func (d *deeds) run() {
	var failed time.Time
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-idle.C:
			d.exchange(nil)
			continue
		case <-d.bell:
		}
		for x, ok := d.take(); ok && !d.stopped(); x, ok = d.take() {
			if hand := d.ready(&failed); hand != nil && !d.act(hand, x) {
				d.exchange(nil)
			}
			d.nodes.coming.add(x, -1)
		}
		idle.Reset(idleTime)
	}
}

func (d *deeds) stopped() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// act has the hand do one deed, and reports whether it may do another.
func (d *deeds) act(hand worker, x deed) bool {
	var err error
	for range mostTries {
		d.nodes.doing.Store(&doing{x, hand.thread()})
		err = hand.do(x)
		d.nodes.doing.Store(nil)
		if !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.ENOTEMPTY) || x.act == completes || d.stopped() {
			break
		}
		// Somebody has found the new name before it was known to come, or still has what
		// was below the old one.
		place, ok := x.new()
		if !ok {
			place = x.place
		}
		d.kernel.Entry(place.Last())
		ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
		d.kernel.Told(ctx)
		cancel()
	}
	if err != nil {
		d.log.Debug("inotify has not shown it", "path", x.place.Path, "err", err)
	}
	return !errors.Is(err, errHand)
}

// deed is what the thread that asks is to show, or nil for everybody but the hand.
func (n *nodes) deed(h *fuse.InHeader) *deed {
	if d := n.doing.Load(); d != nil && d.tid == h.Pid {
		return &d.deed
	}
	return nil
}

// find is what a name means to the hand, if it is to be deceived: what it makes is not
// there yet, what it removes still is, and so is the way to that.
func (d *deed) find(t Tree, dir ID, name string) (a Attr, err error, ok bool) {
	if place, makes := d.new(); makes && place.is(dir, name) {
		return a, syscall.ENOENT, true
	}
	switch {
	case d.act == removes && d.place.is(dir, name):
		return wasDirectory(d.id), nil, true
	case d.act == moves && d.place.is(dir, name):
		a, err = t.Attr(d.id)
		a.Fixed = false
		return a, err, true
	}
	if id, ok := d.place.way(dir, name); ok && d.act != creates {
		if _, err := t.Attr(id); errors.Is(err, syscall.ENOENT) {
			return wasDirectory(id), nil, true
		}
	}
	return a, nil, false
}

// attr is the attributes of what is on the way to what the hand removes, and is gone.
func (d *deed) attr(id ID) (a Attr, ok bool) {
	if d == nil || d.act == creates || !slices.Contains(d.place.IDs, id) {
		return a, false
	}
	return wasDirectory(id), true
}

// wasDirectory is what is told of a directory that is no more.
func wasDirectory(id ID) Attr { return Attr{ID: id, Mode: syscall.S_IFDIR | 0o555, Links: 2} }

// may reports whether a deed is the one that the hand asks for, and what it is to
// show is so: the Tree may have changed again since.
func (d *deed) may(t Tree, does act, dir uint64, name string, toDir uint64, to string) bool {
	if d == nil || d.act != does || !d.place.is(ID(dir), name) {
		return false
	}
	if does == moves {
		if !d.to.is(ID(toDir), to) {
			return false
		}
		dir, name = toDir, to
	}
	a, err := t.Lookup(ID(dir), name)
	if does == removes {
		return errors.Is(err, syscall.ENOENT)
	}
	return err == nil && a.ID == d.id
}

// writable is a mode as the hand sees it: nobody gave it CAP_DAC_OVERRIDE.
func writable(mode uint32) uint32 {
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		return mode | 0o777
	}
	return mode | 0o222
}
