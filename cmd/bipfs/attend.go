//go:build linux

package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/fs"
)

// beside is what goes on beside a mount: who controls it, who looks through the window,
// who is told what happens.
type beside struct {
	daemon  *daemon
	socket  *control.Listener // nil: there is none
	window  *window           // nil: there is none
	hooks   *hooks
	folders []*dropFolder
	hup     chan os.Signal
}

// beside opens what can be wrong, before there is a mount. Whoever uses one that is
// served once more is not to pay for a port that is still taken, or a folder or command
// that has gone.
func (m *mountCommand) beside(client *engine.Client, cfg engine.Config) (b *beside, err error) {
	b = &beside{daemon: &daemon{Client: client, started: time.Now()}, hup: make(chan os.Signal, 1)}
	if m.kept != nil {
		b.daemon.keeper = m.kept.PID
	}
	if b.hooks, err = newHooks(m.On, client, cfg); err != nil && m.again() {
		cfg.Log.Error("a command of --on will fail", "err", err)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if b.folders, err = m.watchFolders(cfg.Mountpoint, cfg.Dir, b.daemon, cfg.Log); err != nil && m.again() {
		cfg.Log.Error("a folder of --watch is not looked at before the next start", "err", err)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if b.window, err = m.httpFlags.open(cfg); err != nil && m.again() {
		cfg.Log.Error("there is no page", "err", err)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	b.daemon.page = b.window.url()
	signal.Notify(b.hup, syscall.SIGHUP) // before anybody is told that it may be sent
	return b, nil
}

func (b *beside) close() {
	signal.Stop(b.hup)
	b.window.close()
}

// listen opens the control socket.
func (b *beside) listen(m *mountCommand, cfg engine.Config) (err error) {
	if b.socket, err = m.openControl(cfg.Mountpoint, cfg.Dir, cfg.Log); err != nil && m.again() {
		cfg.Log.Error("there is no control socket", "err", err)
		err = nil
	}
	return err
}

// run begins it, until ctx ends.
func (b *beside) run(ctx context.Context, wg *sync.WaitGroup, server *fs.Server, t *tree, log *slog.Logger) {
	d, kernel := b.daemon, server.Kernel()
	d.forget = func(w engine.Where, dead bool) { forget(kernel, w, dead) }
	d.told = kernel.Told
	if b.socket != nil {
		d.socket = b.socket.Path()
	}
	t.daemon.Store(d)
	wg.Go(func() { watch(ctx, d, server.Show()) })
	wg.Go(func() { b.hooks.run(ctx) })
	wg.Go(func() { b.window.serve(ctx, d) })
	if b.socket != nil {
		wg.Go(func() {
			if err := control.Serve(ctx, b.socket, d, log); err != nil {
				log.Error("the control socket is closed", "err", err)
			}
		})
	}
	for _, f := range b.folders {
		// Not joined: a network file system may hold it for longer than a stop takes.
		go f.run(ctx)
	}
}
