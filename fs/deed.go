package fs

import (
	"context"
	"errors"
	"log/slog"
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

// A deed is something to be seen in the root; of what is complete, below it.
type deed struct {
	act      act
	name, to string // to: of a move
	id       ID     // what the name means, or meant
}

// doing is the deed under way, and the thread that does it.
type doing struct {
	deed
	tid uint32
}

// coming are the names in the root that are still to be shown. The kernel is to ask for
// them each time: one that it keeps would have the hand's mkdir fail with EEXIST.
type coming struct {
	some atomic.Int32 // deeds, so that nobody else waits for the lock
	mu   sync.Mutex
	of   map[string]int
}

// add counts a deed (1), or that it is done (-1).
func (c *coming) add(d deed, n int) {
	name := d.name
	switch d.act {
	case moves:
		name = d.to
	case removes, completes:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.some.Add(int32(n))
	if c.of[name] += n; c.of[name] == 0 {
		delete(c.of, name)
	}
}

func (c *coming) has(dir ID, name string) bool {
	if dir != Root || c.some.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[name] > 0
}

// Show has who watches the mount by inotify(7) see what has changed. Nobody waits for
// it; where the mount is MS_RDONLY nothing is shown. The zero Show shows nothing.
type Show struct{ d *deeds }

// Created shows that the root has a new directory: IN_CREATE.
func (s Show) Created(name string, id ID) { s.d.put(deed{act: creates, name: name, id: id}) }

// Removed shows that a directory of the root is no more: IN_DELETE. The Tree does
// not know the name any more.
func (s Show) Removed(name string, id ID) { s.d.put(deed{act: removes, name: name, id: id}) }

// Moved shows that a directory of the root has another name: IN_MOVED_FROM, IN_MOVED_TO.
func (s Show) Moved(from, to string, id ID) {
	s.d.put(deed{act: moves, name: from, to: to, id: id})
}

// Completed shows that a file has all its bytes: IN_CLOSE_WRITE. The path is below
// the root.
func (s Show) Completed(path string, id ID) { s.d.put(deed{act: completes, name: path, id: id}) }

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
		// Somebody has found the new name before it was known to come.
		name := x.name
		if x.act == moves {
			name = x.to
		}
		d.kernel.Entry(Root, name)
		ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
		d.kernel.Told(ctx)
		cancel()
	}
	if err != nil {
		d.log.Debug("inotify has not shown it", "name", x.name, "err", err)
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

// find is what a name in the root means to the hand, if it is to be deceived: what
// it makes is not there yet, what it removes still is.
func (d *deed) find(t Tree, name string) (a Attr, err error, ok bool) {
	switch {
	case d.act == creates && name == d.name, d.act == moves && name == d.to:
		return a, syscall.ENOENT, true
	case d.act == removes && name == d.name:
		return Attr{ID: d.id, Mode: syscall.S_IFDIR | 0o555, Links: 2}, nil, true
	case d.act == moves && name == d.name:
		a, err = t.Attr(d.id)
		a.Fixed = false
		return a, err, true
	}
	return a, nil, false
}

// may reports whether a deed is the one that the hand asks for, and what it is to
// show is so: the Tree may have changed again since.
func (d *deed) may(t Tree, does act, dir uint64, name, to string) bool {
	if d == nil || d.act != does || ID(dir) != Root || d.name != name || d.to != to {
		return false
	}
	if does == moves {
		name = to
	}
	a, err := t.Lookup(Root, name)
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
