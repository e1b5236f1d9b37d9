package web

import (
	"context"
	"sync"
	"time"
)

// A player asks for a film in many requests, one for each place that it goes to,
// and the engine knows by what was read of an open file how it is read. So a file
// stays open between the requests of one client.
//
//	open ─▶ in use ─release─▶ idle ─keepTime─▶ closed
//	           ▲─────open──────┘
const (
	// mostIdle is how many files are idle; the one that is idle longest is closed.
	mostIdle = 32
	// keepTime is how long an idle file stays open.
	keepTime = 10 * time.Second
)

// openFiles are the files that are open.
type openFiles struct {
	tree Tree

	mu     sync.Mutex
	all    map[fileKeyOf]*openFile
	closed bool
}

// fileKeyOf is what one open file is for.
type fileKeyOf struct{ path, visitor string }

// openFile is one of them.
type openFile struct {
	File
	key   fileKeyOf
	users int       // requests
	idle  time.Time // since there are none
}

func newOpenFiles(tree Tree) *openFiles {
	return &openFiles{tree: tree, all: map[fileKeyOf]*openFile{}}
}

// open is a file that is open for a client, or is opened.
func (o *openFiles) open(path, visitor string) (*openFile, error) {
	key := fileKeyOf{path, visitor}
	o.mu.Lock()
	if f := o.all[key]; f != nil {
		f.users++
		o.mu.Unlock()
		return f, nil
	}
	o.mu.Unlock()
	opened, err := o.tree.Open(path, "http") // waits for the disk
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	f := o.all[key]
	if f == nil && !o.closed {
		f = &openFile{File: opened, key: key}
		o.all[key], opened = f, nil
	}
	if f != nil {
		f.users++
	}
	o.mu.Unlock()
	if opened != nil {
		opened.Close() // another request was quicker, or it is the end
	}
	if f == nil {
		return nil, context.Canceled
	}
	return f, nil
}

// release gives a file back.
func (o *openFiles) release(f *openFile) {
	o.mu.Lock()
	if f.users--; f.users == 0 {
		f.idle = time.Now()
	}
	over := o.take(func(idle int, _ *openFile) bool { return idle > mostIdle })
	o.mu.Unlock()
	closeAll(over)
}

// take removes the idle files for which over holds, the longest idle first; it is
// told how many are idle. The lock is held.
func (o *openFiles) take(over func(idle int, f *openFile) bool) (taken []*openFile) {
	for {
		var oldest *openFile
		idle := 0
		for _, f := range o.all {
			if f.users > 0 {
				continue
			}
			if idle++; oldest == nil || f.idle.Before(oldest.idle) {
				oldest = f
			}
		}
		if oldest == nil || !over(idle, oldest) {
			return taken
		}
		delete(o.all, oldest.key)
		taken = append(taken, oldest)
	}
}

// tend closes what is idle, until ctx ends.
func (o *openFiles) tend(ctx context.Context) {
	tick := time.NewTicker(keepTime / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o.mu.Lock()
		over := o.take(func(_ int, f *openFile) bool { return time.Since(f.idle) >= keepTime })
		o.mu.Unlock()
		closeAll(over)
	}
}

// close closes all, of which none is in use any more.
func (o *openFiles) close() {
	o.mu.Lock()
	o.closed = true
	all := o.take(func(int, *openFile) bool { return true })
	o.mu.Unlock()
	closeAll(all)
}

func closeAll(files []*openFile) {
	for _, f := range files {
		f.Close()
	}
}
