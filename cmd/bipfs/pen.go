//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine/metainfo"
)

// pen is a letter that is open to be written.
type pen struct {
	s *spool
	l *letter
}

// Write implements fs.Sink. Programs copy in order, but need not.
func (p *pen) Write(_ context.Context, off int64, b []byte) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	l, end := p.l, off+int64(len(b))
	if off > metainfo.MaxFile || end > metainfo.MaxFile {
		return syscall.EFBIG
	}
	if more := end - int64(len(l.data)); more > 0 {
		if p.s.held+more > mostHeld {
			return syscall.ENOSPC
		}
		p.s.held += more
		l.data = append(l.data, make([]byte, more)...)
	}
	copy(l.data[off:], b)
	l.size, l.dirty = int64(len(l.data)), true
	return nil
}

// Flush implements fs.Sink: what was written is added. Whoever closes a copy of the
// descriptor too early gets an error that the last close may not have.
func (p *pen) Flush(ctx context.Context) error {
	p.s.mu.Lock()
	l := p.l
	if !l.dirty {
		defer p.s.mu.Unlock()
		return errno(l.err)
	}
	l.dirty = false
	data := bytes.Clone(l.data)
	p.s.mu.Unlock()

	err := p.s.addLetter(ctx, data)
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	l.err = err
	return errno(err)
}

// addLetter adds what is in a letter: a .torrent, or a list of links.
func (s *spool) addLetter(ctx context.Context, data []byte) error {
	if bytes.HasPrefix(data, []byte("d")) {
		return s.addTorrent(data)
	}
	if len(data) > longestLine || bytes.IndexByte(data, 0) >= 0 {
		return errors.New("neither a .torrent nor a list of links")
	}
	return s.addLinks(ctx, data)
}

// Close implements fs.Sink. A kernel that sends no FLUSH any more is served here.
func (p *pen) Close() {
	_ = p.Flush(context.Background()) // what it says is kept
	p.s.mu.Lock()
	l := p.l
	name, err := l.name, l.err // it may be renamed
	l.writers--
	l.closed = time.Now()
	last := l.writers == 0
	if last {
		p.s.held -= int64(len(l.data))
		l.data = nil
	}
	p.s.mu.Unlock()
	if err != nil && last {
		p.s.refuse(name, err)
	}
}

// linkPen is add/links, open to be written: a list without an end.
type linkPen struct {
	s    *spool
	mu   sync.Mutex
	rest string // of a line that has not ended
}

// Write implements fs.Sink. Where a list is appended to says nothing.
func (p *linkPen) Write(ctx context.Context, _ int64, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.rest + string(b)
	end := strings.LastIndexByte(list, '\n') + 1
	if p.rest = list[end:]; len(p.rest) > longestLine {
		p.rest = ""
		return syscall.EINVAL
	}
	return p.add(ctx, list[:end])
}

// Flush implements fs.Sink: the last line need not end.
func (p *linkPen) Flush(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := p.rest
	p.rest = ""
	return p.add(ctx, line)
}

func (p *linkPen) add(ctx context.Context, list string) error {
	err := p.s.addLinks(ctx, []byte(list))
	if err != nil {
		p.s.refuse("links", err)
	}
	return errno(err)
}

// Close implements fs.Sink.
func (p *linkPen) Close() {
	_ = p.Flush(context.Background()) // what is wrong is in add/errors
}
