//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/url"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bipfs/engine/control"
)

// openCommand is `bipfs open`, which a desktop runs for magnet: and .torrent.
type openCommand struct {
	Source string `arg:"" help:".torrent file, magnet link, http(s) URL of a .torrent, or infohash."`
	talkFlags
}

const (
	// userUnit is the service that a user's desktop starts.
	userUnit = "bipfs.service"
	// unitTime is how long the mount may take to answer after its unit was started.
	unitTime = 20 * time.Second
	// openWait is how long the metadata may take.
	openWait = time.Minute
	// mostLooked is how many entries of a torrent are looked at to find its film.
	mostLooked = 10_000
)

// Run adds the torrent, waits until it is listed, and has the desktop open it.
func (c *openCommand) Run(s streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stop()
	if err := c.ensure(ctx); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	return c.talk(s, nil, func(ctx context.Context, t *talk) error {
		added, err := t.add(ctx, sourceOfURI(c.Source), "", openWait)
		if err != nil {
			return err
		}
		path := filepath.Join(t.Status.Mountpoint, added.Folder, added.Name)
		if film := onlyFilm(path); film != "" {
			path = film
		}
		if err := t.print(struct {
			Torrent control.Torrent `json:"torrent"`
			Opened  string          `json:"opened"`
		}{added, path}, func(w io.Writer) { fmt.Fprintln(w, shown(path)) }); err != nil {
			return err
		}
		return desktop(ctx, "xdg-open", path)
	})
}

// ensure starts the user's service unless a mount runs, and waits until it answers.
func (c *openCommand) ensure(ctx context.Context) error {
	runs := func() bool { return len(control.Find(ctx, c.folders()...)) > 0 }
	if runs() || c.Mount != "" {
		return nil
	}
	if err := desktop(ctx, "systemctl", "--user", "start", userUnit); err != nil {
		return fmt.Errorf("no mount runs, and none can be started: %w", err)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(unitTime)
	defer late.Stop()
	for !runs() {
		select {
		case <-again.C:
		case <-late.C:
			return fmt.Errorf("%s was started, and no mount answers after %v: systemctl --user status %s says why", userUnit, unitTime, userUnit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// desktop runs a program of the desktop to its end; its words are the error.
func desktop(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed", program)
	case err != nil && len(out) > 0:
		return fmt.Errorf("%s: %s", program, shown(shortLine(string(out))))
	case err != nil:
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}

// shortLine is what a program said, for a line of an error.
func shortLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 200)]
}

// sourceOfURI makes a path of file:///home/me/x.torrent, which is what a desktop
// gives for a file.
func sourceOfURI(s string) string {
	if u, err := url.Parse(s); err == nil && u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") {
		return u.Path
	}
	return s
}

// films are the endings of the names of films.
var films = []string{".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".vob", ".webm", ".wmv"}

// onlyFilm is the film of a torrent that has one; "" if it has none, or several.
// Names come from the metadata: listing waits for nobody.
func onlyFilm(dir string) (film string) {
	looked := 0
	_ = filepath.WalkDir(dir, func(path string, d iofs.DirEntry, err error) error {
		looked++
		switch {
		case err != nil, looked > mostLooked:
			film = ""
			return filepath.SkipAll
		case !d.Type().IsRegular() || !slices.Contains(films, strings.ToLower(filepath.Ext(path))):
			return nil
		case film != "":
			film = ""
			return filepath.SkipAll
		}
		film = path
		return nil
	})
	return film
}
