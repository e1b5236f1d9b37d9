package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine"
	"bipfs/engine/control"
)

// The commands for the torrents of a running mount.

func escape(s string) string { return url.QueryEscape(s) }

// addCommand is `bipfs add`.
type addCommand struct {
	Source []string      `arg:"" help:".torrent file, magnet link, http(s) URL of a .torrent, infohash, or - for a list on stdin."`
	Wait   time.Duration `help:"Wait so long for the metadata of each." placeholder:"DUR"`
	Folder string        `help:"Have them stand in this folder of the mount, named from its root; it is there while a torrent is. What is in the mount already stays where it is." placeholder:"FOLDER"`
	talkFlags
}

// failedSource is a source that could not be added.
type failedSource struct {
	Source string `json:"source"`
	Error  string `json:"error"`
}

// Run adds. Those that cannot be are named at the end, and the others stay.
func (c *addCommand) Run(s streams) error {
	return c.talk(s, nil, func(ctx context.Context, t *talk) error {
		result := struct {
			Added  []control.Torrent `json:"added"`
			Failed []failedSource    `json:"failed"`
		}{[]control.Torrent{}, []failedSource{}}
		args, err := lines(c.Source, s.in)
		if err != nil {
			return err
		}
		for _, arg := range args {
			added, err := t.add(ctx, arg, c.Folder, c.Wait)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if added.Infohash != "" {
				result.Added = append(result.Added, added)
			}
			if err != nil {
				as := engine.ShownSource(arg)
				result.Failed = append(result.Failed, failedSource{as, strings.TrimPrefix(sentence(err), as+": ")})
			}
		}
		if err := t.print(result, func(w io.Writer) {
			for _, a := range result.Added {
				fmt.Fprintf(w, "%s\t%s\n", a.Infohash, shown(path.Join(a.Folder, a.Name)))
			}
		}); err != nil {
			return err
		}
		for _, f := range result.Failed {
			fmt.Fprintf(s.err, "bipfs: %s: %s\n", shown(f.Source), f.Error)
		}
		if n := len(result.Failed); n > 0 {
			return fmt.Errorf("%d of %d sources: not done", n, len(args))
		}
		return nil
	})
}

// add adds one source, to stand in a folder. A file is read here: the mount may be of
// another user.
func (t *talk) add(ctx context.Context, arg, folder string, wait time.Duration) (added control.Torrent, err error) {
	source, err := engine.ParseSource(arg)
	if err != nil {
		return added, err
	}
	path, kind, body := "torrents", control.TorrentType, []byte(nil)
	if source.Torrent != nil {
		body = source.Torrent.Encode()
		if folder != "" {
			path += "?folder=" + escape(folder)
		}
	} else {
		kind, body = "application/json", marshal(control.Source{Link: arg, Folder: folder})
	}
	if err := t.Do(ctx, http.MethodPost, path, kind, body, &added); err != nil {
		return added, err
	}
	if wait <= 0 || added.State != "resolving" {
		return added, nil
	}
	seconds := int64((wait + time.Second - 1) / time.Second)
	if err := t.Get(ctx, fmt.Sprintf("torrents/%s?wait=%d", added.Infohash, seconds), &added); err != nil {
		return added, err
	}
	switch added.State {
	case "resolving":
		err = fmt.Errorf("its metadata is not here after %v; it stays added", wait)
	case "unusable":
		err = fmt.Errorf("%s", added.Error)
	}
	return added, err
}

// lsCommand is `bipfs ls`.
type lsCommand struct{ talkFlags }

// Run lists.
func (c *lsCommand) Run(s streams) error {
	return c.talk(s, nil, func(ctx context.Context, t *talk) error {
		var all control.List
		if err := t.Get(ctx, "torrents", &all); err != nil {
			return err
		}
		return t.print(all, func(w io.Writer) {
			fmt.Fprintln(w, "INFOHASH\tSTATE\tHERE\tSIZE\tPEERS\tNAME")
			for _, o := range all.Torrents {
				fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\t%d\t%s\n", o.Infohash, state(o), figure.Share(o.Here, o.Length), figure.Bytes(o.Length), o.Peers, shown(path.Join(o.Folder, o.Name)))
			}
		})
	})
}

