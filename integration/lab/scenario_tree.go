package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tool runs a program of the machine over a mount and is what it printed, and how
// long it took, in seconds.
func (l *lab) tool(ctx context.Context, argv ...string) (printed []byte, took float64, err error) {
	cmd := newCommand(argv...)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	p, err := startProcess("", cmd)
	if err != nil {
		return nil, 0, err
	}
	err = p.wait(ctx)
	took = time.Since(p.began).Seconds()
	if err != nil {
		p.kill() // it may wait in a mount
		return nil, 0, err
	}
	return out.Bytes(), took, nil
}

// copyFiles is how many small files are copied, of 8 to 64 KiB.
const (
	copyFiles = 2000
	copyLeast = 8 * kib
	copyMost  = 64 * kib
)

var copyFar = scenario{
	name:  "cp-far",
	about: "cp -r of 2,000 files of 8 to 64 KiB, cold, 4 seeders of 4 MB/s, round trip 50 ms",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.tree(ctx, copyFiles, copyLeast, copyMost)
		if err != nil {
			return nil, err
		}
		err = l.mounted(ctx, s, c, good(4, farRate*mb/4, far), func(n *session) error {
			to := filepath.Join(n.dir, "copy")
			_, took, err := l.tool(ctx, "cp", "-r", n.path(), to)
			if err != nil {
				return err
			}
			f.add("cp -r", took-l.null, "s")
			f.add("bytes", float64(c.size)/mb, "MB")
			if err := equalTrees(c.original, to); err != nil {
				return err
			}
			return n.spent(&f, c.size)
		})
		return f, err
	},
	rows: func(by map[string]figures) []row {
		f := by["bipfs"]
		limit := f.of("bytes") / farRate
		return []row{
			{what: "cp -r of 2,000 small files", value: f.of("cp -r"), unit: "s", beside: "s bytes ÷ rate", limit: limit, atMost: true, reach: 1.3 * limit, rule: "≤ 1.3 ×"},
			wasteRow(f, 5),
		}
	},
}

// equalTrees compares every file of two folders on this machine's own disks.
func equalTrees(original, other string) error {
	names, err := listing(original)
	if err != nil {
		return err
	}
	others, err := listing(other)
	if err != nil {
		return err
	}
	if !slices.Equal(names, others) {
		return fmt.Errorf("%s has %d files, %s %d", original, len(names), other, len(others))
	}
	for _, name := range names {
		if err := equal(filepath.Join(other, name), filepath.Join(original, name)); err != nil {
			return err
		}
	}
	return nil
}

// listing is the paths of all files below a folder on this machine's own disks.
func listing(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(at, dir))
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// treeSize is how long each file of a large tree is, in bytes.
const treeSize = 16

// look lists a tree with find and ls and checks that all of it was there.
func (l *lab) look(ctx context.Context, at string, names []string, tool string) (took float64, err error) {
	argv := map[string][]string{"find": {"find", at, "-type", "f"}, "ls -lR": {"ls", "-lR", at}}[tool]
	printed, took, err := l.tool(ctx, argv...)
	if err != nil {
		return 0, err
	}
	var seen []string
	folder := ""
	for line := range strings.Lines(string(printed)) {
		line = strings.TrimSuffix(line, "\n")
		fields := strings.Fields(line)
		switch {
		case tool == "find":
			seen = append(seen, strings.TrimPrefix(line, at))
		case strings.HasSuffix(line, ":"):
			folder = strings.TrimPrefix(strings.TrimSuffix(line, ":"), at)
		case strings.HasPrefix(line, "-") && len(fields) == 9 && fields[4] == fmt.Sprint(treeSize):
			seen = append(seen, folder+"/"+fields[8])
		}
	}
	slices.Sort(seen)
	if !slices.Equal(seen, names) {
		return 0, fmt.Errorf("%s lists %d files right, of %d", tool, len(seen), len(names))
	}
	return took - l.null, nil
}

// lookers are the programs that list a tree, each on a mount that nobody has
// listed.
var lookers = []string{"find", "ls -lR"}

// trees is find and ls -lR of many files.
func trees(files int) scenario {
	of := fmt.Sprintf(" of %d files", files)
	run := func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.tree(ctx, files, treeSize, treeSize)
		if err != nil {
			return nil, err
		}
		names, err := listing(c.original)
		if err != nil {
			return nil, err
		}
		for _, tool := range lookers {
			err := l.mounted(ctx, s, c, good(1, 0, 0), func(n *session) error {
				took, err := l.look(ctx, n.path(), names, tool)
				if err != nil {
					return err
				}
				f.add(tool, took, "s")
				f.add(tool+", peak memory", float64(n.client.memory())/mb, "MB")
				st, err := l.static(c.original, n.dir)
				if err != nil {
					return err
				}
				defer st.close()
				took, err = l.look(ctx, st.at, names, tool)
				f.add(tool+", static", took, "s")
				return err
			})
			if err != nil {
				return f, err
			}
		}
		return f, nil
	}
	return scenario{
		name: fmt.Sprintf("tree-%dk", files/1000), about: "find and ls -lR" + of + " beside a static go-fuse tree",
		kinds: []kind{mounts}, alone: true, run: run,
		rows: func(by map[string]figures) (all []row) {
			f := by["bipfs"]
			for _, tool := range lookers {
				limit := f.of(tool + ", static")
				all = append(all, row{what: tool + of, value: f.of(tool), unit: "s", beside: "s static go-fuse tree", limit: limit, atMost: true, reach: 1.2 * limit, rule: "≤ 1.2 ×"})
			}
			if files < 100_000 {
				return all
			}
			return append(all,
				row{what: "find" + of, value: f.of("find"), unit: "s", limit: none, atMost: true, reach: 1, rule: "< 1 s"},
				row{what: "ls -lR" + of, value: f.of("ls -lR"), unit: "s", limit: none, atMost: true, reach: 2, rule: "< 2 s"},
				row{what: "… peak memory", value: max(f.of("find, peak memory"), f.of("ls -lR, peak memory")), unit: "MB", limit: none, atMost: true, reach: 120, rule: "≤ 120 MB"})
		},
	}
}
