package engine

import (
	"slices"
	"time"
)

// Which session a read belongs to. One descriptor may be read at several places
// at once (threads, a film whose sound lies apart), and one reader may jump:
//
//	read ── near a session ──────────────▶ that one goes on
//	    └── near none ──▶ a new one, and the others are
//	          ├ those that the reader has come back to twice lately: kept
//	          └ all others: left. Nothing is expected there any more, and
//	            the new place inherits half of the window
const (
	// mostSessions is how many places of one open file are known.
	mostSessions = 8
	// returnTime is how lately the reader must have come back twice to a place
	// for it to be one of several that are read at once.
	returnTime = 10 * time.Second
)

// follow notes a read of the bytes [off, off+n) of the file, and is the session
// that it belongs to, or nil if the reader is closed; left is called when it ends.
func (r *Reader) follow(off, n int64, by program) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	now := r.t.c.clock.now()
	if r.pending == 0 && r.opened > 0 {
		r.rested += now - r.quiet
	}
	r.pending++
	r.read += n
	s := r.session(off, now)
	if r.opened == 0 {
		r.opened = max(now, 1)
		r.notice(off, s, by)
	}
	s.idle = by.idle
	s.begin(now)
	if s.move(r.file.Offset+off, n, r.scanner, r.jumps); s.length >= sequentialAfter {
		r.jumps = 0
	}
	for _, other := range r.sessions {
		if other != s && len(other.ahead) > 0 && !other.parallel(now) {
			other.halve()
			other.stop()
		}
	}
	if off+n == r.file.Length {
		r.reachEnd(s)
	}
	return s
}

// left ends a read that follow has noted.
func (r *Reader) left(s *session) {
	if s == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.t.c.clock.now()
	if r.pending--; r.pending == 0 {
		r.quiet = now
	}
	if slices.Contains(r.sessions, s) { // and not with the reader of the next file
		s.end(now)
	}
}

// session is the one that a read at off goes on in, moved to the end of
// r.sessions, which are in the order in which they were read.
func (r *Reader) session(off int64, now time.Duration) (s *session) {
	at := r.file.Offset + off
	var was *session
	if n := len(r.sessions); n > 0 {
		was = r.sessions[n-1]
	}
	for _, other := range r.sessions {
		if other.holds(at) && (s == nil || distance(other.pos, at) <= distance(s.pos, at)) {
			s = other
		}
	}
	switch {
	case was == nil:
		s = r.t.walks.take(r, off)
	case s == was:
		return s
	case s == nil:
		s = r.jump(at, was, now)
	default:
		s.returns = [2]time.Duration{s.returns[1], now}
		r.sessions = slices.DeleteFunc(r.sessions, func(other *session) bool { return other == s })
	}
	r.sessions = append(r.sessions, s)
	return s
}

// jump begins a session at a new place.
func (r *Reader) jump(at int64, was *session, now time.Duration) *session {
	s := newSession(r, at)
	if was.length < sequentialAfter {
		r.jumps++
	}
	if !was.parallel(now) {
		if heir := was.window / 2; heir >= leastHeir && len(was.ahead) > 0 {
			s.widen(heir)
			s.sought = true
		}
	}
	if len(r.sessions) == mostSessions {
		r.sessions[0].stop()
		r.sessions = slices.Delete(r.sessions, 0, 1)
	}
	return s
}

// parallel tells whether the reader comes back to this place again and again.
func (s *session) parallel(now time.Duration) bool { return now-s.returns[0] < returnTime }

func distance(a, b int64) int64 { return max(a-b, b-a) }

// reachEnd is that s was read up to the end of the file. Who has read it in
// order leaves the session to whoever reads the next file.
func (r *Reader) reachEnd(s *session) {
	r.sessions = slices.DeleteFunc(r.sessions, func(other *session) bool { return other == s })
	if s.read >= r.file.Length/2 { // and not only where an index is
		s.reading, s.since = 0, r.t.c.clock.now()
		r.t.walks.leave(s)
	} else {
		s.stop()
	}
}
