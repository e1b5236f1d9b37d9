package engine

import (
	"slices"
	"sync"
	"time"
)

// Bounds of walks.
const (
	// mostWalks is how many sessions of one torrent wait for a next file.
	mostWalks = 4
	// walkPatience is how long they do. A program that copies a folder opens
	// the next file at once; and what a killed one wanted is soon given up.
	walkPatience = time.Second
)

// Walks are the sessions of a torrent whose files were read to the end. A
// program that reads file after file (cp -r, tar, rsync, a checksum of a
// folder) closes one before it opens the next: whoever opens the next file in
// the order of the torrent goes on where they are, with their window.
type walks struct {
	mu   sync.Mutex
	left []*leftSession // oldest first
}

type leftSession struct {
	*session
	taken chan struct{} // closed when it is in left no more
}

// take is the session of a reader whose first read is at off of its file: one
// that stands just before the file, or a new one.
func (w *walks) take(r *Reader, off int64) *session {
	if s := w.before(r.file.Offset+off, r.file.Offset, max(nearby, r.geo.PieceLength)); s != nil {
		s.from, s.to, s.read, s.files = r.file.Offset, r.file.Offset+r.file.Length, 0, s.files+1
		// Pads (BEP 47) may lie between.
		s.pos = max(s.pos, s.from)
		return s
	}
	return newSession(r, r.file.Offset+off)
}

// before takes out the session that is nearest before the file at from, if the
// read at off goes on there.
func (w *walks) before(off, from, reach int64) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	best := -1
	for i, s := range w.left {
		if s.pos <= from && from-s.pos < reach && off-from <= nearby && (best < 0 || s.pos > w.left[best].pos) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return w.takeOut(best).session
}

// takeOut takes session i out. The lock is held.
func (w *walks) takeOut(i int) *leftSession {
	s := w.left[i]
	close(s.taken)
	w.left = slices.Delete(w.left, i, i+1)
	return s
}

// leave keeps a session for whoever reads the next file, for walkPatience.
func (w *walks) leave(s *session) {
	l := &leftSession{session: s, taken: make(chan struct{})}
	w.mu.Lock()
	w.left = append(w.left, l)
	var oldest *leftSession
	if len(w.left) > mostWalks {
		oldest = w.takeOut(0)
	}
	w.mu.Unlock()
	if oldest != nil {
		oldest.stop()
	}
	c := s.t.c
	if !c.spawn(func() { w.lapse(l, c.ctx.Done()) }) {
		w.drop(l)
	}
}

// lapse drops a session that nobody takes in time.
func (w *walks) lapse(l *leftSession, closing <-chan struct{}) {
	select {
	case <-l.taken:
	case <-closing:
		w.drop(l)
	case <-time.After(walkPatience):
		w.drop(l)
	}
}

// drop ends a session that nobody goes on with, if it was not taken just now.
// That may wait for the torrent's loop, so not under the lock.
func (w *walks) drop(l *leftSession) {
	w.mu.Lock()
	i := slices.Index(w.left, l)
	if i >= 0 {
		w.takeOut(i)
	}
	w.mu.Unlock()
	if i >= 0 {
		l.stop()
	}
}
