// Package keeper keeps a mount alive while the process that serves it, the worker,
// dies or is exchanged. The keeper is a process of its own: it holds the mount's
// connection, starts workers, and does nothing else.
//
//	    ┌──────── died: soon, or later (patience.go) ────────────┐
//	    ▼                                                         │
//	starting ──opened──▶ taking ──serving──▶ serving ─────────────┤
//	    ▲                  ▲                    │    │            │
//	    │       what refuses in the meantime    │    └─ SIGUSR2 ─▶ leaving
//	    │       (fs.Refuse) stops here          │                 │
//	    └───────────────── left ◀───────────────┼─────────────────┘
//	                                            └─ stopping, exit 0 ──▶ over
//
// A worker that has said stopping, because it was told to end or its mount is gone,
// has no successor, however it ends; nor has one that SIGTERM has ended.
//
// A program that has taken over is on trial until it has served for a minute: if it
// dies too often before, the one before it goes on.
package keeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"bipfs/fs"
)

const (
	// stopTime is how long a worker that was told to end, or to leave, may take.
	stopTime = 10 * time.Second
	// tryTime is how long a new program may take to say its version.
	tryTime = 5 * time.Second
	// mostCrashes is how often what a worker was busy with may crash it before it
	// is set aside.
	mostCrashes = 2
	// tendEvery is how often Tend is called.
	tendEvery = time.Minute
)

// Keeper keeps one mount.
type Keeper struct {
	Connection *fs.Connection
	// Program is the path of the program that serves; what lies there when SIGUSR2
	// comes is the next.
	Program string
	// Args are the worker's arguments, without the program's name.
	Args []string
	// Mountpoint and Data are told to the workers.
	Mountpoint, Data string
	// Served is called when the first worker serves; Tend every minute.
	Served, Tend func()
	// Alive is called about every Watch, if that is not 0, as long as the mount is
	// answered for, be it by a refusal, or a worker begins to.
	Watch time.Duration
	Alive func()
	Log   *slog.Logger

	good     *os.File // the program that has served
	before   *os.File // the one before it, while it is on trial
	next     *os.File // the one to serve next, if it is another
	patience patience
	crashes  map[string]int // by what the worker was busy with
	aside    []string
	served   bool // some worker has
	over     bool // no worker is to be started any more
	refusing sync.WaitGroup
	unrefuse context.CancelFunc // nil: nothing refuses
	gone     chan struct{}      // there is something in it when the mount is
}

// Run keeps the mount until a signal (SIGINT, SIGTERM) or its end, and is the exit
// code. SIGUSR2 exchanges the program, SIGHUP is passed on. A first worker that
// never serves ends it with its own exit code.
func (k *Keeper) Run(signals <-chan os.Signal) (code int) {
	k.crashes, k.gone = map[string]int{}, make(chan struct{}, 1)
	defer k.end()
	var err error
	if k.good, err = os.Open(k.Program); err != nil {
		k.Log.Error("the program cannot be started", "err", err)
		return 1
	}
	for {
		program := k.good
		if k.next != nil {
			program = k.next
		}
		w, err := k.start(program)
		if err != nil {
			k.Log.Error("the program cannot be started", "err", err)
			if !k.served {
				return 1
			}
		} else {
			k.attend(w, signals)
			if !k.served {
				return max(w.code(), 1)
			}
			if w.stopping || !w.left && w.code() == 0 {
				return w.code()
			}
		}
		if k.over || w.told() || k.Connection.Ended() {
			return 0
		}
		if !k.judge(w) && k.rest(w, signals) {
			return 0
		}
	}
}

// end leaves nothing.
func (k *Keeper) end() {
	k.stopRefusing()
	switch err := k.Connection.Unmount(); {
	case errors.Is(err, fs.ErrBounded):
		k.Log.Warn("the mount stays, and is dead: whoever looks at it gets ENOTCONN, until root unmounts it or mounts it again", "why", err)
	case err != nil:
		k.Log.Error("the mount stays", "err", err)
	}
	k.Connection.Close()
	for _, f := range []*os.File{k.good, k.before, k.next} {
		if f != nil {
			f.Close()
		}
	}
}

// attend is with a worker until it has ended.
func (k *Keeper) attend(w *worker, signals <-chan os.Signal) {
	defer w.close()
	late := time.NewTimer(time.Hour)
	late.Stop()
	defer late.Stop()
	tend := time.NewTicker(tendEvery)
	defer tend.Stop()
	said, ended := w.said, w.ended
	for said != nil || ended != nil { // a dead one is heard to the end
		select {
		case m, more := <-said:
			if !more {
				said = nil
				continue
			}
			k.hear(w, m)
		case <-ended:
			ended = nil
		case s := <-signals:
			if k.signal(w, s) {
				late.Reset(stopTime)
			}
		case <-k.gone: // and the worker notices by itself, when it serves
			w.signal(syscall.SIGTERM)
			late.Reset(stopTime)
		case <-late.C:
			k.Log.Error("the worker does not end, and is killed", "pid", w.pid())
			w.signal(syscall.SIGKILL)
		case <-tend.C:
			k.Tend()
		}
	}
}

