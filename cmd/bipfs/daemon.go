package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/engine/metainfo"
)

// daemon is a mount as it is controlled: the engine, and what the kernel is told
// of it.
type daemon struct {
	*engine.Client
	started time.Time
	keeper  func() (pid int) // 0: it has gone; nil: there is none
	page    string           // the address of --http with its token; "": there is none
	socket  string           // the path of the control socket; "": there is none
	// forget has the kernel forget a name: of what is dead, or is to be looked for again. nil:
	// there is no mount.
	forget func(w engine.Where, dead bool)
	told   func(context.Context) // waits until it has
}

// Status implements control.Catalogue.
func (d *daemon) Status() control.Status {
	s := d.Client.Status()
	s.API, s.PID, s.Started, s.HTTPURL = control.API, os.Getpid(), d.started, d.page
	if d.keeper != nil {
		s.KeeperPID = d.keeper()
	}
	return s
}

// added are the torrents that the root lists.
func added(c *engine.Client) []*engine.Torrent {
	return slices.DeleteFunc(c.Torrents(), (*engine.Torrent).Guest)
}

// Torrents implements control.Catalogue.
func (d *daemon) Torrents() (all []control.Torrent) {
	for _, t := range added(d.Client) {
		all = append(all, t.Status())
	}
	return all
}

// find is the torrent with an infohash.
func (d *daemon) find(infohash string) (*engine.Torrent, error) {
	if t := d.ByInfohash(infohash); t != nil {
		return t, nil
	}
	return nil, control.As(control.ErrUnknown, fmt.Errorf("there is no torrent %.64q here", infohash))
}

// Torrent implements control.Catalogue.
func (d *daemon) Torrent(infohash string) (control.Torrent, error) {
	t, err := d.find(infohash)
	if err != nil {
		return control.Torrent{}, err
	}
	return t.Status(), nil
}

// errFolder is that a path is a folder that torrents stand in, and none of them is named.
var errFolder = errors.New("it is a folder of torrents: name a torrent in it")

// stands finds the torrent that a path lies in, and what it is called there; nil if there
// is none, or folder, if it is that.
func (d *daemon) stands(path string) (t *engine.Torrent, below string, folder *engine.Directory) {
	path = strings.Trim(path, "/")
	for end := 0; end < len(path); end++ {
		next := strings.IndexByte(path[end:], '/')
		if next < 0 {
			next = len(path) - end
		}
		end += next
		t, listed := d.ByName(path[:end])
		folder = d.Directory(path[:end])
		switch {
		case listed, t != nil && folder == nil:
			return t, strings.TrimPrefix(path[end:], "/"), nil
		case folder == nil:
			return nil, "", nil
		}
	}
	return nil, "", folder
}

// place finds the torrent that a path lies in, and what it is called there. Node
// at is what it means, if the metadata is here.
func (d *daemon) place(path string) (t *engine.Torrent, at uint32, below string, err error) {
	t, below, folder := d.stands(path)
	unknown := control.As(control.ErrUnknown, fmt.Errorf("there is no %.255q in the mount", path))
	switch {
	case folder != nil:
		return nil, 0, "", control.As(control.ErrRefused, fmt.Errorf("%.255q: %w", path, errFolder))
	case t == nil:
		return nil, 0, "", unknown
	}
	info := t.Info()
	for element := range strings.SplitSeq(below, "/") {
		ok := true
		switch {
		case element == "":
		case info == nil:
			return nil, 0, "", control.As(control.ErrRefused, fmt.Errorf("the metadata of %s is not here yet", t.Name()))
		default:
			at, ok = info.Tree().Lookup(at, element)
		}
		if !ok {
			return nil, 0, "", unknown
		}
	}
	return t, at, below, nil
}

// Lookup implements control.Catalogue.
func (d *daemon) Lookup(path string) (p control.Path, err error) {
	t, at, below, err := d.place(path)
	if err != nil {
		return p, err
	}
	p = control.Path{Torrent: t.Status(), Path: below, Kind: "directory", Pinned: t.Pinned(filesAt(t, at))}
	info := t.Info()
	if info == nil {
		return p, nil
	}
	n := info.Tree().Nodes[at]
	switch {
	case n.File < 0:
	case info.Files[n.File].Link != "":
		p.Kind = "link"
	default:
		p.Kind = "file"
	}
	of := filesAt(t, at)
	p.Length, p.Here, err = t.Held(func(file int) bool { return of == nil || of(file) })
	return p, err
}

// Pin implements control.Commands.
func (d *daemon) Pin(path string) (control.Path, error) { return d.pin(path, d.Client.Pin) }

// Unpin implements control.Commands.
func (d *daemon) Unpin(path string) (control.Path, error) { return d.pin(path, d.Client.Unpin) }

func (d *daemon) pin(path string, do func(*engine.Torrent, func(file int) bool, string) error) (p control.Path, err error) {
	t, at, below, err := d.place(path)
	if err != nil {
		return p, err
	}
	if err = d.Keep(t); err == nil {
		err = do(t, filesAt(t, at), strings.TrimSuffix(t.Path()+"/"+below, "/"))
	}
	switch {
	case errors.Is(err, engine.ErrPinTooBig), errors.Is(err, engine.ErrNoUpload):
		err = control.As(control.ErrRefused, err)
	case errors.Is(err, engine.ErrRemoved):
		err = control.As(control.ErrUnknown, err)
	}
	if err != nil {
		return p, err
	}
	return d.Lookup(path)
}

