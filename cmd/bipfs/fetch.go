package main

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/metainfo"
)

// fetchCommand is `bipfs fetch`.
type fetchCommand struct {
	Source string `arg:"" help:"With -o: a .torrent file, magnet link, http(s) URL of a .torrent, or infohash. Without: a path in a running mount, or a torrent of it."`
	Output string `short:"o" help:"Download to this folder, without a mount." placeholder:"DIR" type:"path"`
	talkFlags
	engineFlags
}

// Run downloads, or has a mount do so.
func (c *fetchCommand) Run(s streams) error {
	switch talks := c.Mount != "" || c.JSON; { // --control may be one of the configuration
	case c.Output == "":
		return c.wait(s)
	case talks:
		return usagef("--mount and --json are for a running mount, and -o for a download without one")
	}
	return c.download(s)
}

// download is Run without a mount. The data folder lies inside the output folder, so that the
// files need only be renamed at the end; it stays when the download is broken
// off, and the next one goes on from there.
func (c *fetchCommand) download(s streams) (err error) {
	log := c.logger(s.err)
	source, err := engine.ParseSource(c.Source)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := dataDir(filepath.Join(c.Output, fmt.Sprintf(".bipfs-%.4x", sha1.Sum([]byte(c.Source)))))
	if err != nil {
		return err
	}
	cfg, err := c.config(dir, log)
	if err != nil {
		return err
	}
	client, err := engine.Open(cfg)
	if err != nil {
		return err
	}
	t, err := c.fetch(ctx, client, source, s.err)
	ended, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	client.Close(ended)
	if err != nil {
		return err
	}
	if err := c.place(t); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

func (c *fetchCommand) fetch(ctx context.Context, client *engine.Client, source engine.Source, bar io.Writer) (*engine.Torrent, error) {
	source, err := client.FetchSource(ctx, source)
	if err != nil {
		return nil, err
	}
	t, err := client.Add(source)
	if err != nil {
		return nil, err
	}
	p := progress{w: bar, start: time.Now()}
	err = t.Fetch(ctx, p.show)
	p.end()
	if errors.Is(err, context.Canceled) {
		err = errors.New("broken off; the same command goes on from here")
	}
	return t, err
}

// place moves the fetched files to where the user wants them. Nothing that is
// there already is replaced.
func (c *fetchCommand) place(t *engine.Torrent) error {
	info := t.Info()
	root := filepath.Join(c.Output, info.Name)
	for i, f := range info.Files {
		if f.Pad || !t.Selects(i) {
			continue
		}
		to := root
		if !info.Single {
			to = filepath.Join(append([]string{root}, f.Path...)...)
		}
		if err := placeFile(to, t.DataFile(i), f); err != nil {
			return err
		}
	}
	return nil
}

// placeFile moves one file. It is there already if the command was broken off meanwhile.
func placeFile(to, from string, f metainfo.File) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if f.Link != "" {
		if target, err := os.Readlink(to); err == nil && target == f.Link {
			return nil
		}
		return os.Symlink(f.Link, to)
	}
	mode := os.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	there, err := os.Lstat(to)
	if f.Length == 0 {
		if err == nil && there.Mode().IsRegular() && there.Size() == 0 {
			return nil
		}
		file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		return file.Close()
	}
	if ours, err2 := os.Lstat(from); err != nil || err2 != nil || !os.SameFile(there, ours) {
		if err := os.Link(from, to); err != nil {
			return err
		}
	}
	return os.Chmod(to, mode&^umask())
}

// umask is what files that others make for this user are not to allow.
func umask() os.FileMode {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return os.FileMode(mask)
}

// progress is a bar on one line of a terminal.
type progress struct {
	w     io.Writer
	start time.Time
	last  time.Time
	here  int64
}

// barWidth is the width of the bar in characters.
const barWidth = 30

func (p *progress) show(here, all int64) {
	now := time.Now()
	if p.last.IsZero() {
		p.here = here // what was here already counts in no rate
	}
	if here < all && now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	full := barWidth
	if all > 0 {
		full = int(here * barWidth / all)
	}
	rate := float64(here-p.here) / 1e6 / max(now.Sub(p.start).Seconds(), 1e-3)
	fmt.Fprintf(p.w, "\r[%-*.*s] %3d %%  %7.1f MB/s ", barWidth, full, "##############################", here*100/max(all, 1), rate)
}

func (p *progress) end() {
	if !p.last.IsZero() {
		fmt.Fprintln(p.w)
	}
}
