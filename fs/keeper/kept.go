package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"bipfs/fs"
)

// Label is the name of the goroutines' label that says, in the report of a crash,
// which torrent they were busy with.
const Label = "torrent"

// Orders are what a worker is told when it is started, in its environment.
type Orders struct {
	Version int    `json:"version"`
	Keeper  int    `json:"keeper"`          // the keeper's pid
	Again   bool   `json:"again,omitempty"` // another has served the mount before
	Data    string `json:"data"`
	// Folder is Data as it is: JSON takes only names that are UTF-8. Neither this nor
	// the mount point is told by a keeper that is older.
	Folder     []byte   `json:"folder,omitempty"`
	Mountpoint []byte   `json:"mountpoint,omitempty"`
	Aside      []string `json:"aside,omitempty"` // torrents that crashed workers
	// Watch is how often a sign of life is wanted, ns; 0: never.
	Watch time.Duration `json:"watch,omitempty"`
}

const (
	ordersEnv     = "BIPFS_WORKER"
	ordersVersion = 1
)

// The descriptors of a worker.
const (
	deviceFd = 3 + iota
	stateFd
	lineFd
	crashFd
)

// Kept is a worker's view of its keeper.
type Kept struct {
	Orders
	line    *os.File
	take    chan struct{} // closed when it may take the mount
	leave   chan struct{} // closed when it is to leave it
	lost    chan struct{} // closed when the keeper is gone
	hearing sync.WaitGroup
}

// Worker is the keeper of this process; nil if it has none.
func Worker() (*Kept, error) {
	orders, ok := os.LookupEnv(ordersEnv)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(ordersEnv) // it is not for programs that this one starts
	w := &Kept{take: make(chan struct{}), leave: make(chan struct{}), lost: make(chan struct{})}
	if err := json.Unmarshal([]byte(orders), &w.Orders); err != nil || w.Version != ordersVersion {
		return nil, errors.New("the keeper of this mount is of another version of bipfs: unmount it, and mount again")
	}
	if w.Folder != nil {
		w.Data = string(w.Folder)
	}
	for fd := deviceFd; fd <= crashFd; fd++ {
		syscall.CloseOnExec(fd)
	}
	if err := syscall.SetNonblock(lineFd, true); err != nil {
		return nil, fmt.Errorf("there is no line to the keeper: %w", err)
	}
	crash := os.NewFile(crashFd, "crash")
	err := debug.SetCrashOutput(crash, debug.CrashOptions{})
	crash.Close()
	if err != nil {
		return nil, err
	}
	w.line = os.NewFile(lineFd, "keeper")
	w.hearing.Go(w.hear)
	return w, nil
}

// hear listens to the keeper until Close, or until it is gone.
func (w *Kept) hear() {
	defer close(w.lost)
	said := make(chan message, 1)
	var listening sync.WaitGroup
	listening.Go(func() { listen(w.line, said) })
	defer listening.Wait()
	for m := range said {
		switch {
		case m == take && !closed(w.take):
			close(w.take)
		case m == leave && !closed(w.leave):
			close(w.leave)
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Take is the connection to serve, when all but it is ready: until then somebody
// else may answer for it. A stop that comes first is an error.
func (w *Kept) Take(dir string, stop <-chan os.Signal) (*fs.Connection, error) {
	w.say(opened)
	select {
	case <-w.take:
	case <-w.lost: // so nobody answers
	case s := <-stop:
		w.Stopping()
		return nil, fmt.Errorf("told to end (%v)", s)
	}
	return fs.Inherit(dir, [2]int{deviceFd, stateFd})
}

// Serving says that the mount is answered for.
func (w *Kept) Serving() { w.say(serving) }

// Alive is a sign of life.
func (w *Kept) Alive() { w.say(alive) }

// Stopping says that nobody shall serve the mount after this process.
func (w *Kept) Stopping() { w.say(stopping) }

// Left says that the mount is left to another process.
func (w *Kept) Left() { w.say(left) }

func (w *Kept) say(m message) { _, _ = w.line.Write([]byte(m)) } // nobody may hear any more

// Leave is closed when the mount is to be left to another process.
func (w *Kept) Leave() <-chan struct{} { return w.leave }

// PID is the keeper's; 0 when it is gone.
func (w *Kept) PID() int {
	if closed(w.lost) {
		return 0
	}
	return w.Keeper
}

// Close ends the line.
func (w *Kept) Close() {
	w.line.Close()
	w.hearing.Wait()
}
