package main

import (
	"context"
	"errors"
	"os"

	"bipfs/cmd/bipfs/top"
)

// topCommand is `bipfs top`.
type topCommand struct {
	Torrent string `arg:"" optional:"" help:"Begin with this one: infohash or its first digits, magnet link, or a path in the mount."`
	Once    bool   `help:"Print one frame, without colours, and exit."`
	talkFlags
}

// Run shows, until the user has seen enough or the mount goes.
func (c *topCommand) Run(s streams) error {
	if c.JSON {
		return usagef("--json: bipfs status, ls and peers print it, top does not")
	}
	err := c.talk(s, []string{c.Torrent}, func(ctx context.Context, t *talk) error {
		o := top.Options{In: s.in, Out: s.out, Once: c.Once, Getenv: os.Getenv}
		if c.Torrent != "" {
			found, err := t.torrent(ctx, c.Torrent)
			if err != nil {
				return err
			}
			o.Torrent = found.Infohash
		}
		return top.Run(ctx, t.Client, o)
	})
	switch {
	case errors.Is(err, top.ErrNoTerminal):
		return usageError{err}
	case errors.Is(err, context.Canceled):
		return errInterrupted // by a signal that talk may not have heard of yet
	}
	return err
}
