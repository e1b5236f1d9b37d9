package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"bipfs/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a connection, the other end of its pipe, and everything that the
// connection borrows, counted. What happens is written down line by line.
type world struct {
	t      *testing.T
	conn   *Conn
	remote net.Conn
	ended  chan error

	mu      sync.Mutex
	log     []string
	held    map[*wire.Buf]bool // by the connection
	refuse  bool               // Spare says nil
	unwant  bool               // Swap gives the peer its own buffer back
	lease   wire.Lease
	loans   int // not released
	explode string
	gate    chan struct{} // if not nil, the loop waits for it
}

var roomy = Slots{Messages: 4096, Extended: 16, Loaded: 256}

// newWorld is a connection that does not run yet.
func newWorld(t *testing.T, c Config) *world {
	w := &world{t: t, held: map[*wire.Buf]bool{}, ended: make(chan error, 1)}
	if c.Conn == nil {
		c.Conn, w.remote = net.Pipe()
	}
	if c.Slots == (Slots{}) {
		c.Slots = roomy
	}
	c.Peer, c.Disk, c.Torrent = 7, w, w
	w.conn = New(c)
	return w
}

func (w *world) run() *world {
	go func() { w.ended <- w.conn.Run(context.Background()) }()
	return w
}

// drain reads all that the connection writes.
func (w *world) drain() *world {
	go io.Copy(io.Discard, w.remote)
	return w
}

// end waits for Run, checks its reason, and that all was given back.
func (w *world) end(want error) {
	w.t.Helper()
	if err := <-w.ended; !errors.Is(err, want) {
		w.t.Errorf("ended with %v, want %v", err, want)
	}
	w.counted()
	if w.remote != nil {
		w.remote.Close()
	}
}

func (w *world) counted() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) != 0 || w.loans != 0 {
		w.t.Errorf("left behind: %d buffers, %d loans", len(w.held), w.loans)
	}
}

// send writes raw bytes as the peer.
func (w *world) send(b ...byte) {
	w.t.Helper()
	if _, err := w.remote.Write(b); err != nil {
		w.t.Errorf("the peer could not send: %v", err)
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

// The disk.

func (w *world) Spare() *wire.Buf {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse {
		return nil
	}
	b := new(wire.Buf)
	w.held[b] = true
	w.log = append(w.log, "spare")
	return b
}

func (w *world) Swap(p wire.Peer, b wire.Block, full *wire.Buf) (*wire.Buf, wire.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held[full] || p != 7 {
		panic("swapped a buffer that the connection does not hold")
	}
	if w.explode == "swap" {
		delete(w.held, full) // lost, as Conn says
		panic("swap")
	}
	if w.unwant {
		return full, 0
	}
	delete(w.held, full)
	empty := new(wire.Buf)
	w.held[empty] = true
	w.lease++
	return empty, w.lease
}

func (w *world) Return(b *wire.Buf) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held[b] {
		panic("returned a buffer that the connection does not hold")
	}
	delete(w.held, b)
	w.log = append(w.log, "return")
}

// The loop.

func (w *world) pass(ctx context.Context, what string) error {
	if w.explode == what {
		panic(what)
	}
	if w.gate == nil {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.gate:
		return nil
	}
}

func (w *world) Received(ctx context.Context, p wire.Peer, m wire.Message, payload []byte) error {
	if payload != nil && len(payload) != int(m.Payload) {
		w.t.Errorf("%v: a payload of %d bytes", m, len(payload))
	}
	w.note("%v", m)
	return w.pass(ctx, "received")
}

func (w *world) Arrived(ctx context.Context, p wire.Peer, all []Arrival) error {
	if len(all) == 0 || len(all) > MostArrivals {
		w.t.Errorf("told of %d blocks", len(all))
	}
	for _, a := range all {
		w.note("stored %v lease %d", a.Block, a.Lease)
	}
	return w.pass(ctx, "stored")
}

func (w *world) Written(ctx context.Context, p wire.Peer, n Written) error {
	w.note("written %d/%d/%d", n.Messages, n.Extended, n.Loaded)
	return w.pass(ctx, "written")
}

func (w *world) Starved(ctx context.Context, p wire.Peer, b wire.Block) error {
	w.note("starved %v", b)
	return w.pass(ctx, "starved")
}

// Loans.

// lend is the loan of block b, whose bytes say which block it is.
func (w *world) lend(b wire.Block) wire.Loan {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loans++
	return wire.Loan{Bytes: content(b), Of: &loan{w: w}}
}

type loan struct {
	w    *world
	once bool
}

func (l *loan) Release() {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.once {
		panic("released twice")
	}
	l.once = true
	l.w.loans--
}

// content is the bytes of a block.
func content(b wire.Block) []byte {
	c := make([]byte, b.Length)
	for i := range c {
		c[i] = byte(int(b.Piece)*31 + int(b.Begin)/wire.BlockSize*7 + i)
	}
	return c
}

func request(b wire.Block) Outgoing { return Outgoing{Message: wire.Of(wire.Request, b)} }

func block(piece, index uint32) wire.Block {
	return wire.Block{Piece: wire.Piece(piece), Begin: index * wire.BlockSize, Length: wire.BlockSize}
}

// message is a message as bytes, one with a payload that its kind must not have
// as well.
func message(m wire.Message, payload ...byte) []byte {
	m.Payload = 0
	b := append(wire.Append(nil, m), payload...)
	binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)+uint32(len(payload)))
	return b
}

func pieceBlock(b wire.Block) []byte { return message(wire.Of(wire.PieceBlock, b), content(b)...) }
