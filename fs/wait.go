package fs

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// sweepEvery is how often waits of threads that are gone are looked for. The
	// kernel tells nothing when the reader of a buffered read is killed.
	sweepEvery = 500 * time.Millisecond
	// interruptGrace is how long an interrupted read may still succeed. Signals
	// that mean nothing interrupt reads too (the Go runtime sends SIGURG to its
	// own threads), and an application that did not expect EINTR fails.
	interruptGrace = 50 * time.Millisecond
)

// A wait is the context of one request that may wait. It ends
//
//	interrupted ── after interruptGrace ──┐
//	its thread is gone (sweep) ───────────┤
//	its file is closed ───────────────────┼──► Done
//	the mount ends ───────────────────────┤
//	the request is answered ──────────────┘
//
// A wait costs a goroutine only when somebody asks for Done: most reads are
// answered from memory and never do.
type wait struct {
	context.Context
	cancel    context.CancelFunc
	interrupt <-chan struct{} // closed by go-fuse on INTERRUPT
	tid       uint32
	file      *file // nil: opening a directory
	watch     sync.Once
	running   *sync.WaitGroup
}

// Done begins to watch for an interrupt at its first call. Its channel is that
// of the embedded context, so that contexts made of this one cost no goroutine.
func (w *wait) Done() <-chan struct{} {
	if w.Err() == nil {
		w.watch.Do(func() { w.running.Go(w.watchInterrupt) })
	}
	return w.Context.Done()
}

func (w *wait) watchInterrupt() {
	ended := w.Context.Done()
	select {
	case <-ended:
		return
	case <-w.interrupt:
	}
	grace := time.NewTimer(interruptGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		w.cancel()
	}
}

// waits are all requests that may be waiting now.
type waits struct {
	alive   func(tid uint32) bool
	mu      sync.Mutex
	all     map[*wait]struct{}
	sweeper bool // a goroutine sweeps
	stop    chan struct{}
	running sync.WaitGroup
}

func (ws *waits) init(alive func(tid uint32) bool) {
	ws.alive, ws.all, ws.stop = alive, map[*wait]struct{}{}, make(chan struct{})
}

// begin makes the context of a request; the caller ends it.
func (ws *waits) begin(interrupt <-chan struct{}, tid uint32, f *file) *wait {
	ctx, cancel := context.WithCancel(context.Background())
	w := &wait{Context: ctx, cancel: cancel, interrupt: interrupt, tid: tid, file: f, running: &ws.running}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.stopped() {
		cancel()
		return w
	}
	ws.all[w] = struct{}{}
	if !ws.sweeper {
		ws.sweeper = true
		ws.running.Go(ws.sweep)
	}
	return w
}

func (ws *waits) end(w *wait) {
	w.cancel()
	ws.mu.Lock()
	delete(ws.all, w)
	ws.mu.Unlock()
}

// closeFile ends the reads of a file that nobody has open any more.
func (ws *waits) closeFile(f *file) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		if w.file == f {
			w.cancel()
		}
	}
}

// close ends all waits, those that begin later too.
func (ws *waits) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.stopped() {
		return
	}
	close(ws.stop)
	for w := range ws.all {
		w.cancel()
	}
}

// cut ends all waits, those that begin later too, after do, which it calls while
// none of them can end. If nothing waits it does nothing.
func (ws *waits) cut(do func()) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.all) == 0 || ws.stopped() {
		return
	}
	do()
	close(ws.stop)
	for w := range ws.all {
		w.cancel()
	}
}

func (ws *waits) stopped() bool {
	select {
	case <-ws.stop:
		return true
	default:
		return false
	}
}

// count is the number of requests under way.
func (ws *waits) count() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.all)
}

// sweep ends the waits of threads that are gone. It runs while there are any.
func (ws *waits) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ws.stop:
			return
		case <-tick.C:
		}
		ws.mu.Lock()
		if len(ws.all) == 0 {
			ws.sweeper = false
			ws.mu.Unlock()
			return
		}
		waiting := make([]*wait, 0, len(ws.all))
		for w := range ws.all {
			waiting = append(waiting, w)
		}
		ws.mu.Unlock()
		for _, w := range waiting {
			// TID 0 is a thread that this process cannot see: never swept.
			if w.tid != 0 && !ws.alive(w.tid) {
				w.cancel()
			}
		}
	}
}

// threadAlive tells whether a thread still runs. The signal 0 is asked rather
// than /proc, which may be mounted so that it hides the processes of others; a
// zombie that nobody reaps answers signals and is only seen in /proc.
func threadAlive(tid uint32) bool {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_TKILL, uintptr(tid), 0, 0); errno == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(tid), 10) + "/stat")
	if err != nil {
		return true
	}
	// "1234 (any name) Z ...": the state follows the last parenthesis.
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return !found || len(rest) == 0 || rest[0] != 'Z' && rest[0] != 'X'
}
