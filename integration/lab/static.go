package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// staticMount is a tree of go-fuse's own, in a process of its own.
type staticMount struct {
	process *process
	at      string
}

// static mounts a tree with all that is in a folder, below dir.
func (l *lab) static(from, dir string) (*staticMount, error) {
	m := &staticMount{at: filepath.Join(dir, "static")}
	if err := os.Mkdir(m.at, 0o755); err != nil {
		return nil, err
	}
	cmd := role("static", from, m.at)
	out, err := linesOf(cmd)
	if err != nil {
		return nil, err
	}
	if m.process, err = startProcess("", cmd); err != nil {
		return nil, err
	}
	if err := out.expect("ready"); err != nil {
		m.close()
		return nil, fmt.Errorf("the static tree does not begin: %w: %s", err, m.process.log)
	}
	return m, nil
}

// staticFile mounts a tree with one file.
func (l *lab) staticFile(c content, dir string) (*staticMount, error) {
	from := filepath.Join(l.ram, "static-"+c.name)
	if err := os.MkdirAll(from, 0o755); err != nil {
		return nil, err
	}
	if err := os.Link(c.original, filepath.Join(from, c.name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return l.static(from, dir)
}

func (m *staticMount) close() {
	unmount(m.at) // it ends with its mount
	if m.process != nil {
		m.process.stop()
	}
	unmount(m.at, "-l")
}
