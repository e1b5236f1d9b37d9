package peer

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"bipfs/wire"
)

// TestAsked tells what becomes of blocks, as transcripts: what we or the peer
// do, and behind the arrow what the loop and the disk see of it.
func TestAsked(t *testing.T) {
	for _, c := range []struct{ name, fast, script string }{
		{"asked and answered", "", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			ask 0:1       -> written 1/0/0
			block 0:1     -> stored 0:16384+16384 lease 1
			block 0:0     -> return; stored 0:0+16384 lease 2`},
		{"not asked, asked once and sent twice", "", `
			block 0:0     -> piece 0:0+16384
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			block 0:0     -> return; stored 0:0+16384 lease 1
			block 0:0     -> piece 0:0+16384`},
		{"wrong length", "", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			short 0:0     -> piece 0:0+16383
			long 0:0      -> piece 0:0+16385
			block 0:0     -> return; stored 0:0+16384 lease 1`},
		{"cancelled, and came all the same", "", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			cancel 0:0    -> return; written 1/0/0
			block 0:0     -> spare; return; stored 0:0+16384 lease 1
			block 0:0     -> piece 0:0+16384`},
		{"cancelled and rejected", "fast", `
			ask 0:0       -> spare; written 1/0/0
			cancel 0:0    -> return; written 1/0/0
			reject 0:0    -> reject 0:0+16384
			block 0:0     -> piece 0:0+16384`},
		{"cancelled and asked again", "", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			cancel 0:0    -> return; written 1/0/0
			ask 0:0       -> spare; written 1/0/0
			block 0:0     -> return; stored 0:0+16384 lease 1
			block 0:0     -> piece 0:0+16384`},
		{"rejected", "fast", `
			ask 0:0       -> spare; written 1/0/0
			reject 0:0    -> return; reject 0:0+16384
			block 0:0     -> piece 0:0+16384`},
		{"a choke without BEP 6 cancels what is live and settles what was cancelled", "", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			ask 0:1       -> written 1/0/0
			cancel 0:0    -> written 1/0/0
			peer choke    -> return; choke
			block 0:0     -> piece 0:0+16384
			block 0:1     -> spare; return; stored 0:16384+16384 lease 1`},
		{"a choke with BEP 6 leaves them, to be rejected", "fast", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			peer choke    -> choke
			block 0:0     -> return; stored 0:0+16384 lease 1`},
		{"a request that crossed a choke holds no memory", "", `
			peer unchoke  -> unchoke
			peer choke    -> choke
			ask 0:0       -> written 1/0/0
			block 0:0     -> spare; return; stored 0:0+16384 lease 1`},
		{"two chokes forget", "", `
			peer unchoke  -> unchoke
			ask 0:0       -> spare; written 1/0/0
			peer choke    -> return; choke
			peer choke    -> choke
			block 0:0     -> piece 0:0+16384`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Fast: c.fast != ""}).run().drain()
				for line := range strings.Lines(strings.TrimSpace(c.script)) {
					do, want, _ := strings.Cut(strings.TrimSpace(line), "->")
					w.do(do)
					if got := w.news(); got != strings.TrimSpace(want) {
						t.Fatalf("%s-> %s\nwant %s", do, got, want)
					}
				}
				w.conn.Close(nil)
				w.end(ErrClosed)
			})
		})
	}
}

// do is one step of a transcript.
func (w *world) do(step string) {
	defer synctest.Wait()
	f := strings.Fields(step)
	if f[0] == "peer" {
		kind := map[string]wire.Kind{"choke": wire.Choke, "unchoke": wire.Unchoke}[f[1]]
		w.send(message(wire.Message{Kind: kind})...)
		return
	}
	var piece, index uint32
	if _, err := fmt.Sscanf(f[1], "%d:%d", &piece, &index); err != nil {
		w.t.Fatal(step, err)
	}
	b := block(piece, index)
	switch f[0] {
	case "ask":
		w.conn.Send(request(b))
	case "cancel":
		w.conn.Send(Outgoing{Message: wire.Of(wire.Cancel, b)})
	case "reject":
		w.send(message(wire.Of(wire.Reject, b))...)
	case "block":
		w.send(pieceBlock(b)...)
	case "short":
		b.Length--
		w.send(pieceBlock(b)...)
	case "long":
		b.Length++
		w.send(pieceBlock(b)...)
	default:
		w.t.Fatal("unknown step", step)
	}
}

// TestMaxAsked asks for as many blocks as may be on their way, then one more;
// and cancels far more, of which the oldest are forgotten.
func TestMaxAsked(t *testing.T) {
	w := newWorld(t, Config{Fast: true})
	a := &w.conn.asked
	for i := range uint32(MaxAsked) {
		if err := a.ask(block(0, i)); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
	}
	if err := a.ask(block(1, 0)); err != ErrAsked {
		t.Fatalf("one more: %v", err)
	}
	for i := range uint32(MaxAsked) {
		a.cancel(block(0, i))
	}
	for i := range uint32(2 * MaxAsked) {
		a.ask(block(2, i))
		a.cancel(block(2, i))
		if n := len(a.cancelled) + len(a.older); n > 2*MaxAsked {
			t.Fatalf("%d cancelled blocks are kept", n)
		}
	}
	if a.remove(block(0, 0)) || !a.remove(block(2, 2*MaxAsked-1)) || !a.remove(block(2, MaxAsked)) {
		t.Error("not the oldest were forgotten")
	}
	a.end()
	w.counted()
}

// TestNoMemory: a connection that is refused a spare does not ask, and says so;
// what was cancelled and comes all the same goes by.
func TestNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := &tape{Conn: near}
		w := newWorld(t, Config{Conn: s, Fast: true})
		w.remote = far
		w.run().drain()
		refuse := func(yes bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refuse = yes
		}
		refuse(true)
		w.do("ask 0:0")
		w.conn.Send(Outgoing{Message: wire.Message{Kind: wire.Interested}})
		if got, want := w.news(), "written 1/0/0; starved 0:0+16384; written 1/0/0"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if got := bytes.Join(s.written(), nil); !bytes.Equal(got, message(wire.Message{Kind: wire.Interested})) {
			t.Errorf("wrote %x", got)
		}
		refuse(false)
		w.do("ask 0:0")
		w.do("cancel 0:0")
		refuse(true)
		w.do("block 0:0")
		want := "spare; written 1/0/0; return; written 1/0/0; stored 0:0+16384 lease 0"
		if got := w.news(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if c := w.conn.Counters(); c.Wasted != wire.BlockSize {
			t.Errorf("counted %d bytes as wasted", c.Wasted)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}

// TestSwappedBack keeps the connection's own buffer as its spare when the
// block was not wanted.
func TestSwappedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Fast: true}).run().drain()
		w.unwant = true
		w.do("ask 0:0")
		w.do("ask 0:1")
		w.do("block 0:0")
		w.do("block 0:1")
		want := "spare; written 1/0/0; written 1/0/0; stored 0:0+16384 lease 0; return; stored 0:16384+16384 lease 0"
		if got := w.news(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if c := w.conn.Counters(); c.Wasted != 2*wire.BlockSize {
			t.Errorf("counted %d bytes as wasted", c.Wasted)
		}
		w.conn.Close(nil)
		w.end(ErrClosed)
	})
}
