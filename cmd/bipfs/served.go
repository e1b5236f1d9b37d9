//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/fs"
)

// A mount is served by a process that a keeper has started (keep.go), or by one that
// a service manager has (notify.go), or by one that nobody looks after. What differs is
// here.

// managed looks whether this process was started by a service manager, and takes what
// an earlier one has left there.
func (m *mountCommand) managed(mountpoint string, log *slog.Logger) {
	m.notify = newNotifier(os.Getpid(), log)
	m.left = m.notify.inherited(mountpoint)
	silence()
}

// mount is the server of the mount: one that is made, or one that was.
func (m *mountCommand) mount(mountpoint string, t fs.Tree, options fs.Options, signals <-chan os.Signal) (*fs.Server, error) {
	c := m.left
	switch {
	case m.kept != nil:
		var err error
		if c, err = m.kept.Take(mountpoint, signals); err != nil {
			return nil, err
		}
	case c == nil:
		return fs.Mount(mountpoint, t, options)
	}
	server, err := c.Serve(t, options)
	if err != nil {
		c.Close()
		if m.kept == nil { // or the next one would fail, too
			m.notify.forget()
		}
	}
	return server, err
}

// announce says that the mount answers.
func (m *mountCommand) announce(server *fs.Server, cfg engine.Config, s streams) error {
	if m.kept == nil {
		if m.left == nil && !m.Temporary { // of which nothing is left
			m.notify.store(server.Connection())
		}
		m.notify.ready(0)
		fmt.Fprintln(s.out, "mounted", cfg.Mountpoint)
		return nil
	}
	if !m.kept.Again {
		if err := divert(cfg.Dir); err != nil {
			return err
		}
	}
	m.kept.Serving()
	return nil
}

// watch gives signs of life until ctx ends, if anybody wants them: what the kernel asks
// is answered, and every torrent that is awake answers. One that does not answer holds
// up the next.
func (m *mountCommand) watch(ctx context.Context, server *fs.Server, client *engine.Client, log *slog.Logger) {
	var every time.Duration
	var tell func()
	if m.kept != nil {
		every, tell = m.kept.Watch, m.kept.Alive
	} else {
		every, tell = m.notify.watch, m.notify.alive
	}
	if every == 0 {
		return
	}
	watchOver(ctx, every, func(ctx context.Context) error {
		return errors.Join(server.Answers(), client.Answers(ctx))
	}, tell, log)
}

// leave has something, or is closed, when the mount is to be left to another process:
// the keeper says so, or, to a process that a service manager holds the mount of,
// SIGUSR2 (RestartKillSignal=). It never does where nobody would be left.
func (m *mountCommand) leave() (leave <-chan struct{}, stop func()) {
	if m.kept != nil {
		return m.kept.Leave(), func() {}
	}
	if m.notify.to == nil || m.Temporary {
		return nil, func() {}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGUSR2)
	return ctx.Done(), stop
}

// stopping says that this process is about to end, and that nobody shall serve the
// mount after it, unless it leaves it.
func (m *mountCommand) stopping(leaving bool) {
	switch {
	case m.kept == nil:
		m.notify.stopping()
		if !leaving {
			m.notify.forget()
		}
	case !leaving:
		m.kept.Stopping()
	}
}

// leaveTime is how long to leave a mount may take; what serves next waits for it.
const leaveTime = 8 * time.Second

// errLeft is that the mount was left to another process.
var errLeft = errors.New("the mount was left")

func leave(server *fs.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := server.Leave(ctx); err != nil {
		return err
	}
	return errLeft
}
