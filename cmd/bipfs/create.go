package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// createCommand is `bipfs create`.
type createCommand struct {
	Path        string   `arg:"" help:"A file or a folder."`
	Hybrid      bool     `help:"For clients of BitTorrent v1 and v2 (BEP 52)." xor:"format"`
	V2          bool     `name:"v2" help:"For clients of BitTorrent v2 only." xor:"format"`
	PieceLength Size     `help:"Length of a piece (default: by size)." placeholder:"SIZE"`
	Tracker     []string `help:"URL of a tracker; repeatable." placeholder:"URL" sep:"none"`
	WebSeed     []string `help:"URL of a web server that has the file, or the directory that it is in; repeatable." placeholder:"URL" sep:"none"`
	Output      string   `short:"o" help:"The file to write (default: NAME.torrent in this folder)." placeholder:"FILE.torrent" type:"path"`
}

// Run hashes the path, writes the .torrent and prints its magnet link.
func (c *createCommand) Run(s streams) error {
	if c.PieceLength < 0 || int64(c.PieceLength) > wire.MaxPieceLength {
		return usagef("--piece-length %v: at most %v", c.PieceLength, Size(wire.MaxPieceLength))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	format := metainfo.V1
	switch {
	case c.Hybrid:
		format = metainfo.Hybrid
	case c.V2:
		format = metainfo.V2Only
	}
	t, err := metainfo.Create(ctx, c.Path, metainfo.CreateOptions{
		Format: format, PieceLength: int64(c.PieceLength), Trackers: c.Tracker, WebSeeds: c.WebSeed,
	})
	if err != nil {
		return err
	}
	output := c.Output
	if output == "" {
		output = filepath.Clean(t.Info.Name + ".torrent")
	}
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(t.Encode())
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		_ = os.Remove(output) // a part of it is none, and in the way of the next
		return fmt.Errorf("write %s: %w", output, err)
	}
	magnet := metainfo.Magnet{
		Hash: t.Info.Hash, V2: t.Info.V2, Name: t.Info.Name, Trackers: c.Tracker, WebSeeds: c.WebSeed, Length: t.Info.Size(),
	}
	_, err = fmt.Fprintf(s.out, "wrote %s\n%s\n", output, magnet.String())
	return err
}
