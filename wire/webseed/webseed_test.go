package webseed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

const block = wire.BlockSize

// TestBlocksAcrossFiles: blocks of many files, with empty ones and pads, each
// byte from the right place, and nothing asked for twice.
func TestBlocksAcrossFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(2*block, 5, 0, block, -(block - 5), 3*block+1, 0, -10, 7, 0)
		w := newWorld(t, content, all).run()
		w.want("have-all; unchoke")
		w.send(wire.Request, w.blocks(0, 100)...)
		w.want("GET http://seed.example/dir/name/f0 0-4; GET http://seed.example/dir/name/f2 0-16383; " +
			"stored 0:0+16384; stored 0:16384+16384; " + // the second is a pad from its 5th byte on
			"GET http://seed.example/dir/name/f4 0-49152; stored 1:0+16384; stored 1:16384+16384; " +
			"stored 2:0+16384; GET http://seed.example/dir/name/f7 0-6; stored 2:16384+18")
		if n, wasted := w.conn.Counters(); n != 5+block+3*block+1+7 || wasted != 0 {
			t.Errorf("%d bytes came, %d wasted", n, wasted)
		}
		if len(w.held) != 0 {
			t.Error("a buffer is held while nothing is asked for")
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestRuns: what follows each other in the torrent is one request, of a bounded
// length, whatever the order in which it was asked.
func TestRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(4*block, MaxRun+10*block)
		w := newWorld(t, content, all)
		w.send(wire.Request, w.blocks(2, 2)...)
		w.send(wire.Request, w.blocks(8, 1)...)
		w.send(wire.Request, w.blocks(4, 2)...)
		w.send(wire.Request, w.blocks(4, 1)...) // asked already
		w.run()
		w.want("have-all; unchoke; GET http://seed.example/dir/name/f0 32768-98303; stored 0:32768+16384; stored 0:49152+16384; " +
			"stored 1:0+16384; stored 1:16384+16384; GET http://seed.example/dir/name/f0 131072-147455; stored 2:0+16384")
		w.send(wire.Request, w.blocks(0, 266)...)
		got := w.news()
		if n := strings.Count(got, "GET"); n != 2 || !strings.HasPrefix(got, "GET http://seed.example/dir/name/f0 0-4194303; ") {
			t.Errorf("%d requests: %.80s", n, got)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestCancels: what is queued is rejected, what is on its way comes, and a body
// of which little is wanted is abandoned.
func TestCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(4*block, 64*block)
		w := newWorld(t, content, all)
		gate := make(chan struct{})
		w.serve = func(r *http.Request) (*http.Response, error) {
			<-gate
			return w.file(r)
		}
		w.run()
		w.send(wire.Request, w.blocks(0, 20)...)
		w.want("have-all; unchoke; GET http://seed.example/dir/name/f0 0-327679")
		w.send(wire.Request, w.blocks(40, 3)...)
		w.send(wire.Cancel, w.blocks(1, 9)...)  // on their way: one more than is read all the same
		w.send(wire.Request, w.blocks(9, 1)...) // and wanted again
		w.send(wire.Cancel, w.blocks(12, 7)...)
		w.send(wire.Cancel, w.blocks(41, 1)...) // queued
		w.send(wire.Cancel, w.blocks(60, 1)...) // unheard of
		gate <- struct{}{}
		got := w.news()
		if strings.Count(got, "stored") != 20 || strings.Count(got, "reject") != 1 || !strings.Contains(got, "reject 10:16384+16384") {
			t.Errorf("few cancelled: %s", got)
		}
		gate <- struct{}{} // block 40
		gate <- struct{}{} // block 42
		if got := w.news(); strings.Count(got, "stored") != 2 {
			t.Errorf("what was queued: %s", got)
		}

		w.send(wire.Request, w.blocks(0, 20)...)
		w.news()
		w.send(wire.Cancel, w.blocks(2, 9)...) // one too many to be read
		gate <- struct{}{}
		got = w.news()
		if strings.Count(got, "stored") != 2 || strings.Count(got, "reject") != 9 || !strings.HasSuffix(got, "GET http://seed.example/dir/name/f0 180224-327679") {
			t.Errorf("most cancelled: %s", got)
		}
		gate <- struct{}{}
		if got := w.news(); strings.Count(got, "stored") != 9 {
			t.Errorf("the rest: %s", got)
		}
		if w.free != slots {
			t.Errorf("%d of %d slots are back", w.free, slots)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestUnwanted: blocks that are not wanted any more count as wasted, and other
// messages only give their slot back.
func TestUnwanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(4*block, 4*block)
		w := newWorld(t, content, all).run()
		w.unwant = true
		for _, k := range []wire.Kind{wire.HaveNone, wire.Interested, wire.Have, wire.Choke, wire.NotInterested} {
			w.send(k, wire.Block{})
		}
		w.send(wire.Request, w.blocks(0, 4)...)
		synctest.Wait()
		if n, wasted := w.conn.Counters(); n != 4*block || wasted != n || w.free != slots {
			t.Errorf("%d bytes, %d wasted, %d slots", n, wasted, w.free)
		}
		time.Sleep(IdleLimit - time.Second)
		synctest.Wait()
		if len(w.ended) != 0 {
			t.Error("idle too early")
		}
		w.end(ErrIdle)
		w.send(wire.Request, w.blocks(0, 4)...) // does nothing
	})
}

