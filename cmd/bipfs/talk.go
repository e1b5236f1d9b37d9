package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/engine/metainfo"
)

// talkFlags are the flags of every command that talks to a running mount.
type talkFlags struct {
	Mount   string `help:"The mount that is meant, by its mount point or any path in it; needed where there are several." placeholder:"PATH"`
	Control string `help:"Look for control sockets in this folder (default: $$XDG_RUNTIME_DIR/bipfs, root: /run/bipfs)." placeholder:"DIR" type:"path"`
	JSON    bool   `name:"json" help:"Print JSON, as docs/API.md has it."`
}

// errInterrupted ends a command by Ctrl-C.
var errInterrupted = errors.New("interrupted")

// exitInterrupted is the exit code then: 128 and the signal's number.
const exitInterrupted = 128 + int(syscall.SIGINT)

// talk finds the mount that is meant and calls f with it. args are the arguments
// of the command, which may be paths in the mount. Ctrl-C ends f's context.
func (f talkFlags) talk(s streams, args []string, do func(ctx context.Context, t *talk) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stop()
	found, err := f.find(ctx, args)
	if err == nil {
		err = do(ctx, &talk{Found: found, streams: s, json: f.JSON})
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// find is the mount that is meant: one with a socket where those of this user are, or
// one that tells where its socket is, as a path says, or because there is no other.
func (f talkFlags) find(ctx context.Context, args []string) (control.Found, error) {
	found, err := f.choose(control.Find(ctx, f.folders()...), args)
	if err == nil || f.Control != "" {
		return found, err
	}
	paths := append(slices.Clone(args), theOnly)
	if f.Mount != "" {
		paths = []string{f.Mount}
	}
	for _, path := range paths {
		if socket := socketOf(path); socket != "" {
			return control.Ask(ctx, socket)
		}
	}
	return found, err
}

// theOnly stands for a path in the only mount that there is.
const theOnly = ""

// folders are where control sockets are looked for.
func (f talkFlags) folders() (dirs []string) {
	if f.Control != "" {
		return []string{f.Control}
	}
	if dir := control.Dir(); dir != "" {
		dirs = append(dirs, dir)
	}
	if data, err := dataPath(""); err == nil {
		dirs = append(dirs, filepath.Join(data, "control"))
	}
	return dirs
}

// choose is the mount that --mount names, or the one that a path among the
// arguments lies in, or the only one.
func (f talkFlags) choose(all []control.Found, args []string) (control.Found, error) {
	if f.Mount != "" {
		path, err := filepath.Abs(f.Mount)
		if err != nil {
			return control.Found{}, err
		}
		found, err := control.Choose(all, path)
		if err != nil {
			if real, err2 := filepath.EvalSymlinks(path); err2 == nil {
				found, err = control.Choose(all, real)
			}
		}
		return found, err
	}
	if len(all) > 1 {
		for _, arg := range args {
			if path, err := filepath.Abs(arg); err == nil {
				if found, err := control.Choose(all, path); err == nil {
					return found, nil
				}
			}
		}
	}
	return control.Choose(all, "")
}

// talk is one command's talk with a mount.
type talk struct {
	control.Found
	streams
	json bool
}

// print prints v as JSON if that is asked for, else what people writes, in
// columns.
func (t *talk) print(v any, people func(w io.Writer)) error {
	if t.json {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "%s\n", b)
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	people(w)
	return w.Flush()
}

// shown is a name as a terminal may be sent it.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// leastPrefix is the least digits of an infohash that name a torrent.
const leastPrefix = 4

// torrent finds what a TORRENT argument names: a magnet link, an infohash or the
// beginning of one, or a path in the mount.
func (t *talk) torrent(ctx context.Context, arg string) (found control.Torrent, err error) {
	if strings.HasPrefix(strings.ToLower(arg), "magnet:") {
		m, err := metainfo.ParseMagnet(arg)
		if err != nil {
			return found, err
		}
		err = t.Get(ctx, "torrents/"+m.ID().String(), &found)
		return found, err
	}
	if prefix := strings.ToLower(arg); len(prefix) >= leastPrefix && strings.Trim(prefix, "0123456789abcdef") == "" {
		var all control.List
		if err := t.Get(ctx, "torrents", &all); err != nil {
			return found, err
		}
		if named := withPrefix(all.Torrents, prefix); len(named) == 1 {
			return named[0], nil
		} else if len(named) > 1 {
			return found, usagef("%s is the beginning of %d infohashes: give more digits", arg, len(named))
		}
	}
	p, err := t.path(ctx, arg)
	return p.Torrent, err
}

func withPrefix(all []control.Torrent, prefix string) (named []control.Torrent) {
	for _, t := range all {
		if strings.HasPrefix(t.Infohash, prefix) || t.InfohashV2 != "" && strings.HasPrefix(t.InfohashV2, prefix) {
			named = append(named, t)
		}
	}
	return named
}

// below is a path from the mount point; one that is not absolute may be meant from
// there.
func (t *talk) below(arg string) (string, error) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	below, ok := within(abs, t.Status.Mountpoint)
	switch {
	case ok && below == "":
		return "", usagef("%s is the mount itself: name a torrent in it", arg)
	case !ok && filepath.IsAbs(arg):
		return "", fmt.Errorf("%s is not in the mount %s", arg, t.Status.Mountpoint)
	case !ok:
		below = filepath.Clean(arg)
	}
	return below, nil
}

// within is a path as it is called from the mount point, which both may lead to by links.
func within(path, mountpoint string) (below string, ok bool) {
	if below, ok = control.Below(path, mountpoint); ok {
		return below, true
	}
	root := make(chan string, 1)
	// Not joined: if a mount on the way does not answer, a system call has no end.
	go func() { root <- sameOnWay(path, mountpoint) }()
	late := time.NewTimer(wayTime)
	defer late.Stop()
	select {
	case dir := <-root:
		if dir == "" {
			return "", false
		}
		return control.Below(path, dir)
	case <-late.C:
		return "", false
	}
}

// wayTime is how long the way to a path may take to be looked at.
const wayTime = 2 * time.Second

// sameOnWay is the folder on the way to path that is dir; "" if none is. Nothing in it is
// looked at: that could wait for the swarm.
func sameOnWay(path, dir string) string {
	root, err := os.Stat(dir)
	for end := 0; err == nil && end < len(path); {
		next := strings.IndexByte(path[end+1:], '/')
		if end += 1 + next; next < 0 {
			end = len(path)
		}
		var at os.FileInfo
		if at, err = os.Stat(path[:end]); err == nil && os.SameFile(at, root) {
			return path[:end]
		}
	}
	return ""
}

// path finds a path in the mount.
func (t *talk) path(ctx context.Context, arg string) (p control.Path, err error) {
	below, err := t.below(arg)
	if err != nil {
		return p, err
	}
	err = t.Get(ctx, "path?path="+escape(below), &p)
	return p, err
}

// each calls do for every torrent that is named. One that fails is said, and the
// others go on.
func (t *talk) each(ctx context.Context, args []string, do func(control.Torrent) error) error {
	return t.eachOf(ctx, args, " torrents", func(arg string) error {
		found, err := t.torrent(ctx, arg)
		if err == nil {
			err = do(found)
		}
		return err
	})
}

// eachOf is that for whatever the arguments name; what is their noun.
func (t *talk) eachOf(ctx context.Context, args []string, what string, do func(arg string) error) error {
	failed := 0
	for _, arg := range args {
		err := do(arg)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			fmt.Fprintf(t.err, "bipfs: %s: %s\n", shown(engine.ShownSource(arg)), sentence(err))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d%s: not done", failed, len(args), what)
	}
	return nil
}
