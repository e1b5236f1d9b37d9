//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/discovery/tracker"
	"bipfs/engine/metainfo"
	"bipfs/fs"
)

// demoCommand is `bipfs demo`: a tracker, a seeder and a mount, all of them in
// this process and on loopback, and the standard tools that read the mount.
type demoCommand struct {
	Mountpoint string `arg:"" optional:"" help:"Where to mount (default: a temporary directory)." type:"path"`
	Once       bool   `help:"Stop after the figures, instead of waiting for Ctrl-C."`
	logFlags
}

// demo is one run of it.
type demo struct {
	s    streams
	log  *slog.Logger
	dir  string // everything that the demo makes, removed at the end
	mnt  string
	wg   sync.WaitGroup
	stop []func() error // in the order in which they were started
}

// Run makes the swarm, mounts it, reads it, and says how it went.
func (c *demoCommand) Run(s streams) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	dir, err := os.MkdirTemp("", "bipfs-demo-")
	if err != nil {
		return err
	}
	d := &demo{s: s, log: c.logger(s.err), dir: dir, mnt: c.Mountpoint}
	defer func() { err = errors.Join(err, d.close()) }()
	if d.mnt == "" {
		d.mnt = filepath.Join(dir, "mnt")
		if err := os.Mkdir(d.mnt, 0o755); err != nil {
			return err
		}
	}
	m, err := d.swarm(ctx)
	if err != nil {
		return err
	}
	if err := d.mount(m); err != nil {
		return err
	}
	if err := d.read(ctx, m); err != nil {
		return err
	}
	if !c.Once {
		fmt.Fprintf(s.out, "\nThe folder stays at %s until you press Ctrl-C.\n", d.mnt)
		fmt.Fprintf(s.out, "Meanwhile, in another terminal, play its film:\n  mpv %s\n", filepath.Join(d.mnt, m.Info.Name, demoFilm))
		fmt.Fprintf(s.out, "or have it in a mount of your own, by bipfs mount -d DIR LINK or bipfs add LINK:\n  '%s'\n", d.magnet(m))
		<-ctx.Done()
	}
	return nil
}

// close stops what was started, last first, and removes the demo's folder.
func (d *demo) close() (err error) {
	for i := len(d.stop) - 1; i >= 0; i-- {
		err = errors.Join(err, d.stop[i]())
	}
	d.wg.Wait()
	if err != nil {
		return err // what is still mounted there cannot be removed
	}
	return os.RemoveAll(d.dir)
}

// later runs f at the end, with time enough for an orderly stop.
func (d *demo) later(f func(ctx context.Context) error) {
	d.stop = append(d.stop, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		return f(ctx)
	})
}

// The sample folder: small files to list, and one to read and to play.
const (
	demoFilm    = "film.y4m"
	demoSmall   = 24
	demoWidth   = 320
	demoHeight  = 180
	demoSeconds = 30
	demoRate    = 25 // frames a second
)

// filmed is a film of colours that move, 65 MB of it: as YUV4MPEG2, which needs no
// encoder, and which players know.
func filmed() []byte {
	film := fmt.Appendf(nil, "YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n", demoWidth, demoHeight, demoRate)
	for frame := range demoSeconds * demoRate {
		film = append(film, "FRAME\n"...)
		for i := range demoWidth * demoHeight {
			film = append(film, byte(i%demoWidth+i/demoWidth+4*frame))
		}
		for plane := range 2 {
			for i := range demoWidth * demoHeight / 4 {
				film = append(film, byte(i/(demoWidth/2)*(plane+1)+frame))
			}
		}
	}
	return film
}

// sample makes the folder that the seeder has.
func (d *demo) sample() (string, error) {
	root := filepath.Join(d.dir, "sample")
	if err := os.MkdirAll(filepath.Join(root, "letters"), 0o755); err != nil {
		return "", err
	}
	files := map[string][]byte{
		demoFilm:     filmed(),
		"README.txt": []byte("This folder lies in a BitTorrent swarm. You read it like any other.\n"),
	}
	for i := range demoSmall {
		files[fmt.Sprintf("letters/%c.txt", 'a'+i)] = bytes.Repeat([]byte{byte('a' + i), '\n'}, 512*(i+1))
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(root, name), b, 0o644); err != nil {
			return "", err
		}
	}
	return root, nil
}

