package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"bipfs/integration/lab/reader"
)

// again is how often a file is read again, in turns with what is beside it.
const again = 9

// written is how long a client is given to write what it has fetched.
const written = 2 * time.Second

// rateInside is the rate of a read in MB/s, the comparing of bytes not counted.
func rateInside(r reader.Result) float64 { return float64(r.Bytes) / mb / r.Inside }

// reread reads a file that is complete, in turns with what is beside it: both a
// few times, and the figures are medians. The kernel forgets the mount's file before
// each; the file of a disk stays in its memory, for both of them.
func (n *session) reread(ctx context.Context, f *figures, beside reader.Job) error {
	beside.Work = reader.Cat
	var ours, theirs []float64
	before := n.client.wrote()
	for range again {
		r, err := n.read(ctx, reader.Job{Work: reader.Cat, Drop: true})
		if err != nil {
			return err
		}
		ours = append(ours, rateInside(r))
		r, err = runReader(ctx, beside)
		if err != nil {
			return err
		}
		theirs = append(theirs, rateInside(r))
	}
	f.add("rate", median(ours), "MB/s")
	f.add("beside", median(theirs), "MB/s")
	f.add("written again", float64(n.client.wrote()-before)/mb, "MB")
	return nil
}

// backing is the file below the data folder that has the whole content.
func (n *session) backing() (at string, err error) {
	err = filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == n.at {
			return fs.SkipDir // the mount itself
		}
		if st, err := d.Info(); err == nil && st.Mode().IsRegular() && st.Size() == n.content.size {
			at = path
		}
		return nil
	})
	if err == nil && at == "" {
		err = errors.New("no file of its data is the whole content")
	}
	return at, err
}

var rereadPassing = scenario{
	name:  "reread-passthrough",
	about: "512 MiB that are complete read again, 9 times in turns with the backing file; the kernel reads by itself",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.file(ctx, filmSize, filmPiece)
		if err != nil {
			return nil, err
		}
		err = l.mounted(ctx, s, c, good(4, 0, 0), func(n *session) error {
			if _, err := n.read(ctx, reader.Job{Work: reader.Cat}); err != nil {
				return err
			}
			time.Sleep(written)
			at, err := n.backing()
			if err != nil {
				return err
			}
			if err := n.reread(ctx, &f, reader.Job{Path: at, Original: c.original}); err != nil {
				return err
			}
			return n.spent(&f, c.size)
		})
		return f, err
	},
	rows: func(by map[string]figures) []row {
		f := by["bipfs"]
		return []row{
			{what: "re-read, passthrough", value: f.of("rate"), unit: "MB/s", beside: "MB/s cat of the backing file", limit: f.of("beside"), reach: 0.95 * f.of("beside"), rule: "≥ 0.95 ×"},
			{what: "… what the daemon wrote meanwhile", value: f.of("written again"), unit: "MB", limit: none, atMost: true, reach: 1, rule: "≤ 1 MB: it sees no READ"},
			wasteRow(f, 5),
		}
	},
}

// memorySize is a quarter of --memory.
const memorySize = memoryMiB * mib / 4

var rereadMemory = scenario{
	name:  "reread-memory",
	about: "64 MiB that are complete read again from memory without passthrough, 9 times in turns with a static go-fuse file",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.file(ctx, memorySize, filmPiece)
		if err != nil {
			return nil, err
		}
		err = l.mounted(ctx, s, c, good(4, 0, 0), func(n *session) error {
			release, err := n.hold()
			if err != nil {
				return err
			}
			defer release()
			if _, err := n.read(ctx, reader.Job{Work: reader.Cat}); err != nil {
				return err
			}
			st, err := l.staticFile(c, n.dir)
			if err != nil {
				return err
			}
			defer st.close()
			time.Sleep(written)
			if err := n.reread(ctx, &f, reader.Job{Path: filepath.Join(st.at, c.name), Original: c.original, Drop: true}); err != nil {
				return err
			}
			return n.spent(&f, c.size)
		})
		return f, err
	},
	rows: func(by map[string]figures) []row {
		f := by["bipfs"]
		return []row{
			{what: "re-read from memory, no passthrough", value: f.of("rate"), unit: "MB/s", beside: "MB/s static go-fuse file", limit: f.of("beside"), reach: 0.8 * f.of("beside"), rule: "≥ 0.8 ×"},
			wasteRow(f, 5),
		}
	},
}

// hold has a process keep the file open that is not here yet: as long as it does,
// nobody's descriptor can be one that the kernel reads by itself.
func (n *session) hold() (release func(), err error) {
	cmd := newCommand("sh", "-c", `exec <"$1"; echo open; exec sleep 600`, "sh", n.path())
	out, err := linesOf(cmd)
	if err != nil {
		return nil, err
	}
	p, err := startProcess("", cmd)
	if err != nil {
		return nil, err
	}
	if err := out.expect("open"); err != nil {
		p.kill() // it may wait in the mount
		return nil, fmt.Errorf("the file is not opened: %w", err)
	}
	return func() { p.stop() }, nil
}
