package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
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

	Data             string        `help:"Data and state (default: $$STATE_DIRECTORY, else $$XDG_DATA_HOME/bipfs)." placeholder:"DIR" type:"path"`
	Temporary        bool          `help:"Keep nothing: data and state go when the mount goes."`
	Options          []string      `short:"o" name:"option" help:"Mount options: allow_other allow_root uid= gid= umask= fmask= dmask= ro noexec nonempty." placeholder:"OPT,…" sep:"none"`
	Disk             *Size         `help:"Store so much at most: what was read longest ago gives way (default: all but --keep-free)." placeholder:"SIZE"`
	SeedRatio        float64       `default:"1" help:"A torrent with data seeds until it has given so many times what it got; 0: none seeds (default: 1)." placeholder:"RATIO"`
	SeedTime         time.Duration `default:"24h" help:"Or until it was offered for so long; 0: none seeds (default: 24h)." placeholder:"DUR"`
	PrivateSeedRatio float64       `default:"1" help:"A private torrent seeds, and nothing of it gives way, until it has given so many times what it got (default: 1)." placeholder:"RATIO"`
	PrivateSeedTime  time.Duration `default:"72h" help:"Or until it was offered for so long (default: 72h)." placeholder:"DUR"`
	MaxSeeding       int           `default:"50" help:"Torrents that seed at a time, beside those that are read (default: 50)." placeholder:"N"`
	Control          string        `help:"Folder of the control socket (default: $$XDG_RUNTIME_DIR/bipfs, root: /run/bipfs, else in the data folder)." placeholder:"DIR" type:"path"`
	ControlGroup     string        `help:"Members of this group may control the mount, too, where the folder lets them in." placeholder:"GROUP"`
	On               []string      `help:"Run a command at each EVENT (docs/API.md), without a shell: BIPFS_EVENT, BIPFS_INFOHASH, BIPFS_NAME and BIPFS_PATH tell of it. Repeatable." placeholder:"EVENT=/COMMAND" sep:"none"`
	LocalOnly        []string      `default:"baloo_file_extractor,tracker-extract-3,tumblerd,clamscan,updatedb" help:"Programs that get what is here, and time-outs for the rest (default: ${default})." placeholder:"NAME"`
	engineFlags
}

// How long the parts of a stop may take: a stop is over within 5 s, however
// many reads wait.
const (
	unmountTime = 3 * time.Second
	closeTime   = 1500 * time.Millisecond
)

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
	all, err := sources(m.Source, s, log)
	if err != nil {
		return err
	}
	mountpoint, err := filepath.Abs(m.Mountpoint)
	if err != nil {
		return err
	}
	dir, remove, err := m.folder()
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

// bounds is how much is stored, and what is given for it.
func (m *mountCommand) bounds(cfg *engine.Config) error {
	if m.SeedRatio < 0 || m.SeedTime < 0 || m.MaxSeeding < 0 || math.IsNaN(m.SeedRatio) {
		return usagef("--seed-ratio, --seed-time and --max-seeding are not negative")
	}
	if m.PrivateSeedRatio < 0 || m.PrivateSeedTime < 0 || math.IsNaN(m.PrivateSeedRatio) {
		return usagef("--private-seed-ratio and --private-seed-time are not negative")
	}
	cfg.SeedRatio, cfg.SeedTime, cfg.MaxSeeding = m.SeedRatio, m.SeedTime, m.MaxSeeding
	cfg.PrivateSeedRatio, cfg.PrivateSeedTime = m.PrivateSeedRatio, m.PrivateSeedTime
	cfg.Evict, cfg.Disk = true, engine.Unbounded
	if m.Disk != nil {
		cfg.Disk = int64(*m.Disk)
	}
	return nil
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
	if socket != nil {
		d := &daemon{Client: client, kernel: server.Kernel(), started: time.Now()}
		wg.Go(func() {
			if err := control.Serve(ctx, socket, d, cfg.Log); err != nil {
				cfg.Log.Error("the control socket is closed", "err", err)
			}
		})
	}
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

// reload reads the block list again at each SIGHUP, until ctx ends. One that
// cannot be used leaves the one before.
func reload(ctx context.Context, client *engine.Client, log *slog.Logger) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
		switch err := client.LoadBlocklist(ctx); {
		case err == nil:
			log.Info("read again at SIGHUP")
		case ctx.Err() == nil:
			log.Error("the block list is not read again: the one before holds", "err", err)
		}
	}
}

// folder is the data folder, and what removes it at the end.
func (m *mountCommand) folder() (dir string, remove func(), err error) {
	if !m.Temporary {
		dir, err = dataDir(m.Data)
		return dir, func() {}, err
	}
	if m.Data != "" {
		return "", nil, usagef("--temporary keeps nothing, so it takes no --data")
	}
	dir, err = os.MkdirTemp("", "bipfs-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			slog.Error("the temporary folder could not be removed", "dir", dir, "err", err)
		}
	}, nil
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