// swarm starts the tracker and the seeder.
func (d *demo) swarm(ctx context.Context) (*metainfo.Torrent, error) {
	sample, err := d.sample()
	if err != nil {
		return nil, err
	}
	announce, err := d.tracker()
	if err != nil {
		return nil, err
	}
	m, err := metainfo.Create(ctx, sample, metainfo.CreateOptions{Trackers: []string{announce}})
	if err != nil {
		return nil, err
	}
	seeder, err := d.client("seeder")
	if err != nil {
		return nil, err
	}
	t, right, err := seeder.Seed(ctx, m, sample)
	if err != nil {
		return nil, err
	}
	if right != m.Info.Pieces() {
		return nil, fmt.Errorf("the seeder has only %d of %d pieces", right, m.Info.Pieces())
	}
	if err := t.Start(); err != nil {
		return nil, err
	}
	fmt.Fprintf(d.s.out, "A private swarm on 127.0.0.1: a tracker, and a seeder of %d files, %d MB.\n", len(m.Info.Files), m.Info.Length/1e6)
	return m, nil
}

// tracker starts an HTTP tracker; it returns its announce URL.
func (d *demo) tracker() (string, error) {
	network, err := engine.NewNetwork(engine.NetworkConfig{UserAgent: "bipfs/" + version})
	if err != nil {
		return "", err
	}
	ln, err := network.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: tracker.New(tracker.Config{}), ReadHeaderTimeout: 10 * time.Second}
	d.wg.Go(func() { server.Serve(ln) })
	d.later(server.Shutdown)
	return "http://" + ln.Addr().String() + "/announce", nil
}

// client opens an engine with a data folder of its own.
func (d *demo) client(name string) (*engine.Client, error) {
	dir, err := dataDir(filepath.Join(d.dir, name))
	if err != nil {
		return nil, err
	}
	c, err := engine.Open(engine.Config{
		Dir: dir, Memory: 128 << 20, Listen: []string{"127.0.0.1:0"}, Mountpoint: d.mnt,
		ReadTimeout: time.Minute, Version: version, Log: d.log.With("client", name),
	})
	if err != nil {
		return nil, err
	}
	d.later(func(ctx context.Context) error { c.Close(ctx); return nil })
	return c, nil
}

// magnet is the link of the sample, by which everybody on this machine finds it.
func (d *demo) magnet(m *metainfo.Torrent) *metainfo.Magnet {
	return &metainfo.Magnet{Hash: m.Info.Hash, Name: m.Info.Name, Trackers: m.Trackers[0]}
}

// mount mounts the magnet link of the sample.
func (d *demo) mount(m *metainfo.Torrent) error {
	client, err := d.client("mount")
	if err != nil {
		return err
	}
	if _, err := client.Add(engine.Source{Magnet: d.magnet(m)}); err != nil {
		return err
	}
	if err := fs.Clean(d.mnt); err != nil {
		return err
	}
	server, err := fs.Mount(d.mnt, newTree(client, d.log), fs.Options{MaxBackground: maxBackground, Log: d.log})
	if err != nil {
		return err
	}
	d.later(server.Unmount)
	fmt.Fprintf(d.s.out, "mounted %s\n\n", d.mnt)
	return nil
}

// read runs standard tools on the mount, as a person would, and compares what
// they read with the seeder's folder. They are processes of their own: one
// that serves a mount must not read it.
func (d *demo) read(ctx context.Context, m *metainfo.Torrent) error {
	var size int64
	for _, f := range m.Info.Files {
		size = max(size, f.Length)
	}
	folder := filepath.Join(d.mnt, m.Info.Name)
	film := filepath.Join(folder, demoFilm)
	steps := [][]string{
		{"ls", "-l", folder},
		{"cat", filepath.Join(folder, "README.txt")},
		{"dd", "if=" + film, "of=/dev/null", "bs=64K", "count=1", "status=none"},
		{"dd", "if=" + film, "of=/dev/null", "bs=1M", "status=none"},
		{"dd", "if=" + film, "of=/dev/null", "bs=1M", "status=none"},
		{"diff", "-r", filepath.Join(d.dir, "sample"), folder},
	}
	says := []string{
		"", "", "first 64 KiB of a cold file", "the whole file, from the swarm",
		"the same once more, from the page cache", "diff -r of the folder and the seeder's: no difference",
	}
	for i, step := range steps {
		if says[i] == "" {
			fmt.Fprintf(d.s.out, "$ %s\n", strings.Join(step, " "))
		}
		start := time.Now()
		cmd := exec.CommandContext(ctx, step[0], step[1:]...)
		cmd.Stdout, cmd.Stderr = d.s.out, d.s.err
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(step, " "), err)
		}
		took := time.Since(start)
		switch {
		case i == 3 || i == 4:
			fmt.Fprintf(d.s.out, "%-55s %6.0f MB/s\n", says[i], float64(size)/1e6/took.Seconds())
		case says[i] != "":
			fmt.Fprintf(d.s.out, "%-55s %6.0f ms\n", says[i], took.Seconds()*1000)
		default:
			fmt.Fprintln(d.s.out)
		}
	}
	return nil
}