// hear is what a worker says.
func (k *Keeper) hear(w *worker, m message) {
	switch m {
	case opened:
		k.stopRefusing()
		w.say(take)
	case serving:
		w.since = time.Now()
		if k.next != nil {
			if k.before == nil {
				k.before = k.good
			} else { // it was on trial itself
				k.good.Close()
			}
			k.good, k.next = k.next, nil
		}
		if !k.served {
			k.served = true
			k.Served()
		}
	case alive:
		if k.Watch > 0 {
			k.Alive()
		}
	case stopping:
		w.stopping = true
		// The mount dies with the worker's descriptor, if it cannot be unmounted:
		// nobody who reads is to wait for the rest of the worker's end.
		k.Connection.Close()
	case left:
		w.left = true
	}
}

// signal is what a signal means while there is a worker, and reports whether that
// is to end.
func (k *Keeper) signal(w *worker, s os.Signal) (ends bool) {
	switch s {
	case syscall.SIGHUP:
		if !w.since.IsZero() { // one that begins reads everything anyway
			w.signal(syscall.SIGHUP)
		}
	case syscall.SIGUSR2:
		if w.since.IsZero() || w.leaving {
			k.Log.Warn("the program is not exchanged: it has only begun to serve")
			return false
		}
		if !k.try() {
			return false
		}
		k.prove(w)
		w.leaving = true
		w.say(leave)
		return true
	default:
		k.over = true
		w.signal(syscall.SIGTERM)
		return true
	}
	return false
}

// try has what is at the program's path now be the next, if it can say its version.
func (k *Keeper) try() bool {
	f, err := os.Open(k.Program)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), tryTime)
		defer cancel()
		if err = exec.CommandContext(ctx, executable(f), "version").Run(); err != nil {
			f.Close()
		}
	}
	if err != nil {
		k.Log.Error("the program is not exchanged: the new one does not run", "program", k.Program, "err", err)
		return false
	}
	k.next = f
	return true
}

// prove ends the trial of a program that has served for long enough.
func (k *Keeper) prove(w *worker) {
	if k.before != nil && w.servedFor() >= deathsWithin {
		k.before.Close()
		k.before = nil
	}
}

// judge is about a worker that has ended, and reports whether the next may start
// at once: one left its place to it, or the next program has not served.
func (k *Keeper) judge(w *worker) bool {
	exchanged := k.next != nil
	if w == nil || !w.leaving {
		if exchanged {
			k.Log.Error("the new program does not serve; the one before goes on", "program", k.Program, "why", w.why())
			k.next.Close()
			k.next = nil
			return true
		}
		why, subject := w.why(), w.subject()
		if subject == "" {
			k.Log.Error("the worker died", "why", why)
			return false
		}
		k.Log.Error("the worker died", "why", why, "torrent", subject)
		if k.crashes[subject]++; k.crashes[subject] == mostCrashes {
			k.aside = append(k.aside, subject)
			k.Log.Error("a torrent that crashed the worker is set aside, until another program serves the mount", "torrent", subject, "crashes", mostCrashes)
		}
		return false
	}
	if !w.left {
		k.Log.Error("the worker died while it left", "why", w.why())
	}
	k.forgive()
	return true
}

// forgive is that another program is to serve.
func (k *Keeper) forgive() { k.aside, k.crashes, k.patience = nil, map[string]int{}, patience{} }

// rest lets time pass before the next worker, and reports whether there is to be
// none.
func (k *Keeper) rest(w *worker, signals <-chan os.Signal) (over bool) {
	wait, refuse := k.patience.died(time.Now(), w.servedFor())
	if k.prove(w); refuse && k.before != nil {
		k.Log.Error("the new program died too often; the one before goes on", "program", k.Program, "deaths", mostDeaths, "within", deathsWithin)
		k.good.Close()
		k.good, k.before = k.before, nil
		k.forgive()
		return false
	}
	if refuse && k.unrefuse == nil {
		k.Log.Error("the worker died too often: whoever reads gets EIO until one serves again", "deaths", mostDeaths, "within", deathsWithin)
		k.refuse()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var watch <-chan time.Time // the keeper is all that there is, and this is its loop
	if k.Watch > 0 {
		ticker := time.NewTicker(k.Watch)
		defer ticker.Stop()
		watch = ticker.C
	}
	for {
		select {
		case <-watch:
			k.Alive()
		case <-timer.C:
			return k.Connection.Ended()
		case <-k.gone:
			return true
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
			case s != syscall.SIGUSR2:
				return true
			case k.try():
				k.forgive()
				return false
			}
		}
	}
}

// refuse answers whoever uses the mount with EIO, until stopRefusing.
func (k *Keeper) refuse() {
	ctx, cancel := context.WithCancel(context.Background())
	k.unrefuse = cancel
	k.refusing.Go(func() {
		err := k.Connection.Refuse(ctx)
		if errors.Is(err, syscall.ENODEV) {
			k.gone <- struct{}{}
		} else if err != nil {
			k.Log.Error("whoever reads waits: EIO cannot be answered", "err", err)
		}
	})
}

func (k *Keeper) stopRefusing() {
	if k.unrefuse != nil {
		k.unrefuse()
		k.refusing.Wait()
		k.unrefuse = nil
	}
}
