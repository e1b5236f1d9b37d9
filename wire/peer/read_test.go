package peer

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// TestFraming sends one input to a connection that asked for block 0:0 and
// looks at what comes of it and how it ends once the peer closes.
func TestFraming(t *testing.T) {
	huge := make([]byte, wire.MaxPieces/8)
	bitfield := message(wire.Message{Kind: wire.HaveBitfield}, huge...)
	ext := func(n int) []byte { return message(wire.Message{Kind: wire.Extended, ID: 3}, make([]byte, n)...) }
	choke := message(wire.Message{Kind: wire.Choke})
	hashes := func(k wire.Kind, n int) []byte {
		size := wire.HashRangeSize + 32*n
		return append(wire.Append(nil, wire.Message{Kind: k, Payload: uint32(size)}), make([]byte, size)...)
	}
	for _, c := range []struct {
		name string
		in   []byte
		want string
		end  error
	}{
		{"nothing", nil, "", io.EOF},
		{"keep-alives", make([]byte, 400), "", io.EOF},
		{"inside a prefix", []byte{0, 0}, "", io.ErrUnexpectedEOF},
		{"prefix only", []byte{0, 0, 0, 1}, "", io.ErrUnexpectedEOF},
		{"inside a head", message(wire.Message{Kind: wire.Have})[:7], "", io.ErrUnexpectedEOF},
		{"inside a block", pieceBlock(block(0, 0))[:5000], "", io.ErrUnexpectedEOF},
		{"inside an unasked block", pieceBlock(block(5, 0))[:5000], "", io.ErrUnexpectedEOF},
		{"a prefix of 2^32-1", []byte{255, 255, 255, 255}, "", wire.ErrTooLong},
		{"a prefix of 2 MiB", []byte{0, 32, 0, 0, 7}, "", wire.ErrTooLong},
		{"one byte more than the longest", []byte{0, 4, 0, 2, 5}, "", wire.ErrTooLong},
		{"the longest bitfield", bitfield, "bitfield +262144", io.EOF},
		{"the longest extended message", ext(MaxExtended), "extended id=3 +66560", io.EOF},
		{"one byte more", ext(MaxExtended + 1), "", wire.ErrTooLong},
		{"a hash request", hashes(wire.HashRequest, 0), "hash-request +48", io.EOF},
		{"the longest hashes", hashes(wire.Hashes, wire.MaxHashes+wire.MaxHashLayers), "hashes +17584", io.EOF},
		{"inside hashes", hashes(wire.Hashes, 2)[:100], "", io.ErrUnexpectedEOF},
		{"hashes of 2^32-1", []byte{255, 255, 255, 255, 22}, "", wire.ErrTooLong},
		{"choke with a payload", []byte{0, 0, 0, 2, 0, 0}, "", wire.ErrLength},
		{"piece without a begin", []byte{0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0}, "", wire.ErrLength},
		{"an empty block", message(wire.Of(wire.PieceBlock, wire.Block{})), "piece 0:0+0", io.EOF},
		{"unknown ids", slices.Concat([]byte{0, 0, 0, 4, 99, 1, 2, 3}, []byte{0, 0, 0, 1, 255}, choke), "choke", io.EOF},
		{"an unknown id of the longest length", append([]byte{0, 4, 0, 1, 99}, huge...), "", io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Fast: true}).run().drain()
				w.do("ask 0:0")
				w.news()
				w.remote.Write(c.in) // may be broken off
				if c.end == io.EOF || c.end == io.ErrUnexpectedEOF {
					if got := w.news(); got != c.want {
						t.Errorf("got %q, want %q", got, c.want)
					}
					w.remote.Close()
				}
				w.end(c.end)
			})
		})
	}
}

// session is a bit of everything that a peer says.
func session() []byte {
	return slices.Concat(
		message(wire.Message{Kind: wire.HaveBitfield}, 0xff, 0x80),
		message(wire.Message{Kind: wire.Extended}, []byte("d1:md11:ut_metadatai1eee")...),
		message(wire.Message{Kind: wire.Unchoke}),
		message(wire.Message{Kind: wire.Have, Piece: 3}),
		message(wire.Of(wire.PieceBlock, wire.Block{Length: 40}), content(wire.Block{Length: 40})...),
		message(wire.Message{Kind: wire.KeepAlive}),
		message(wire.Of(wire.Request, block(1, 1))),
		message(wire.Of(wire.PieceBlock, wire.Block{Piece: 1, Length: 30}), make([]byte, 30)...),
		message(wire.Message{Kind: wire.Port, Port: 6881}),
	)
}

