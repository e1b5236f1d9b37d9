// Package peer is one connection to one peer, from the end of the handshake to
// its close: one goroutine that reads, one that writes while there is something
// to write, and what lies between them.
//
//	                Send (messages)   Extend (extended)   Deliver (loaded)
//	                      \                 |                 /
//	                       v                v                v
//	                     outbox: three lanes with a slot for each entry
//	                                        |
//	        asks, cancels                   v
//	asked  <---------------------------  writer  -- one vector --> socket
//	  |    the blocks on their way,         |                         |
//	  |    and the one spare buffer         +--> Torrent.Written      |
//	  v                                                               v
//	reader <---------------- payload straight into the spare, the next head behind it
//	  |
//	  +--> Disk.Swap (full for empty) --> Torrent.Arrived, some together
//	  +--> Torrent.Received (everything else)
//
// The reader waits for the socket and for the torrent's loop, the writer for
// the socket, its lanes and the loop. Nobody waits for either of them: Send,
// Extend, Deliver and Close return at once. A slot is taken when a message is
// put into its lane and comes back, by Written, when the message is on the
// socket; a lane is as long as it has slots, so it cannot be full.
package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/wire"
)

// Limits of a connection. A peer that goes past one is closed with an error.
const (
	SilenceLimit   = 150 * time.Second // the longest pause between two messages of the peer
	MessageLimit   = 60 * time.Second  // the longest time from the first byte of a message to its last
	FirstLimit     = 10 * time.Second  // the same for the first one, to the end of its head, or of an extended handshake (BEP 10)
	WriteLimit     = 30 * time.Second  // the longest time in which the peer takes in less than one block of what we write
	KeepAliveAfter = 100 * time.Second // of our own silence; peers close after two minutes of it (BEP 3)

	MaxMessage   = 1 + wire.MaxPieces/8 // bytes of a message without its length prefix: the longest bitfield
	MaxExtended  = 64<<10 + 1<<10       // bytes of the payload of an extended message (BEP 10)
	MostArrivals = 8                    // blocks that are told of together
	MaxAsked     = 2048                 // blocks on their way; as many more may be cancelled and not answered yet
	maxVector    = 8                    // blocks of one write: messages wait behind no more than these
	firstRead    = wire.BlockSize       // bytes of payload that a peer's word alone makes us allocate
)

// Reasons for which a connection ends, beside the errors of the socket, of the
// wire package and of the Torrent.
var (
	ErrClosed   = errors.New("connection closed")
	ErrSilent   = errors.New("peer was silent for too long")
	ErrSlow     = errors.New("peer took too long to send one message")
	ErrStalled  = errors.New("peer does not take in what it is sent")
	ErrNoMemory = errors.New("no memory for a block") // never ends a connection
	ErrAsked    = errors.New("more blocks asked for than a connection may have on their way")
	ErrPanic    = errors.New("bug in a peer's goroutine")
)

// Disk is where blocks go. None of its methods waits.
type Disk interface {
	// Spare is an empty buffer; nil refuses, and the request is not made.
	Spare() *wire.Buf
	// Swap trades the buffer that holds block b for an empty one. Lease 0
	// means that the block was not wanted: empty is then full itself.
	Swap(p wire.Peer, b wire.Block, full *wire.Buf) (empty *wire.Buf, lease wire.Lease)
	// Return takes a spare back.
	Return(*wire.Buf)
}

// Torrent is the loop. Each method may wait for it, which is how a busy loop
// holds back its peers, and returns an error when the torrent stops or ctx
// ends; the connection ends with that error.
type Torrent interface {
	// Received is any message but a keep-alive and a block that was asked for.
	// The payload becomes the torrent's. A PieceBlock here is a block that
	// nobody asked for; its payload is discarded already.
	Received(ctx context.Context, p wire.Peer, m wire.Message, payload []byte) error
	// Arrived is of blocks that were asked for, in the order in which they came: at
	// most MostArrivals. While more comes they are told together; before the
	// connection waits for the peer, or hands on anything else of it, or ends, all
	// have been told. The slice is valid during the call.
	Arrived(ctx context.Context, p wire.Peer, all []Arrival) error
	// Written gives slots back: their messages are on the socket.
	Written(ctx context.Context, p wire.Peer, w Written) error
	// Starved is a request that was not written, for want of a spare. Its slot
	// has come back.
	Starved(ctx context.Context, p wire.Peer, b wire.Block) error
}

// Arrival is a block that was swapped in under Lease; 0: it was no longer wanted.
type Arrival struct {
	Block wire.Block
	Lease wire.Lease
}

// VectorWriter is a connection that is no socket of the kernel's: one that
// encrypts, or uTP.
// WriteBuffers writes v as net.Buffers.WriteTo does, but never in its place:
// the bytes of v are verified blocks, which others read at the same time. After
// an error it is called again with what was left of v.
type VectorWriter interface {
	WriteBuffers(v *net.Buffers) (int64, error)
}

// Slots is the length of each lane: the most entries that are in it or on
// their way from it to the socket.
type Slots struct{ Messages, Extended, Loaded int }

// Written is how many entries of each lane went out in one write.
type Written Slots

// Outgoing is one message to the peer. Payload follows the head of a bitfield
// or an extended message and must not change until it is written;
// Message.Payload is set to its length.
type Outgoing struct {
	wire.Message
	Payload []byte
}

