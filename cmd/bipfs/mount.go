//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/fs"
)

// mountCommand is `bipfs mount`.
type mountCommand struct {
	Mountpoint string   `arg:"" help:"An empty directory."`
	Source     []string `arg:"" optional:"" help:".torrent file, magnet link, http(s) URL of a .torrent, infohash, or - for a list on stdin."`

	Options   []string `short:"o" name:"option" help:"Mount options: allow_other allow_root uid= gid= umask= fmask= dmask= ro noexec nonempty." placeholder:"OPT,…" sep:"none"`
	LocalOnly []string `default:"baloo_file_extractor,tracker-extract-3,tumblerd,clamscan,updatedb" help:"Programs that get what is here, and time-outs for the rest (default: ${default})." placeholder:"NAME"`
	daemonFlags
	httpFlags
	engineFlags
}

// unmountTime is how long unmounting may take: with closeTime a stop is over within
// 5 s, however many reads wait.
const unmountTime = 3 * time.Second

// Run mounts, and serves until a signal or an unmount from outside.
func (m *mountCommand) Run(s streams) error {
	log := m.logger(s.err)
	options, err := mountOptions(m.Options)
	if err != nil {
		return err
	}
	if _, err := m.group(); err != nil {
		return err
	}
	if err := m.httpFlags.check(); err != nil {
		return err
	}
	all, err := sources(m.Source, s, log)
	if err != nil {
		return err
	}
	mountpoint, err := filepath.Abs(m.Mountpoint)
	if err != nil {
		return err
	}
	dir, remove, err := m.dataFolder()
	if err != nil {
		return err
	}
	defer remove()
	if inside(dir, mountpoint) {
		return usagef("--data %s lies inside the mount point %s: choose another folder", dir, mountpoint)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	cfg, err := m.config(dir, log)
	if err != nil {
		return err
	}
	cfg.Mountpoint = mountpoint
	if err := m.bounds(&cfg); err != nil {
		return err
	}
	cfg.LocalOnly = m.LocalOnly
	options.Log = log
	cfg.WaitingReads = waitingReads(&options)
	return m.serve(cfg, options, all, signals, s)
}

// maxBackground is how many reads the kernel has under way at the daemon.
const maxBackground = 4096

// waitingReads is how many of them may wait for the swarm: three quarters, so
// that reads of what is here always find a place.
func waitingReads(o *fs.Options) int {
	o.MaxBackground = maxBackground
	return min(maxBackground, fs.MaxUserBackground()) * 3 / 4
}

// serve is the life of a mount.
func (m *mountCommand) serve(cfg engine.Config, options fs.Options, all []named, signals <-chan os.Signal, s streams) error {
	if err := fs.Clean(cfg.Mountpoint); err != nil {
		return err
	}
	client, err := engine.Open(cfg)
	if err != nil {
		return err
	}
	err = add(client, all, cfg.Log)
	if err == nil {
		err = m.serveClient(client, cfg, options, signals, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	client.Close(ctx)
	return err
}

func (m *mountCommand) serveClient(client *engine.Client, cfg engine.Config, options fs.Options, signals <-chan os.Signal, s streams) error {
	window, err := m.httpFlags.open(cfg)
	if err != nil {
		return err
	}
	defer window.close()
	server, err := fs.Mount(cfg.Mountpoint, &tree{client: client}, options)
	if err != nil {
		return err
	}
	socket, err := m.openControl(cfg.Mountpoint, cfg.Dir, cfg.Log) // now: nobody else mounts there
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), unmountTime)
		defer cancel()
		return errors.Join(err, server.Unmount(ctx))
	}
	if first := client.FirstStart(); first != "" {
		fmt.Fprintln(s.err, "bipfs:", first)
	}
	fmt.Fprintln(s.out, "mounted", cfg.Mountpoint)
	window.say(s.out)
	if os.Geteuid() != 0 {
		cfg.Log.Info("mounted by an ordinary user: the kernel's own read-ahead stays, and it has fewer reads under way (docs/LIMITS.md)",
			"reads", server.MaxBackground())
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	gone := make(chan struct{})
	wg.Go(func() {
		server.Wait()
		close(gone)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	wg.Go(func() { reload(ctx, client, cfg.Log) })
	d := &daemon{Client: client, forget: forgetNames(server.Kernel()), started: time.Now()}
	if socket != nil {
		wg.Go(func() {
			if err := control.Serve(ctx, socket, d, cfg.Log); err != nil {
				cfg.Log.Error("the control socket is closed", "err", err)
			}
		})
	}
	wg.Go(func() { window.serve(ctx, d) })
	select {
	case sig := <-signals:
		cfg.Log.Info("stopping", "signal", sig)
	case <-gone:
		cfg.Log.Info("unmounted from outside")
	}
	cancel()
	ctx, cancel = context.WithTimeout(context.Background(), unmountTime)
	defer cancel()
	return server.Unmount(ctx)
}

// toldTime is how long the kernel may take to forget a name: it may wait itself for
// somebody who lists a directory.
const toldTime = time.Second

// forgetNames has the kernel forget the name of a torrent, which it may keep for a
// year.
func forgetNames(kernel fs.Kernel) func(slot uint32, name string) {
	return func(slot uint32, name string) {
		kernel.Gone(rootID, id(slot, 0), name)
		ctx, cancel := context.WithTimeout(context.Background(), toldTime)
		defer cancel()
		kernel.Told(ctx)
	}
}

// inside reports whether path is dir or lies below it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// unmountCommand is `bipfs unmount`.
type unmountCommand struct {
	Mountpoint string `arg:"" help:"The mount point."`
	Lazy       bool   `help:"Detach a busy mount at once; it ends when nobody uses it any more."`
}

// Run unmounts.
func (u *unmountCommand) Run() error { return fs.Unmount(u.Mountpoint, u.Lazy) }