// TestCutAnywhere closes the peer's end after each byte of a session, and
// sends the session in two parts, cut at each byte.
func TestCutAnywhere(t *testing.T) {
	all := session()
	asked := wire.Block{Length: 40}
	for cut := range len(all) + 1 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Fast: true}).run().drain()
			w.conn.Send(request(asked))
			w.news()
			w.send(all[:cut]...)
			w.news()
			w.remote.Close()
			if err := <-w.ended; err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Errorf("cut at %d: %v", cut, err)
			}
			w.counted()
		})
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Fast: true}).run().drain()
			w.conn.Send(request(asked))
			w.news()
			w.send(all[:cut]...)
			time.Sleep(time.Second)
			w.send(all[cut:]...)
			want := "bitfield +2; extended id=0 +24; unchoke; have 3; return; stored 0:0+40 lease 1; " +
				"request 1:16384+16384; piece 1:0+30; port"
			if got := w.news(); got != want {
				t.Fatalf("cut at %d: %s\nwant %s", cut, got, want)
			}
			w.remote.Close()
			w.end(io.EOF)
		})
	}
}

// TestEarly reads the bytes that came behind the handshake first, however many
// of them the handshake's reader holds.
func TestEarly(t *testing.T) {
	all := session()
	for n := range 2*wire.HeadSize + 1 {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			r := bufio.NewReaderSize(near, 64)
			go far.Write(all[:n])
			if _, err := r.Peek(n); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, Config{Conn: near, Reader: r})
			w.remote = far
			w.run().drain()
			w.send(all[n:]...)
			w.remote.Close()
			w.end(io.EOF)
			if got := w.conn.Counters().Downloaded; got != int64(len(all)) {
				t.Errorf("%d early bytes: counted %d bytes of %d", n, got, len(all))
			}
		})
	}
}

// TestSilence closes a peer at the limit and not before it.
func TestSilence(t *testing.T) {
	keepAlive := message(wire.Message{Kind: wire.KeepAlive})
	for _, c := range []struct {
		name string
		talk func(w *world)
		end  error
		at   time.Duration
	}{
		{"silent from the start", func(w *world) {}, ErrSilent, SilenceLimit},
		{"one keep-alive at the last moment", func(w *world) {
			time.Sleep(SilenceLimit - 1)
			w.send(keepAlive...)
		}, ErrSilent, 2*SilenceLimit - 1},
		{"a message that stops in its head", func(w *world) {
			time.Sleep(10 * time.Second)
			w.send(keepAlive...)
			w.send(0, 0)
		}, ErrSlow, 10*time.Second + MessageLimit},
		{"the first message stops in its head", func(w *world) {
			time.Sleep(10 * time.Second)
			w.send(0, 0)
		}, ErrSlow, 10*time.Second + FirstLimit},
		{"an extended handshake, a byte a second", func(w *world) {
			time.Sleep(SilenceLimit - time.Second)
			for _, b := range message(wire.Message{Kind: wire.Extended}, make([]byte, 100)...)[:10] {
				w.send(b)
				time.Sleep(time.Second - 1)
			}
		}, ErrSlow, SilenceLimit - time.Second + FirstLimit},
		{"another extended message, a byte a second", func(w *world) {
			for _, b := range message(wire.Message{Kind: wire.Extended, ID: 1}, make([]byte, 100)...)[:59] {
				w.send(b)
				time.Sleep(time.Second)
			}
		}, ErrSlow, MessageLimit},
		{"a head that stops at the deadline of another", func(w *world) {
			w.send(keepAlive...)
			time.Sleep(SilenceLimit - time.Second)
			w.send(0, 0, 0)
		}, ErrSlow, SilenceLimit - time.Second + MessageLimit},
		{"a block, a byte a second", func(w *world) {
			w.send(keepAlive...)
			for _, b := range pieceBlock(block(0, 0))[:59] {
				w.send(b)
				time.Sleep(time.Second)
			}
		}, ErrSlow, MessageLimit},
		{"a block of 59 seconds", func(w *world) {
			b := pieceBlock(block(0, 0))
			w.send(b[:20]...)
			time.Sleep(59 * time.Second)
			w.send(b[20:]...)
		}, ErrSilent, 59*time.Second + SilenceLimit},
		{"the next head behind a message", func(w *world) {
			w.send(append(message(wire.Message{Kind: wire.Choke}), 0, 0)...)
		}, ErrSlow, MessageLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := newWorld(t, Config{Fast: true}).run().drain()
				w.do("ask 0:0")
				synctest.Wait()
				c.talk(w)
				w.end(c.end)
				if at := time.Since(start); at != c.at {
					t.Errorf("ended after %v, want %v", at, c.at)
				}
			})
		})
	}
}

