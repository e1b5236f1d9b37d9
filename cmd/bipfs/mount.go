//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/fs"
	"bipfs/fs/keeper"
)

// mountCommand is `bipfs mount`.
type mountCommand struct {
	Mountpoint string   `arg:"" help:"An empty directory."`
	Source     []string `arg:"" optional:"" help:".torrent file, magnet link, http(s) URL of a .torrent, infohash, or - for a list on stdin."`

	Detach    bool     `short:"d" help:"Return when the mount answers. A keeper stays, which has the mount outlive crashes and upgrades of what serves it."`
	Options   []string `short:"o" name:"option" help:"Mount options: allow_other allow_root uid= gid= umask= fmask= dmask= ro noexec nonempty." placeholder:"OPT,…" sep:"none"`
	Watch     []string `help:"Add the .torrent and .magnet files in this folder, and those that come; its sub-folders are folders of the mount; remove the torrents of those that are deleted, 10 s later, and keep their data. Repeatable." placeholder:"DIR" type:"path" sep:"none"`
	WatchKeep bool     `help:"Remove nothing when files in folders of --watch are deleted."`
	OnDemand  onDemand `default:"owner" enum:"off,owner,all" help:"Who may open MOUNTPOINT/INFOHASH of a torrent that was not added: nobody, the owner of the mount, or all who may enter (default: owner)." placeholder:"off|owner|all"`
	On        []string `help:"Run a command at each EVENT (docs/API.md), without a shell: BIPFS_EVENT, BIPFS_INFOHASH, BIPFS_NAME and BIPFS_PATH tell of it. Repeatable." placeholder:"EVENT=/COMMAND" sep:"none"`
	LocalOnly []string `default:"baloo_file_extractor,tracker-extract-3,tumblerd,clamscan,updatedb" help:"Programs that get what is here, and time-outs for the rest (default: ${default})." placeholder:"NAME"`
	daemonFlags
	httpFlags
	engineFlags
	typed

	kept   *keeper.Kept
	notify *notifier      // who started this process
	left   *fs.Connection // the mount, left by another process; nil: none
}

// unmountTime is how long unmounting may take: with closeTime a stop is over within
// 5 s, however many reads wait.
const unmountTime = 3 * time.Second

// Run mounts, and serves until a signal or an unmount from outside.
func (m *mountCommand) Run(s streams) (err error) {
	if m.kept, err = keeper.Worker(); err != nil {
		return err
	}
	switch {
	case m.kept != nil:
		defer m.kept.Close()
	case isKeeper() && (m.Detach || handed()):
		return m.keep(s)
	case m.Detach:
		return m.detach(s)
	}
	return m.run(s)
}

// again reports whether another process has served the mount before.
func (m *mountCommand) again() bool {
	return m.left != nil || m.kept != nil && m.kept.Again
}

func (m *mountCommand) run(s streams) error {
	log := m.logger(s.err)
	options, err := mountOptions(m.Options)
	if err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err
	}
	var all []named
	if m.kept == nil || !m.kept.Again { // what was removed since does not come back
		if all, err = sources(m.Source, s, log); err != nil {
			return err
		}
	}
	mountpoint, dir, remove, err := m.places()
	if err != nil {
		return err
	}
	defer remove()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	cfg, err := m.config(dir, log)
	if err != nil {
		return err
	}
	cfg.Mountpoint = mountpoint
	if m.kept != nil {
		cfg.Aside = m.kept.Aside
	} else {
		m.managed(mountpoint, log)
	}
	cfg.Lent = m.again()
	m.bounds(&cfg)
	cfg.LocalOnly = m.LocalOnly
	options.Log = log
	cfg.WaitingReads = waitingReads(&options)
	return m.serve(cfg, options, all, signals, s)
}

