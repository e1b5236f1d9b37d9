//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/metainfo"
	"bipfs/fs"
)

// MOUNTPOINT/.bipfs/add: what is written to it is added.
//
//	cp x.torrent add/ ── create, write ──▶ letter ──close──▶ added, or EINVAL
//	ln -s magnet: add/x ───────────────────────────────────▶ added, or EINVAL
//	echo magnet: > add/links ── write, a line ─────────────▶ added, or EINVAL
//
// A letter has its name for a while after it was closed, because programs look once
// more at what they have copied. Its bytes go at once.
type spool struct {
	client *engine.Client
	log    *slog.Logger

	mu      sync.Mutex
	letters map[fs.ID]*letter
	last    uint32   // the entry of the last letter
	held    int64    // bytes of all letters
	refused []string // the last lines of add/errors
}

const (
	// mostLetters is how many names there are in add/, beside its own.
	mostLetters = 256
	// mostHeld is how many bytes are in memory of what is being written there.
	mostHeld = metainfo.MaxFile
	// letterTime is how long a name stays after the last close.
	letterTime = time.Minute
	// mostRefused is how many lines add/errors has.
	mostRefused = 100
)

// letter is a file in add/, or a symbolic link.
type letter struct {
	id      fs.ID
	name    string
	link    string // of a symbolic link
	data    []byte
	size    int64 // of the data, also when that has gone
	dirty   bool  // it was written to since it was looked at
	err     error // what was wrong with it then
	writers int
	closed  time.Time
}

func (l *letter) attr() fs.Attr {
	a := boxAttr(l.id, syscall.S_IFREG|0o200)
	if l.link != "" {
		a.Mode = syscall.S_IFLNK | 0o777
	}
	a.Size, a.Mtime, a.Ctime = uint64(l.size), l.closed, l.closed
	return a
}

// sweep forgets letters that were closed a while ago. The lock is held.
func (s *spool) sweep() {
	for id, l := range s.letters {
		if l.writers == 0 && time.Since(l.closed) >= letterTime {
			delete(s.letters, id)
		}
	}
}

// named is the letter with a name. The lock is held.
func (s *spool) named(name string) *letter {
	for _, l := range s.letters {
		if l.name == name {
			return l
		}
	}
	return nil
}

// begin makes a letter. The lock is held.
func (s *spool) begin(name string) (*letter, error) {
	s.sweep()
	if len(s.letters) >= mostLetters {
		return nil, syscall.ENOSPC
	}
	if s.letters == nil {
		s.letters = map[fs.ID]*letter{}
	}
	// Ids are never used again, nor by the next process: no second has two letters
	// for long.
	s.last = max(s.last+1, uint32(time.Now().Unix()))
	l := &letter{id: fs.ID(s.last), name: name, closed: time.Now()}
	s.letters[l.id] = l
	return l, nil
}

// linked makes a letter that is a symbolic link.
func (s *spool) linked(name, target string) (fs.Attr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.begin(name)
	if err != nil {
		return fs.Attr{}, err
	}
	l.link, l.size = target, int64(len(target))
	return l.attr(), nil
}

func (s *spool) attr(of fs.ID) (fs.Attr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.letters[of]; l != nil {
		return l.attr(), nil
	}
	return fs.Attr{}, syscall.ENOENT
}

func (s *spool) lookup(name string) (fs.Attr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if l := s.named(name); l != nil {
		return l.attr(), nil
	}
	return fs.Attr{}, syscall.ENOENT
}

func (s *spool) list(from uint64, yield func(next uint64, e fs.Entry) bool) {
	s.mu.Lock()
	s.sweep()
	var all []letter
	for _, id := range slices.Sorted(maps.Keys(s.letters)) {
		all = append(all, *s.letters[id])
	}
	s.mu.Unlock()
	for _, l := range all {
		if uint64(l.id) > from && !yield(uint64(l.id), fs.Entry{Name: l.name, Attr: l.attr()}) {
			return
		}
	}
}

func (s *spool) link(of fs.ID) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.letters[of]; l != nil && l.link != "" {
		return l.link, nil
	}
	return "", syscall.EINVAL
}

func (s *spool) remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.named(name)
	if l == nil {
		return syscall.EPERM // one of add/'s own
	}
	delete(s.letters, l.id)
	return nil
}

// rename gives a letter another name: many programs write beside the place and rename.
func (s *spool) rename(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.named(from)
	if l == nil || to == fixedBox[linksID].name || to == fixedBox[errorsID].name {
		return syscall.EPERM
	}
	if over := s.named(to); over != nil && over != l {
		delete(s.letters, over.id)
	}
	l.name = to
	return nil
}