// state is what a torrent does, in a word.
func state(t control.Torrent) string {
	s := t.State
	if t.Paused {
		s += ", paused"
	}
	switch t.Pinned {
	case "all":
		s += ", pinned"
	case "part":
		s += ", partly pinned"
	}
	return s
}

// rmCommand is `bipfs rm`.
type rmCommand struct {
	Torrent    []string `arg:"" help:"Infohash or its first digits, magnet link, or a path in the mount."`
	DeleteData bool     `help:"Delete what is here of it, too; without it, adding it again goes on from there."`
	talkFlags
}

// Run removes.
func (c *rmCommand) Run(s streams) error {
	return c.talk(s, c.Torrent, func(ctx context.Context, t *talk) error {
		return t.each(ctx, c.Torrent, func(o control.Torrent) error {
			var removed control.Removed
			err := t.Do(ctx, http.MethodDelete, fmt.Sprintf("torrents/%s?delete_data=%v", o.Infohash, c.DeleteData), "", nil, &removed)
			if err != nil {
				return err
			}
			return t.print(removed, func(w io.Writer) { fmt.Fprintf(w, "removed\t%s\n", shown(o.Name)) })
		})
	})
}

// Each of the four decisions is a command.
type (
	startCommand  struct{ decideCommand }
	stopCommand   struct{ decideCommand }
	pauseCommand  struct{ decideCommand }
	resumeCommand struct{ decideCommand }
)

type decideCommand struct {
	Torrent []string `arg:"" help:"Infohash or its first digits, magnet link, or a path in the mount."`
	talkFlags
}

func (c *decideCommand) run(s streams, v control.Verb) error {
	return c.talk(s, c.Torrent, func(ctx context.Context, t *talk) error {
		return t.each(ctx, c.Torrent, func(o control.Torrent) error {
			var now control.Torrent
			if err := t.Do(ctx, http.MethodPost, fmt.Sprintf("torrents/%s/%s", o.Infohash, v), "", nil, &now); err != nil {
				return err
			}
			return t.print(now, func(w io.Writer) { fmt.Fprintf(w, "%s\t%s\n", state(now), shown(now.Name)) })
		})
	})
}

// Run starts.
func (c *startCommand) Run(s streams) error { return c.run(s, control.Start) }

// Run stops.
func (c *stopCommand) Run(s streams) error { return c.run(s, control.Stop) }

// Run pauses.
func (c *pauseCommand) Run(s streams) error { return c.run(s, control.Pause) }

// Run resumes.
func (c *resumeCommand) Run(s streams) error { return c.run(s, control.Resume) }

// verifyCommand is `bipfs verify`.
type verifyCommand struct {
	Torrent []string `arg:"" help:"Infohash or its first digits, magnet link, or a path in the mount."`
	talkFlags
}

// Run verifies. Damaged pieces are a failure.
func (c *verifyCommand) Run(s streams) error {
	return c.talk(s, c.Torrent, func(ctx context.Context, t *talk) error {
		return t.each(ctx, c.Torrent, func(o control.Torrent) error {
			var v control.Verified
			if err := t.Do(ctx, http.MethodPost, "torrents/"+o.Infohash+"/verify", "", nil, &v); err != nil {
				return err
			}
			err := t.print(v, func(w io.Writer) {
				fmt.Fprintf(w, "%d of %d pieces are here and right, %d damaged\t%s\n", v.Here, v.Pieces, v.Damaged, shown(o.Name))
			})
			if err == nil && v.Damaged > 0 {
				err = fmt.Errorf("%d damaged pieces are fetched again when they are read", v.Damaged)
			}
			return err
		})
	})
}
