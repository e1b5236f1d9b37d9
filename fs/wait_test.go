package fs

import (
	"context"
	"os/exec"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWaitEnds: each of the ways a wait ends, in false time.
func TestWaitEnds(t *testing.T) {
	const never = time.Hour
	for _, c := range []struct {
		name  string
		after time.Duration // from when the thing happens
		do    func(ws *waits, w *wait, interrupt chan struct{}, alive *atomic.Bool)
	}{
		{"interrupted", interruptGrace, func(_ *waits, _ *wait, i chan struct{}, _ *atomic.Bool) { close(i) }},
		{"thread gone", sweepEvery, func(_ *waits, _ *wait, _ chan struct{}, a *atomic.Bool) { a.Store(false) }},
		{"file closed", 0, func(ws *waits, w *wait, _ chan struct{}, _ *atomic.Bool) { ws.closeFile(w.file) }},
		{"another file closed", never, func(ws *waits, _ *wait, _ chan struct{}, _ *atomic.Bool) { ws.closeFile(&file{}) }},
		{"mount ends", 0, func(ws *waits, _ *wait, _ chan struct{}, _ *atomic.Bool) { ws.close(); ws.close() }},
		{"answered", 0, func(ws *waits, w *wait, _ chan struct{}, _ *atomic.Bool) { ws.end(w) }},
		{"nothing", never, func(*waits, *wait, chan struct{}, *atomic.Bool) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ws waits
				var alive atomic.Bool
				alive.Store(true)
				ws.init(func(tid uint32) bool { return tid != 7 || alive.Load() })
				interrupt := make(chan struct{})
				w := ws.begin(interrupt, 7, &file{size: 1})
				bystanders := []*wait{ws.begin(nil, 0, &file{size: 2}), ws.begin(nil, 8, nil)}
				ctx, cancel := context.WithTimeout(w, never)
				defer cancel()
				began := time.Now()
				c.do(&ws, w, interrupt, &alive)
				<-ctx.Done()
				if took := time.Since(began); took != c.after {
					t.Errorf("ended after %v, not %v", took, c.after)
				}
				if c.name != "mount ends" {
					for _, b := range bystanders {
						if b.Err() != nil {
							t.Error("another wait ended too")
						}
					}
				}
				ws.end(w)
				ws.close()
				ws.running.Wait()
				late := ws.begin(nil, 9, nil)
				if <-late.Done(); ws.count() != 2 {
					t.Errorf("%d waits are left, not the 2 that nobody ended", ws.count())
				}
			})
		})
	}
}

// TestInterruptGrace: a read that is answered soon after a meaningless signal
// succeeds.
func TestInterruptGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ws waits
		ws.init(nil)
		interrupt := make(chan struct{})
		w := ws.begin(interrupt, 0, nil)
		w.Done()
		close(interrupt)
		time.Sleep(interruptGrace - 1)
		if w.Err() != nil {
			t.Error("ended within the grace")
		}
		ws.end(w)
		ws.close()
		ws.running.Wait()
	})
}

// TestSweepRests: nothing runs while nothing waits.
func TestSweepRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ws waits
		ws.init(func(uint32) bool { return true })
		for range 3 {
			ws.end(ws.begin(nil, 1, nil))
			time.Sleep(2 * sweepEvery)
			synctest.Wait()
			if ws.sweeper {
				t.Error("a sweep runs with nothing to sweep")
			}
		}
		ws.running.Wait() // or synctest finds the goroutine
	})
}

func TestThreadAlive(t *testing.T) {
	cat := exec.Command("cat")
	in, _ := cat.StdinPipe()
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	tid := uint32(cat.Process.Pid)
	if !threadAlive(tid) {
		t.Error("a process that runs is gone")
	}
	in.Close()
	eventually(t, "a zombie is gone", func() bool { return !threadAlive(tid) })
	cat.Wait()
	if threadAlive(tid) {
		t.Error("a reaped process is alive")
	}
	if !threadAlive(1) {
		t.Error("a process of another user is gone")
	}
}