// check reports what is wrong with the flags, as far as it can be seen without
// mounting.
func (m *mountCommand) check() error {
	if _, err := mountOptions(m.Options); err != nil {
		return err
	}
	if _, err := hookCommands(m.On); err != nil && !m.again() {
		return err
	}
	if err := m.daemonFlags.check(); err != nil {
		return err
	}
	if err := m.httpFlags.check(); err != nil {
		return err
	}
	return m.engineFlags.check()
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
	if m.kept == nil && m.left == nil {
		if err := fs.Clean(cfg.Mountpoint); err != nil {
			return err
		}
	}
	client, err := engine.Open(cfg)
	if taken := (*engine.ErrMounted)(nil); errors.As(err, &taken) && taken.Mountpoint != "" {
		return fmt.Errorf("%w: bipfs add puts torrents there; a second mount takes a --data of its own", err)
	}
	if err != nil {
		return err
	}
	err = add(client, all, cfg.Log)
	if err == nil {
		err = m.serveClient(client, cfg, options, signals, s)
	}
	if errors.Is(err, errLeft) {
		client.Entrust()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	client.Close(ctx)
	if errors.Is(err, errLeft) {
		if m.kept != nil {
			m.kept.Left()
		}
		err = nil
	}
	return err
}

func (m *mountCommand) serveClient(client *engine.Client, cfg engine.Config, options fs.Options, signals <-chan os.Signal, s streams) error {
	b, err := m.beside(client, cfg)
	if err != nil {
		return err
	}
	defer b.close()
	t := m.tree(client, options)
	server, err := m.mount(cfg.Mountpoint, t, options, signals)
	if err != nil {
		return err
	}
	if cfg.Lent {
		client.Settle()
	}
	if err := b.listen(m, cfg); err != nil { // now: nobody else mounts there
		ctx, cancel := context.WithTimeout(context.Background(), unmountTime)
		defer cancel()
		return errors.Join(err, server.Unmount(ctx))
	}
	if first := client.FirstStart(); first != "" {
		fmt.Fprintln(s.err, "bipfs:", first)
	}
	left, stop := m.leave()
	defer stop()
	if err := m.announce(server, cfg, s); err != nil {
		return err
	}
	if m.kept == nil { // or nobody listens
		sayPage(s.out, b.window.url())
	}
	if fs.Privileged() != nil {
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
	wg.Go(func() {
		read := func() (standing, error) { return parseMount(m.args, configFiles(), true) }
		reload(ctx, client, m, read, b.hup, cfg.Log)
	})
	wg.Go(func() { m.watch(ctx, server, client, cfg.Log) })
	b.run(ctx, &wg, server, t, cfg.Log)
	leaving := m.served(signals, gone, left, cfg.Log)
	cancel()
	m.stopping(leaving)
	if leaving {
		return leave(server)
	}
	ctx, cancel = context.WithTimeout(context.Background(), unmountTime)
	defer cancel()
	err = server.Unmount(ctx)
	if m.kept != nil && errors.Is(err, fs.ErrBounded) {
		err = nil // the keeper says so, once
	}
	return err
}

// served waits until the mount is served no more, and reports whether it is left to
// another process.
func (m *mountCommand) served(signals <-chan os.Signal, gone, leave <-chan struct{}, log *slog.Logger) (leaving bool) {
	select {
	case sig := <-signals:
		log.Info("stopping", "signal", sig)
	case <-gone:
		log.Info("unmounted from outside")
	case <-leave:
		log.Info("leaving the mount to another process")
		return true
	}
	return false
}

// places are the mount point, the data folder, and what removes that at the end.
func (m *mountCommand) places() (mountpoint, dir string, remove func(), err error) {
	mountpoint, err = filepath.Abs(m.Mountpoint)
	if err != nil && m.kept != nil && len(m.kept.Mountpoint) > 0 {
		mountpoint, err = string(m.kept.Mountpoint), nil // the folder that it was named from is gone
	}
	if err != nil {
		return "", "", nil, err
	}
	if dir, remove, err = m.folder(); err != nil {
		return "", "", nil, err
	}
	if inside(dir, mountpoint) {
		remove()
		return "", "", nil, usagef("--data %s lies inside the mount point %s: choose another folder", dir, mountpoint)
	}
	return mountpoint, dir, remove, nil
}

// folder is the data folder, and what removes it at the end.
func (m *mountCommand) folder() (dir string, remove func(), err error) {
	if m.kept != nil { // the keeper removes it
		return m.kept.Data, func() {}, nil
	}
	return m.dataFolder()
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
