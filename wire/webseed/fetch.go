package webseed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"bipfs/wire"
)

// ask queues a block. One that is cancelled and still to come is wanted again.
func (c *Conn) ask(b wire.Block) error {
	if !c.Content.Aligned(b) {
		panic(fmt.Sprintf("webseed: the torrent has no block %v", b))
	}
	if i := c.under(b); i >= 0 {
		c.run[i].cancelled = false
		return nil
	}
	if _, twice := c.asked[b]; twice {
		return nil
	}
	if len(c.queue)+len(c.run) >= MaxAsked {
		return ErrAsked
	}
	if c.spare == nil {
		if c.spare = c.Disk.Spare(); c.spare == nil {
			return ErrNoMemory
		}
	}
	c.asked[b] = struct{}{}
	c.queue = append(c.queue, b)
	return nil
}

// cancel takes a block out of the queue. One whose bytes are on their way comes.
func (c *Conn) cancel(b wire.Block) error {
	if i := c.under(b); i >= 0 {
		c.run[i].cancelled = true
		return nil
	}
	if _, queued := c.asked[b]; !queued {
		return nil // it was answered while the cancel was on its way
	}
	delete(c.asked, b)
	c.queue = slices.DeleteFunc(c.queue, func(q wire.Block) bool { return q == b })
	c.rest()
	return c.reject(b)
}

func (c *Conn) reject(b wire.Block) error {
	return c.Torrent.Received(c.life, c.Peer, wire.Of(wire.Reject, b))
}

// under is the place of b in the request under way, or −1.
func (c *Conn) under(b wire.Block) int {
	return slices.IndexFunc(c.run, func(e entry) bool { return e.Block == b })
}

// rest gives the spare back if nothing is asked for.
func (c *Conn) rest() {
	if len(c.queue)+len(c.run) == 0 && c.spare != nil {
		c.Disk.Return(c.spare)
		c.spare = nil
	}
}

// begin moves the first block of the queue, and those that follow it in the
// torrent, into the run; off is where that begins, n its length.
func (c *Conn) begin() (off, n int64) {
	b, queued := c.queue[0], true
	off = c.Content.Offset(b.Piece, b.Begin)
	for queued && n+int64(b.Length) <= MaxRun {
		c.run = append(c.run, entry{Block: b})
		delete(c.asked, b)
		n += int64(b.Length)
		if b, queued = c.Content.at(off + n); queued {
			_, queued = c.asked[b]
		}
	}
	c.queue = slices.DeleteFunc(c.queue, func(q wire.Block) bool {
		_, left := c.asked[q]
		return !left
	})
	return off, n
}

// fetch answers the next run of the queue.
func (c *Conn) fetch() error {
	off, n := c.begin()
	s := stream{conn: c, off: off, end: off + n}
	defer c.watch.stop()
	defer s.close()
	for len(c.run) > 0 {
		if err := c.hear(); err != nil {
			return err
		}
		if c.pointless() {
			return c.abandon()
		}
		b := c.run[0].Block
		if _, err := io.ReadFull(&s, c.spare[:b.Length]); err != nil {
			return err
		}
		c.watch.again()
		// Should Swap panic, nobody knows whose buf is: it is lost rather than
		// given to two.
		full := c.spare
		c.spare = nil
		empty, lease := c.Disk.Swap(c.Peer, b, full)
		c.spare, c.run = empty, c.run[1:]
		c.rest()
		if lease == 0 {
			c.wasted.Add(int64(b.Length))
		}
		if err := c.Torrent.Stored(c.life, c.Peer, b, lease); err != nil {
			return err
		}
	}
	return s.finish()
}

// pointless reports whether so much of what comes next was cancelled that a
// new request costs less than reading it.
func (c *Conn) pointless() bool {
	n := 0
	for _, e := range c.run {
		if !e.cancelled || n > maxUnread {
			break
		}
		n += int(e.Length)
	}
	return n > maxUnread
}

// abandon gives the run up: what was cancelled is rejected, the rest is the
// first of the queue again.
func (c *Conn) abandon() error {
	run := c.run
	c.run = nil
	var left []wire.Block
	for _, e := range run {
		if !e.cancelled {
			left = append(left, e.Block)
			c.asked[e.Block] = struct{}{}
		}
	}
	c.queue = append(left, c.queue...)
	c.rest()
	for _, e := range run {
		if e.cancelled {
			if err := c.reject(e.Block); err != nil {
				return err
			}
		}
	}
	return nil
}

// stream is the bytes of the torrent from off to end, as an io.Reader: the
// bodies of one answer after the other, and the zeros of pads.
type stream struct {
	conn     *Conn
	off, end int64
	part     part // what is left of it
	pad      bool
	body     io.ReadCloser // of the part; nil: none is open
}

// Read reads as much as one part has.
func (s *stream) Read(b []byte) (int, error) {
	if s.part.length == 0 {
		if s.off == s.end {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	b = b[:min(int64(len(b)), s.part.length)]
	n, err := len(b), error(nil)
	if s.pad {
		clear(b)
	} else {
		n, err = s.body.Read(b)
		s.conn.downloaded.Add(int64(n))
	}
	s.off += int64(n)
	s.part.length -= int64(n)
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, s.conn.reason(err)
}

// next goes on to the next part.
func (s *stream) next() error {
	if err := s.finish(); err != nil {
		return err
	}
	c := s.conn
	s.part = c.Content.part(s.off, s.end-s.off)
	if s.pad = c.Content.Files[s.part.file].Pad; s.pad {
		return nil
	}
	var err error
	s.body, err = c.get(s.part)
	return err
}

// finish ends the body that is open, after its last byte: only then is its
// connection used again.
func (s *stream) finish() error {
	if s.body == nil {
		return nil
	}
	defer s.close()
	var b [1]byte
	n, err := s.body.Read(b[:])
	switch {
	case n > 0:
		return ErrLong
	case err != nil && err != io.EOF:
		return s.conn.reason(err)
	}
	return nil
}

// close lets go of the body.
func (s *stream) close() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// reason is why reading failed: the end of the connection explains an error of
// the HTTP client, and the end of a body comes too early here.
func (c *Conn) reason(err error) error {
	switch {
	case c.life.Err() != nil:
		return context.Cause(c.life)
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// get asks for a part, and returns the body where the part begins.
func (c *Conn) get(p part) (io.ReadCloser, error) {
	file := &c.Content.Files[p.file]
	req, err := http.NewRequestWithContext(c.life, http.MethodGet, c.Content.url(c.URL, p.file), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", p.from, p.from+p.length-1))
	req.Header.Set("Accept-Encoding", "identity")
	c.watch.begin()
	r, err := c.Client.Do(req)
	if err != nil {
		return nil, c.reason(err)
	}
	skip, err := check(r, p, file.Length, time.Now())
	if err == nil && skip > 0 {
		if _, err = io.CopyN(io.Discard, r.Body, skip); err != nil {
			err = c.reason(err)
		}
	}
	if err != nil {
		r.Body.Close()
		return nil, err
	}
	if behind := file.Length - p.from - p.length; r.StatusCode == http.StatusOK && behind > 0 {
		return unread{io.LimitReader(r.Body, p.length), r.Body, behind}, nil
	}
	return r.Body, nil
}

// unread is a body that goes on behind the part: at its end the rest goes by,
// at most MaxSkip bytes.
type unread struct {
	io.Reader
	body   io.ReadCloser
	behind int64
}

// Close lets the rest go by and closes the body.
func (u unread) Close() error {
	io.CopyN(io.Discard, u.body, u.behind)
	return u.body.Close()
}
