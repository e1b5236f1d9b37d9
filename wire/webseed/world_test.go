package webseed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bipfs/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a connection, the server behind its client, and everything that the
// connection borrows, counted. What happens is written down line by line.
type world struct {
	t     *testing.T
	conn  *Conn
	ended chan error
	bytes []byte // of the torrent
	serve func(r *http.Request) (*http.Response, error)

	mu      sync.Mutex
	log     []string
	held    map[*wire.Buf]bool // by the connection
	refuse  bool               // Spare says nil
	unwant  bool               // Swap gives the buffer back
	explode bool               // Swap panics
	fail    error              // what the loop says
	free    int                // slots
	bodies  int                // open
}

const slots = 300

// torrentOf is a torrent of files of these lengths, each named after its place;
// a negative length is a pad.
func torrentOf(pieceLength int64, lengths ...int64) (*Content, []byte) {
	c := &Content{Path: func(i int) []string { return []string{"name", fmt.Sprint("f", i)} }}
	var all []byte
	for i, n := range lengths {
		f := File{Offset: c.Length, Length: max(n, -n), Pad: n < 0}
		for k := range f.Length {
			b := byte(i*31) + byte(k) + byte(k>>8)*7 + 1
			if f.Pad {
				b = 0
			}
			all = append(all, b)
		}
		c.Files = append(c.Files, f)
		c.Length += f.Length
	}
	c.PieceLength = pieceLength
	return c, all
}

func newWorld(t *testing.T, content *Content, all []byte) *world {
	w := &world{t: t, held: map[*wire.Buf]bool{}, ended: make(chan error, 1), bytes: all, free: slots}
	w.serve = w.file
	base, _ := url.Parse("http://seed.example/dir/")
	w.conn = New(Config{Peer: 7, URL: base, Content: content, Client: w, Disk: w, Torrent: w, Slots: slots})
	return w
}

func (w *world) run() *world {
	go func() { w.ended <- w.conn.Run(context.Background()) }()
	return w
}

// end waits for Run, checks its reason, and that all was given back.
func (w *world) end(want error) {
	w.t.Helper()
	if err := <-w.ended; !errors.Is(err, want) {
		w.t.Errorf("ended with %v, want %v", err, want)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) != 0 || w.bodies != 0 {
		w.t.Errorf("left behind: %d buffers, %d bodies", len(w.held), w.bodies)
	}
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// news is what was written down since the last call, once all is quiet.
func (w *world) news() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.log, "; ")
	w.log = nil
	return s
}

// want checks the news.
func (w *world) want(want string) {
	w.t.Helper()
	if got := w.news(); got != want {
		w.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// send sends messages about blocks, as many as there are slots. The connection
// hears of all of them at once, as it does while it waits for a server.
func (w *world) send(k wire.Kind, blocks ...wire.Block) {
	w.mu.Lock()
	w.free -= len(blocks)
	w.mu.Unlock()
	last := len(blocks) - 1
	w.conn.mu.Lock()
	for _, b := range blocks[:last] {
		w.conn.inbox = append(w.conn.inbox, wire.Of(k, b))
	}
	w.conn.used += last
	w.conn.mu.Unlock()
	w.conn.Send(wire.Of(k, blocks[last]))
}

// blocks are n blocks from block i of the torrent on.
func (w *world) blocks(i, n int) (bs []wire.Block) {
	g := w.conn.Content.Geometry
	for p := wire.Piece(0); g.Valid(p) && len(bs) < n; p++ {
		for k := 0; k < g.Blocks(p) && len(bs) < n; k++ {
			if i--; i < 0 {
				bs = append(bs, g.Block(p, k))
			}
		}
	}
	return bs
}

// The disk.

func (w *world) Spare() *wire.Buf {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse {
		return nil
	}
	b := new(wire.Buf)
	w.held[b] = true
	return b
}

func (w *world) Return(b *wire.Buf) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held[b] {
		w.t.Error("a buffer came back that was not lent")
	}
	delete(w.held, b)
}

func (w *world) Swap(_ wire.Peer, b wire.Block, full *wire.Buf) (*wire.Buf, wire.Lease) {
	if w.explode {
		w.Return(full)
		panic("a bug")
	}
	off := w.conn.Content.Offset(b.Piece, b.Begin)
	if !bytes.Equal(full[:b.Length], w.bytes[off:off+int64(b.Length)]) {
		w.note("WRONG %v", b)
	}
	if w.unwant {
		return full, 0
	}
	w.Return(full)
	return w.Spare(), 9
}

// The loop.

func (w *world) Received(_ context.Context, p wire.Peer, m wire.Message) error {
	w.note("%v", m)
	return w.fail
}

func (w *world) Stored(_ context.Context, p wire.Peer, b wire.Block, lease wire.Lease) error {
	w.note("stored %v", b)
	return w.fail
}

func (w *world) Written(_ context.Context, p wire.Peer, n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free += n; w.free > slots {
		w.t.Error("more slots came back than there are")
	}
	return w.fail
}

// The server.

func (w *world) Do(r *http.Request) (*http.Response, error) {
	w.note("GET %s %s", r.URL, strings.TrimPrefix(r.Header.Get("Range"), "bytes="))
	if got := r.Header.Get("Accept-Encoding"); got != "identity" {
		w.t.Errorf("Accept-Encoding: %s", got)
	}
	return w.serve(r)
}

// file answers as a server with the content does.
func (w *world) file(r *http.Request) (*http.Response, error) {
	var i int
	var from, to int64
	fmt.Sscanf(r.URL.Path, "/dir/name/f%d", &i)
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
	f := w.conn.Content.Files[i]
	if f.Pad || to >= f.Length || from > to {
		w.t.Errorf("asked for %d-%d of file %d", from, to, i)
	}
	a := w.answer(r, 206, bytes.NewReader(w.bytes[f.Offset+from:f.Offset+to+1]))
	a.ContentLength = to - from + 1
	a.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, f.Length))
	return a, nil
}

func (w *world) answer(r *http.Request, status int, body io.Reader) *http.Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies++
	return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: -1, Request: r, Body: &body1{w: w, r: r, Reader: body}}
}

// body1 is a body whose reads end with the request, as those of net/http do.
type body1 struct {
	w *world
	r *http.Request
	io.Reader
	closed sync.Once
}

func (b *body1) Read(p []byte) (int, error) {
	if err := b.r.Context().Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

func (b *body1) Close() error {
	b.closed.Do(func() {
		b.w.mu.Lock()
		defer b.w.mu.Unlock()
		b.w.bodies--
	})
	return nil
}

// slow gives n bytes a second, a second apart, until the request ends; then
// nothing more, for ever.
type slow struct {
	r       *http.Request
	n, left int
	every   time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	wait := s.every
	if s.left <= 0 {
		wait = 1000 * time.Hour
	}
	select {
	case <-time.After(wait):
	case <-s.r.Context().Done():
		return 0, s.r.Context().Err()
	}
	n := min(len(p), s.n)
	s.left -= n
	return n, nil
}