// filesAt tells the files at a node of a torrent, and below it; nil: all of them.
func filesAt(t *engine.Torrent, at uint32) func(file int) bool {
	if at == 0 {
		return nil
	}
	files := map[int]bool{}
	filesBelow(t.Info().Tree(), at, files)
	return func(file int) bool { return files[file] }
}

// Why implements control.Observer.
func (d *daemon) Why(ctx context.Context, path string) (w control.Why, err error) {
	t, at, below, err := d.place(path)
	if err != nil {
		return w, err
	}
	of := filesAt(t, at)
	w, err = t.Why(ctx, func(file int) bool { return of == nil || of(file) })
	w.Path = below
	return w, err
}

// filesBelow adds the files at a node, or below it.
func filesBelow(tree *metainfo.Tree, at uint32, files map[int]bool) {
	n := tree.Nodes[at]
	if n.File >= 0 {
		files[int(n.File)] = true
	}
	for _, child := range n.Children {
		filesBelow(tree, child, files)
	}
}

// Add implements control.Commands.
func (d *daemon) Add(ctx context.Context, s control.Source) (added control.Torrent, err error) {
	var source engine.Source
	if s.Torrent != nil {
		source.Torrent, err = metainfo.Parse(s.Torrent)
	} else {
		source, err = engine.ParseLink(s.Link)
	}
	if err != nil {
		return added, control.As(control.ErrBad, err)
	}
	if source.Folder, err = engine.ParseFolder(s.Folder); err != nil {
		return added, control.As(control.ErrBad, err)
	}
	if source, err = d.FetchSource(ctx, source); err != nil {
		return added, control.As(control.ErrRefused, err)
	}
	t, err := d.Client.Add(source)
	for _, refused := range []error{engine.ErrNoUpload, engine.ErrAside, engine.ErrLeftAlone, engine.ErrFolders} {
		if errors.Is(err, refused) {
			err = control.As(control.ErrRefused, err)
		}
	}
	if err != nil {
		return added, err
	}
	return t.Status(), nil
}

// Remove implements control.Commands.
func (d *daemon) Remove(infohash string, deleteData bool) error {
	t, err := d.find(infohash)
	if err != nil {
		return err
	}
	if err := d.remove(t, deleteData); err != nil {
		if errors.Is(err, engine.ErrRemoved) {
			err = control.As(control.ErrUnknown, err)
		}
		return err
	}
	if d.told != nil {
		ctx, cancel := context.WithTimeout(context.Background(), toldTime)
		defer cancel()
		d.told(ctx)
	}
	return nil
}

// toldTime is how long the kernel may take to forget a name: it may wait itself for
// somebody who lists a directory.
const toldTime = time.Second

// remove removes a torrent. Its name is forgotten a little later.
func (d *daemon) remove(t *engine.Torrent, deleteData bool) error {
	where := t.Where()
	err := d.Client.Remove(t, deleteData)
	if !errors.Is(err, engine.ErrRemoved) {
		d.left(where, true)
	}
	return err
}

// left has the kernel forget a torrent where it was, and the folders that are no more
// because of that. These are not dead as a torrent is: what has gone below a directory that
// is dead cannot be shown by inotify.
func (d *daemon) left(where engine.Where, dead bool) {
	if d.forget == nil {
		return
	}
	d.forget(where, dead)
	for folder, ok := where.Parent(); ok; folder, ok = folder.Parent() {
		if d.DirectoryBySlot(folder.Slots[len(folder.Slots)-1]) == nil {
			d.forget(folder, false)
		}
	}
}

// Decide implements control.Commands.
func (d *daemon) Decide(infohash string, v control.Verb) error {
	t, err := d.find(infohash)
	if err != nil {
		return err
	}
	return map[control.Verb]func(*engine.Torrent) error{
		control.Start: d.Start, control.Stop: d.Stop, control.Pause: d.Pause, control.Resume: d.Resume,
	}[v](t)
}

// Limit implements control.Commands.
func (d *daemon) Limit(infohash string, l control.Limits) (err error) {
	var t *engine.Torrent
	r := d.Client.Limits()
	if infohash != "" {
		if t, err = d.find(infohash); err != nil {
			return err
		}
		r = t.Limits()
	}
	for _, change := range []struct {
		to *int64
		of *int64
	}{{l.Down, &r.Down}, {l.Background, &r.Background}, {l.Up, &r.Up}} {
		if change.to != nil {
			*change.of = *change.to
		}
	}
	if t == nil {
		err = d.SetLimits(r)
	} else {
		err = d.LimitTorrent(t, r)
	}
	if errors.Is(err, engine.ErrRate) {
		err = control.As(control.ErrBad, err)
	}
	return err
}

// Verify implements control.Commands.
func (d *daemon) Verify(ctx context.Context, infohash string) (control.Verified, error) {
	t, err := d.find(infohash)
	if err != nil {
		return control.Verified{}, err
	}
	if t.Info() == nil {
		return control.Verified{}, control.As(control.ErrRefused, fmt.Errorf("the metadata of %s is not here yet", t.Name()))
	}
	return t.Verify(ctx)
}

// Resolved implements control.Observer.
func (d *daemon) Resolved(ctx context.Context, infohash string) error {
	t, err := d.find(infohash)
	if err != nil {
		return err
	}
	select {
	case <-t.Resolved():
	case <-t.Unusable():
	case <-ctx.Done():
	}
	return nil
}

// Peers implements control.Observer.
func (d *daemon) Peers(ctx context.Context, infohash string) ([]control.Peer, error) {
	t, err := d.find(infohash)
	if err != nil {
		return nil, err
	}
	return t.Peers(ctx)
}

var _ control.Daemon = (*daemon)(nil)
