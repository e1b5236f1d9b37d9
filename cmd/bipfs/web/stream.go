package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"bipfs/engine/control"
)

// A stream is the bytes of a file, by range. The file is opened at the first byte
// that is to be sent: HEAD, and what a browser has already, cost nothing.
//
//	Range ─▶ http.ServeContent ─▶ content.Read ─▶ openFiles ─▶ engine's reader ─▶ swarm
//	              │ headers, held back by late until the first byte is here
//	              ▼
//	           the client, who may take its time: pauseTime for each buffer

// streamBuffer is how much is read at a time, bytes.
const streamBuffer = 128 << 10

var streamBuffers = sync.Pool{New: func() any { return new([streamBuffer]byte) }}

// file is a file of a torrent.
func (s *server) file(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, join(r.PathValue("infohash"), r.PathValue("path")))
}

// join is the path in the tree of a path of a torrent.
func join(torrent, path string) string { return strings.TrimSuffix(torrent+"/"+path, "/") }

// errNotFile is that a path is none of a file.
var errNotFile = control.As(control.ErrUnknown, errors.New("there is no file of that name"))

// stream answers with the bytes of a file.
func (s *server) stream(w http.ResponseWriter, r *http.Request, path string) {
	e, err := s.Stat(path)
	if err == nil && (e.Dir || e.Link) {
		err = errNotFile
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	h := w.Header()
	label(h, e.Name)
	h.Set("ETag", etag(e))
	h.Set("Cache-Control", "private, no-cache") // ask again, and be told that it is the same
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // no player asks for several, and all of it is an answer, too
	}
	c := &content{ctx: r.Context(), path: path, visitor: visitor(r), files: s.files, length: e.Length}
	defer c.close()
	out := &late{ResponseWriter: w, served: &s.served}
	http.ServeContent(out, r, "", e.Modified, c)
	if c.err != nil && !out.begun && r.Context().Err() == nil {
		s.unread(w, c.err)
		return
	}
	out.begin() // of an answer without a body
}

// unread says why no byte came.
func (s *server) unread(w http.ResponseWriter, err error) {
	if timeout := (interface{ Timeout() bool })(nil); errors.As(err, &timeout) && timeout.Timeout() {
		refuse(w, http.StatusGatewayTimeout, "no peer has brought it in time")
		return
	}
	s.fail(w, err)
}

// etag is the same for as long as the bytes are: for ever.
func etag(e Entry) string {
	sum := sha256.Sum256([]byte(e.Infohash + "/" + e.Path))
	return fmt.Sprintf(`"%x"`, sum[:12])
}

// visitor tells clients apart, as far as that goes: requests of one are one reader.
func visitor(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return host + " " + r.UserAgent()
}

// content is a file for http.ServeContent.
type content struct {
	ctx     context.Context
	path    string
	visitor string
	files   *openFiles
	length  int64
	off     int64
	file    *openFile // nil before the first byte
	err     error     // of the read that failed
}

// Seek implements io.Seeker; it asks nobody.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.off
	case io.SeekEnd:
		offset += c.length
	}
	if offset < 0 {
		return 0, errors.New("a place before the beginning")
	}
	c.off = offset
	return offset, nil
}

// Read waits for the swarm until the client goes.
func (c *content) Read(p []byte) (n int, err error) {
	if c.off >= c.length {
		return 0, io.EOF
	}
	if c.file == nil {
		if c.file, err = c.files.open(c.path, c.visitor); err != nil {
			c.err = err
			return 0, err
		}
	}
	n, err = c.file.ReadAt(c.ctx, p[:min(int64(len(p)), c.length-c.off)], c.off)
	c.off += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *content) close() {
	if c.file != nil {
		c.files.release(c.file)
	}
}

// late is an answer whose head is sent with its first bytes: until then another
// one may be given.
type late struct {
	http.ResponseWriter
	served *counters
	code   int
	begun  bool
}

// WriteHeader keeps the code.
func (l *late) WriteHeader(code int) { l.code = code }

// begin sends the head.
func (l *late) begin() {
	if !l.begun && l.code != 0 {
		l.begun = true
		l.ResponseWriter.WriteHeader(l.code)
	}
}

func (l *late) Write(b []byte) (int, error) {
	l.begin()
	_ = http.NewResponseController(l.ResponseWriter).SetWriteDeadline(time.Now().Add(pauseTime))
	n, err := l.ResponseWriter.Write(b)
	l.served.bytes.Add(int64(n))
	return n, err
}

// ReadFrom implements io.ReaderFrom, for a buffer as large as is good for the
// engine.
func (l *late) ReadFrom(r io.Reader) (n int64, err error) {
	b := streamBuffers.Get().(*[streamBuffer]byte)
	defer streamBuffers.Put(b)
	for {
		k, err := r.Read(b[:])
		if k > 0 {
			w, werr := l.Write(b[:k])
			n += int64(w)
			if werr != nil {
				return n, werr
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
