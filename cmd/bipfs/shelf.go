package main

import (
	"context"
	"errors"
	"io"
	"time"

	"bipfs/cmd/bipfs/web"
	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/wire"
)

// The tree of the mount without the kernel: what --http shows of it.

// What is not there for a path that is.
var (
	errUnresolved = errors.New("the metadata is not here yet")
	errNoFile     = errors.New("it is not a file")
)

// Some implements web.Torrents: of thousands those that a page shows are asked.
func (d *daemon) Some(from, n int) (some []control.Torrent, all int) {
	torrents := added(d.Client)
	for _, t := range torrents[min(from, len(torrents)):min(from+n, len(torrents))] {
		some = append(some, t.Status())
	}
	return some, len(torrents)
}

// Pieces implements control.Picture.
func (d *daemon) Pieces(infohash string) (control.Pieces, error) {
	t, err := d.find(infohash)
	if err != nil {
		return control.Pieces{}, err
	}
	return t.Pieces()
}

// Readers implements control.Picture.
func (d *daemon) Readers(infohash string) ([]control.Reading, error) {
	t, err := d.find(infohash)
	if err != nil {
		return nil, err
	}
	return t.Readers(), nil
}

// Stat implements web.Tree.
func (d *daemon) Stat(path string) (web.Entry, error) {
	if path == "" {
		return web.Entry{Dir: true, Modified: d.started}, nil
	}
	if _, _, folder := d.stands(path); folder != nil {
		return describeFolder(folder), nil
	}
	t, at, below, err := d.place(path)
	if err != nil {
		return web.Entry{}, err
	}
	return describe(t, at, below), nil
}

// describeFolder is a folder that torrents stand in.
func describeFolder(folder *engine.Directory) web.Entry {
	return web.Entry{Path: folder.Path(), Name: folder.Name(), Dir: true, Modified: time.Unix(folder.Made().Unix(), 0)}
}

// describe is node at of t, which lies at a path below its directory.
func describe(t *engine.Torrent, at uint32, below string) web.Entry {
	e := web.Entry{Infohash: t.ID(), Path: below, Name: t.Name(), Dir: true, Modified: time.Unix(t.Mtime().Unix(), 0)}
	info := t.Info()
	if info == nil {
		return e
	}
	n := info.Tree().Nodes[at]
	if at != 0 {
		e.Name = n.Name
	}
	if n.File >= 0 {
		f := info.Files[n.File]
		e.Dir, e.Link, e.Length = false, f.Link != "", f.Length
	}
	return e
}

// List implements web.Tree.
func (d *daemon) List(path string, from, n int) (entries []web.Entry, all int, err error) {
	_, _, folder := d.stands(path)
	if path == "" {
		folder = d.Root()
	}
	if folder != nil {
		members, all := folder.Members(from, n)
		for _, m := range members {
			if m.Directory != nil {
				entries = append(entries, describeFolder(m.Directory))
			} else {
				entries = append(entries, describe(m.Torrent, 0, ""))
			}
		}
		return entries, all, nil
	}
	t, at, below, err := d.place(path)
	if err != nil {
		return nil, 0, err
	}
	info := t.Info()
	if info == nil {
		return nil, 0, control.As(control.ErrRefused, errUnresolved)
	}
	children := info.Tree().Nodes[at].Children
	prefix := below
	if prefix != "" {
		prefix += "/"
	}
	for _, c := range children[min(from, len(children)):min(from+n, len(children))] {
		entries = append(entries, describe(t, c, prefix+info.Tree().Nodes[c].Name))
	}
	return entries, len(children), nil
}

// Open implements web.Tree.
func (d *daemon) Open(path, visitor string) (web.File, error) {
	t, at, _, err := d.place(path)
	if err != nil {
		return nil, err
	}
	info := t.Info()
	if info == nil || info.Tree().Nodes[at].File < 0 {
		return nil, control.As(control.ErrUnknown, errNoFile)
	}
	r, err := t.OpenFile(int(info.Tree().Nodes[at].File))
	if err != nil {
		return nil, judged(err)
	}
	r.For(visitor)
	return page{r}, nil
}

// page is an open file, for who wants bytes of his own.
type page struct{ *engine.Reader }

// ReadAt copies: what a client is slow to take is not memory of the disk cache.
func (p page) ReadAt(ctx context.Context, b []byte, off int64) (n int, err error) {
	loans, err := p.Reader.Read(ctx, off, len(b), engine.Caller{})
	if err != nil {
		return 0, judged(err)
	}
	defer release(loans)
	for _, l := range loans {
		n += copy(b[n:], l.Bytes)
	}
	if n < len(b) {
		err = io.EOF
	}
	return n, err
}

// judged is err, as far as the user has decided that there is nothing.
func judged(err error) error {
	switch {
	case errors.Is(err, engine.ErrRemoved):
		return control.As(control.ErrUnknown, err)
	case errors.Is(err, engine.ErrStopped):
		return control.As(control.ErrRefused, err)
	}
	return err
}

// release gives back what was lent.
func release(loans []wire.Loan) {
	for _, l := range loans {
		l.Of.Release()
	}
}

var _ web.Site = (*daemon)(nil)