// refuse keeps why something was not added, for add/errors and the log.
func (s *spool) refuse(name string, err error) {
	line := fmt.Sprintf("%s: %s", shown(name), shown(sentence(err)))
	s.log.Error("not added by way of .bipfs/add", "what", shown(name), "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, time.Now().Format(time.DateTime)+" "+line)
	s.refused = s.refused[max(0, len(s.refused)-mostRefused):]
}

// said is add/errors.
func (s *spool) said() fs.Text {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	for _, line := range s.refused {
		b.WriteString(line + "\n")
	}
	return b.Bytes()
}

// errno is err with an errno for who wrote what is not added: EINVAL if it is wrong in
// itself.
func errno(err error) error {
	var no syscall.Errno
	switch {
	case err == nil, errors.As(err, &no), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, engine.ErrNoUpload):
		return fmt.Errorf("%w: %w", syscall.EPERM, err)
	case errors.Is(err, engine.ErrClosed):
		return fmt.Errorf("%w: %w", syscall.ENOTCONN, err)
	}
	return fmt.Errorf("%w: %w", syscall.EINVAL, err)
}

// addLink adds what a link names. The .torrent at a URL is fetched in the background,
// and only the log says how that went.
func (s *spool) addLink(line string) error {
	source, err := engine.ParseLink(line)
	if err != nil {
		return err
	}
	if source.URL != "" {
		return s.client.AddURL(source.URL)
	}
	_, err = s.client.Add(source)
	return err
}

// addLinks adds each line of a list, until ctx ends. The error is of all that are
// wrong.
func (s *spool) addLinks(ctx context.Context, list []byte) error {
	var wrong []error
	err := eachLine(bytes.NewReader(list), func(line string) {
		if ctx.Err() != nil {
			return
		}
		if err := s.addLink(line); err != nil && len(wrong) < mostRefused {
			wrong = append(wrong, err)
		}
	})
	return errors.Join(append(wrong, err, ctx.Err())...)
}

// addTorrent adds what a .torrent says.
func (s *spool) addTorrent(b []byte) error {
	m, err := metainfo.Parse(b)
	if err != nil {
		return err
	}
	_, err = s.client.Add(engine.Source{Torrent: m})
	return err
}

// Create implements fs.Inbox.
func (t *tree) Create(dir fs.ID, name string) (fs.Attr, fs.Sink, error) {
	if dir != addID {
		return fs.Attr{}, nil, readOnly(dir)
	}
	s := &t.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.begin(name)
	if err != nil {
		return fs.Attr{}, nil, err
	}
	l.writers = 1
	return l.attr(), &pen{s: s, l: l}, nil
}

// Sink implements fs.Inbox.
func (t *tree) Sink(of fs.ID) (fs.Sink, error) {
	if of == linksID {
		return &linkPen{s: &t.spool}, nil
	}
	s := &t.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.letters[of]
	if l == nil || l.link != "" {
		return nil, readOnly(of)
	}
	if l.writers == 0 {
		l.size, l.dirty, l.err = 0, false, nil
	}
	l.writers++
	return &pen{s: s, l: l}, nil
}

// Symlink implements fs.Inbox.
func (t *tree) Symlink(dir fs.ID, name, target string) (fs.Attr, error) {
	if dir != addID {
		return fs.Attr{}, readOnly(dir)
	}
	s := &t.spool
	a, err := s.linked(name, target) // first, as what is added stays
	if err != nil {
		return fs.Attr{}, err
	}
	if err := s.addLink(target); err != nil {
		s.mu.Lock()
		delete(s.letters, a.ID)
		s.mu.Unlock()
		s.refuse(name, err)
		return fs.Attr{}, errno(err)
	}
	return a, nil
}

// Rename implements fs.Inbox.
func (t *tree) Rename(dir fs.ID, from, to string) error {
	if dir != addID {
		return readOnly(dir)
	}
	return t.spool.rename(from, to)
}

// Change implements fs.Inbox: cp -p, touch and > want it.
func (t *tree) Change(of fs.ID) (fs.Attr, error) {
	if of != linksID {
		if _, err := t.spool.attr(of); err != nil {
			return fs.Attr{}, readOnly(of)
		}
	}
	return t.Attr(of)
}

var (
	_ fs.Inbox  = (*tree)(nil)
	_ fs.Walker = (*tree)(nil)
)