// Counters are the bytes of a connection after its handshake, as far as now.
type Counters struct {
	Downloaded, Uploaded               int64 // all bytes
	DownloadedPayload, UploadedPayload int64 // of blocks that were asked for
	Wasted                             int64 // of blocks that came and were not wanted
}

// Config is what a connection is made of.
type Config struct {
	Peer wire.Peer
	// Conn is the socket itself, not a wrapper around it: only the type of
	// package net writes a vector in one system call. A stream that is
	// encrypted is a VectorWriter.
	Conn net.Conn
	// Reader may hold bytes that came behind the handshake; nil: none.
	Reader *bufio.Reader
	// Disk is first called when a Request is written, so it may have come to
	// be after New (the metadata of a magnet comes over this connection).
	Disk    Disk
	Torrent Torrent
	Slots   Slots
	Fast    bool // both sides speak BEP 6
}

// Conn is one connected peer.
type Conn struct {
	peer    wire.Peer
	conn    net.Conn
	disk    Disk
	torrent Torrent

	life context.Context // ends when the connection does; its cause is the first reason
	end  context.CancelCauseFunc

	in    source
	head  *bufio.Reader    // over in
	waste io.LimitedReader // over head
	asked asked
	come  []Arrival // not told yet; of the reader
	out   outbox
	sink  sink

	writers sync.WaitGroup // of one at a time
	wrote   atomic.Int64   // when the last write ended, in ns after New
	starved []wire.Block   // asked for in this batch without memory; of the writer

	downloaded, uploaded               atomic.Int64
	downloadedPayload, uploadedPayload atomic.Int64
	wasted                             atomic.Int64
}

// New makes a connection of a socket whose handshake is done. Its lanes are
// open at once: a bitfield that is sent before Run, and before anything is
// extended, is the first message on the wire. Run must follow, also after a
// Close.
func New(c Config) *Conn {
	p := &Conn{peer: c.Peer, conn: c.Conn, disk: c.Disk, torrent: c.Torrent}
	p.life, p.end = context.WithCancelCause(context.Background())
	p.in = source{conn: c.Conn, read: &p.downloaded, hush: p.out.hush, wrote: &p.wrote, born: time.Now()}
	p.in.kernel = p.in.socket.init(c.Conn, p.tell)
	if c.Reader != nil {
		early, _ := c.Reader.Peek(c.Reader.Buffered())
		p.in.early = append(p.in.early, early...)
	}
	// A buffer of one head takes in at most four bytes of a block: the rest is
	// read straight into the spare.
	p.head = bufio.NewReaderSize(&p.in, wire.HeadSize)
	p.asked.init(c.Disk, c.Fast)
	p.out.init(c.Slots)
	p.sink = sink{conn: c.Conn, written: &p.uploaded, wrote: &p.wrote, born: p.in.born, last: p.in.born}
	p.sink.crypt, _ = c.Conn.(VectorWriter)
	return p
}

// Run is the connection's life. It reads in the calling goroutine, writes in
// others, and returns when all have ended, with the first reason that either
// of them, Close or ctx gave; io.EOF is a peer that closed between two
// messages. All that the connection held is given back by then.
func (c *Conn) Run(ctx context.Context) error {
	cancelled := make(chan struct{})
	detach := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		c.Close(context.Cause(ctx))
	})
	c.out.open(func() { c.writers.Go(c.written) })
	c.Close(guard(c.read))
	c.Close(guard(c.tell))
	c.Close(guard(c.shut))
	c.writers.Wait()
	c.asked.end()
	if !detach() {
		<-cancelled
	}
	return context.Cause(c.life)
}

// written is a writer's goroutine. Only one that fails ends the connection.
func (c *Conn) written() {
	if err := guard(c.write); err != nil {
		c.Close(err)
		c.Close(guard(c.shut))
	}
}

// shut ends the lanes. The connection has ended, so its own reason is none.
func (c *Conn) shut() error {
	c.out.close()
	return nil
}

// Close ends the connection. The first reason wins and is what Run returns;
// nil is ErrClosed. Any goroutine may call it at any time; it never waits.
func (c *Conn) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.end(reason)
	c.conn.Close() // wakes a goroutine that is in the socket
}

// Send puts a message into selection's lane. It never waits. A full lane is a
// bug of whoever counts the slots, and panics. After the end it does nothing.
func (c *Conn) Send(o Outgoing) { c.out.send(o) }

// Extend is Send for the engine's lane, that of BEP 10 messages.
func (c *Conn) Extend(o Outgoing) { c.out.extend(o) }

// Deliver is Send for the disk cache's lane: block b, to upload. The loan is
// released when it is on the socket or when the connection ends; after the
// end at once.
func (c *Conn) Deliver(b wire.Block, l wire.Loan) { c.out.deliver(upload{b, l}) }

// Counters is what went over the connection so far. Any goroutine may ask.
func (c *Conn) Counters() Counters {
	return Counters{
		Downloaded: c.downloaded.Load(), Uploaded: c.uploaded.Load(),
		DownloadedPayload: c.downloadedPayload.Load(), UploadedPayload: c.uploadedPayload.Load(),
		Wasted: c.wasted.Load(),
	}
}

// guard runs one of the two goroutines and turns its panic into its error: of
// a thousand peers one can find the bug that nobody else does, and it must not
// take the mount and the other peers with it.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, r, debug.Stack())
		}
	}()
	return f()
}