// TestBusyLoop holds a peer back for longer than any limit: that the loop is
// busy is not the peer's fault.
func TestBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.gate = make(chan struct{})
		w.run().drain()
		two := message(wire.Message{Kind: wire.Have, Piece: 1})
		go w.remote.Write(append(two, two[:6]...))
		time.Sleep(time.Hour)
		w.gate <- struct{}{}
		time.Sleep(MessageLimit - time.Second)
		w.send(two[6:]...)
		if got := w.news(); got != "have 1; have 1" {
			t.Errorf("got %q", got)
		}
		w.conn.Close(nil) // while the loop does not take the second
		w.end(ErrClosed)
	})
}

// TestPayloadGrows holds no more memory than the peer has sent: one that
// promises the longest bitfield and sends nothing costs a block.
func TestPayloadGrows(t *testing.T) {
	got := testing.AllocsPerRun(10, func() {
		near, far := net.Pipe()
		defer near.Close()
		far.Close()
		c := New(Config{Conn: near, Slots: roomy})
		if b, err := c.readPayload(MaxMessage - 1); err == nil || b != nil {
			t.Error("read a bitfield that was not sent")
		}
	})
	if got > 40 {
		t.Errorf("%.0f allocations", got)
	}
}

// replay is a socket that says the same for ever.
type replay struct {
	net.Conn
	all, left []byte
	reads     int
}

func (r *replay) Read(b []byte) (int, error) {
	r.reads++
	if len(r.left) == 0 {
		r.left = r.all
	}
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (r *replay) SetReadDeadline(time.Time) error { return nil }

// still is a loop and a disk that cost nothing.
type still struct{ buf *wire.Buf }

func (s *still) Spare() *wire.Buf { return s.buf }
func (s *still) Return(*wire.Buf) {}
func (s *still) Swap(_ wire.Peer, _ wire.Block, full *wire.Buf) (*wire.Buf, wire.Lease) {
	return full, 1
}
func (s *still) Received(context.Context, wire.Peer, wire.Message, []byte) error { return nil }
func (s *still) Arrived(context.Context, wire.Peer, []Arrival) error             { return nil }
func (s *still) Written(context.Context, wire.Peer, Written) error               { return nil }
func (s *still) Starved(context.Context, wire.Peer, wire.Block) error            { return nil }

// TestReadCosts counts the allocations and the system calls of what comes by
// the thousand.
func TestReadCosts(t *testing.T) {
	b := block(0, 0)
	for _, c := range []struct {
		name          string
		in            []byte
		allocs, reads int
	}{
		{"a block", pieceBlock(b), 0, 2},
		{"a keep-alive", make([]byte, 4), 0, 1},
		{"an unasked block", pieceBlock(block(9, 9)), 0, 4}, // 8 KiB at a time
		{"an unknown id", []byte{0, 0, 0, 1, 255}, 0, 1},
	} {
		s := &still{new(wire.Buf)}
		socket := &replay{all: c.in}
		p := New(Config{Conn: socket, Disk: s, Torrent: s, Slots: roomy, Fast: true})
		const rounds = 1000
		allocs := testing.AllocsPerRun(rounds, func() {
			p.asked.ask(b)
			if err := p.readMessage(); err != nil {
				t.Fatal(err)
			}
		})
		if int(allocs) > c.allocs || socket.reads > (rounds+1)*c.reads {
			t.Errorf("%s costs %v allocations and %d reads", c.name, allocs, socket.reads/rounds)
		}
	}
}

// FuzzRead runs a connection on arbitrary bytes. It must end with an error of
// the peer's, not of ours, and give everything back.
func FuzzRead(f *testing.F) {
	f.Add(session(), false)
	f.Add(session(), true)
	f.Add(pieceBlock(block(0, 0)), true)
	f.Add([]byte{255, 255, 255, 255, 7}, false)
	f.Add([]byte{0, 0, 0, 1, 255, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, in []byte, fast bool) {
		w := newWorld(t, Config{Fast: fast})
		for _, b := range []wire.Block{{Length: 40}, block(0, 0), block(0, 1)} {
			w.conn.Send(request(b))
		}
		w.run().drain()
		w.remote.Write(in)
		w.remote.Close()
		err := <-w.ended
		switch err {
		case io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, wire.ErrLength, wire.ErrTooLong:
		default:
			t.Fatalf("ended with %v", err)
		}
		w.counted()
	})
}