// TestEnds: every reason ends the connection, and all is given back.
func TestEnds(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		alter func(w *world)
		want  error
	}{
		"no memory":        {func(w *world) { w.refuse = true }, ErrNoMemory},
		"a bug":            {func(w *world) { w.explode = true }, ErrPanic},
		"the loop is gone": {func(w *world) { w.fail = bad }, bad},
		"the client fails": {func(w *world) { w.serve = func(*http.Request) (*http.Response, error) { return nil, bad } }, bad},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				content, all := torrentOf(4*block, 4*block)
				w := newWorld(t, content, all)
				w.send(wire.Request, w.blocks(0, 2)...)
				c.alter(w)
				w.run().end(c.want)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(4*block, 4*block)
		w := newWorld(t, content, all)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { w.ended <- w.conn.Run(ctx) }()
		cancel(bad)
		w.end(bad)
		w = newWorld(t, content, all)
		w.conn.Close(bad)
		w.run().end(bad)
	})
}

// TestBounds: the inbox and the blocks that are asked for.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(64*block, (MaxAsked+1)*block)
		for _, n := range []int{MaxAsked, MaxAsked + 1} {
			w := newWorld(t, content, all)
			w.serve = func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
			for _, b := range w.blocks(0, n) {
				if err := w.conn.ask(b); (err != nil) != (b == w.blocks(MaxAsked, 1)[0]) || err != nil && err != ErrAsked {
					t.Errorf("block %v: %v", b, err)
				}
			}
			w.conn.Close(nil)
			w.run().end(ErrClosed)
		}
		w := newWorld(t, content, all)
		w.send(wire.Request, w.blocks(0, slots)...)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a full inbox took one more")
				}
			}()
			w.send(wire.Request, w.blocks(slots, 1)...)
		}()
		w.free++
		w.conn.Close(nil)
		w.run().end(ErrClosed)
	})
}

// TestBodies: bodies that are short, long, endless, slow, or never come.
func TestBodies(t *testing.T) {
	content, all := torrentOf(64*block, 64*block)
	for name, c := range map[string]struct {
		body  func(r *http.Request) io.Reader
		want  error
		after time.Duration
	}{
		"empty": {func(*http.Request) io.Reader { return strings.NewReader("") }, io.ErrUnexpectedEOF, 0},
		"short": {func(*http.Request) io.Reader { return strings.NewReader(string(all[:10*block+7])) }, io.ErrUnexpectedEOF, 0},
		"long":  {func(*http.Request) io.Reader { return strings.NewReader(string(all[:40*block]) + "x") }, ErrLong, 0},
		"endless": {func(*http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(string(all[:40*block])), zeros{})
		}, ErrLong, 0},
		"a stall":         {func(r *http.Request) io.Reader { return &slow{r: r, n: block, left: 3 * block, every: time.Second} }, ErrSlow, BlockLimit + 3*time.Second},
		"a trickle":       {func(r *http.Request) io.Reader { return &slow{r: r, n: 100, left: 1 << 30, every: time.Second} }, ErrSlow, BlockLimit},
		"too slow in all": {func(r *http.Request) io.Reader { return &slow{r: r, n: block / 10, left: 1 << 30, every: time.Second} }, ErrSlow, RequestLimit},
		"no head":         {nil, ErrSlow, BlockLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, content, all)
				w.serve = func(r *http.Request) (*http.Response, error) {
					if c.body == nil {
						<-r.Context().Done()
						return nil, fmt.Errorf("client: %w", r.Context().Err())
					}
					a := w.answer(r, 206, c.body(r))
					a.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/*", 40*block-1))
					return a, nil
				}
				w.send(wire.Request, w.blocks(0, 40)...)
				begin := time.Now()
				w.run().end(c.want)
				if took := time.Since(begin); took < c.after || took > c.after+2*time.Second {
					t.Errorf("it ended after %v, want %v", took, c.after)
				}
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
