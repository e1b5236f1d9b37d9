package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"bipfs/integration/lab/reader"
	"bipfs/integration/lab/swarm"
)

// The file that is read from start to end.
const (
	filmSize  = 512 * mib
	filmPiece = mib
)

// sequential reads, or downloads, a whole file.
func sequential(size int64, seeders []swarm.Manner) func(context.Context, *lab, system) (figures, error) {
	return func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.file(ctx, size, min(filmPiece, size/8))
		if err != nil {
			return nil, err
		}
		n, err := l.prepare(s, c, seeders)
		if n != nil {
			defer n.close()
		}
		if err != nil {
			return nil, err
		}
		if err := n.start(); err != nil {
			return nil, err
		}
		if s.kind == downloads {
			err = n.download(ctx, &f)
		} else if err = n.listed(ctx); err == nil {
			var r reader.Result
			r, err = n.read(ctx, reader.Job{Work: reader.Cat})
			f.add("rate", float64(r.Bytes)/mb/(float64(r.Ended-r.Began)/1e9), "MB/s")
			f.add("longest gap", r.Gap, "s")
		}
		if err != nil {
			return nil, err
		}
		return f, n.spent(&f, size)
	}
}

// download waits for a download to end and compares it.
func (n *session) download(ctx context.Context, f *figures) error {
	if err := n.client.wait(ctx); err != nil {
		return err
	}
	took := time.Since(n.client.began).Seconds() - n.lab.null
	if n.system.took != nil {
		if s, ok := n.system.took(n.client.log.String()); ok {
			took = s
		}
	}
	if err := equal(filepath.Join(n.at, n.content.name), n.content.original); err != nil {
		return err
	}
	f.add("rate", float64(n.content.size)/mb/took, "MB/s")
	return nil
}

// equal compares two files on this machine's own disks.
func equal(one, other string) error {
	a, err := os.Open(one)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return err
	}
	defer b.Close()
	var x, y [256 * kib]byte
	for at := int64(0); ; {
		n, err := a.ReadAt(x[:], at)
		m, err2 := b.ReadAt(y[:], at)
		if n != m || !bytes.Equal(x[:n], y[:n]) {
			return fmt.Errorf("%s is not %s, at %d", one, other, at)
		}
		for _, err := range []error{err, err2} {
			if err != nil && err != io.EOF {
				return err
			}
		}
		if err == io.EOF && err2 == io.EOF {
			return nil
		}
		at += int64(n)
	}
}

// catNear is cat of a file with seeders that nothing limits.
func catNear(seeders int) scenario {
	return scenario{
		name:  fmt.Sprintf("cat-%d", seeders),
		about: fmt.Sprintf("cat of 512 MiB through the mount, unlimited seeders: %d; beside it downloads to disk", seeders),
		kinds: []kind{mounts, downloads},
		run:   sequential(filmSize, good(seeders, 0, 0)),
		rows: func(by map[string]figures) []row {
			f, other := by["bipfs"], by["libtorrent"].of("rate")
			return []row{
				{what: "cat of 512 MiB", value: f.of("rate"), unit: "MB/s", beside: "MB/s libtorrent to disk", limit: other, reach: other, rule: "≥ 1.0 ×"},
				{what: "… beside the other mount", value: f.of("rate"), unit: "MB/s", beside: "MB/s btfs", limit: by["btfs"].of("rate"), reach: none},
				gapRow(f), memoryRow(f), wasteRow(f, 5),
			}
		},
	}
}

// farRate is what four seeders of the far scenarios have together, in MB/s.
const farRate = 16

var catFar = scenario{
	name:  "cat-far",
	about: "cat of 512 MiB through the mount, 4 seeders of 4 MB/s, round trip 50 ms",
	kinds: []kind{mounts, downloads},
	alone: true,
	run:   sequential(filmSize, good(4, farRate*mb/4, far)),
	rows: func(by map[string]figures) []row {
		f := by["bipfs"]
		return []row{
			{what: "cat of 512 MiB", value: f.of("rate"), unit: "MB/s", beside: "MB/s of the seeders", limit: farRate, reach: 0.95 * farRate, rule: "≥ 0.95 ×"},
			gapRow(f), memoryRow(f), wasteRow(f, 5),
		}
	},
}

var fetching = scenario{
	name:  "fetch",
	about: "bipfs fetch of 512 MiB to disk, 4 unlimited seeders",
	kinds: []kind{downloads},
	run:   sequential(filmSize, good(4, 0, 0)),
	rows: func(by map[string]figures) []row {
		f, other := by["fetch"], by["libtorrent"]
		return []row{
			{what: "fetch of 512 MiB (stretch)", value: f.of("rate"), unit: "MB/s", beside: "MB/s libtorrent", limit: other.of("rate"), reach: 1.1 * other.of("rate"), rule: "≥ 1.1 ×"},
			{what: "processor (stretch)", value: f.of("processor"), unit: "s", beside: "s libtorrent", limit: other.of("processor"), atMost: true, reach: 1.3 * other.of("processor"), rule: "≤ 1.3 ×"},
			wasteRow(f, 5),
		}
	},
}

// smoke is small: that the laboratory works.
var smoke = scenario{
	name:   "smoke",
	about:  "cat of 8 MiB through the mount, 1 unlimited seeder: that the laboratory works",
	kinds:  []kind{mounts, downloads},
	alone:  true,
	hidden: true,
	run:    sequential(8*mib, good(1, 0, time.Millisecond)),
	rows: func(by map[string]figures) []row {
		f := by["bipfs"]
		return []row{
			{what: "cat of 8 MiB", value: f.of("rate"), unit: "MB/s", limit: none, reach: 0, rule: "read"},
			wasteRow(f, 100),
		}
	},
}
