package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"bipfs/wire"
)

// read is the reader: message after message, until the first error.
func (c *Conn) read() error {
	for {
		if err := c.readMessage(); err != nil {
			return err
		}
	}
}

func (c *Conn) readMessage() error {
	c.in.next(c.head.Buffered() > 0)
	m, err := wire.ReadHead(c.head, MaxMessage)
	if err != nil {
		return err
	}
	if m.Kind != wire.Extended || m.ID != 0 {
		c.in.extend()
	}
	if err := c.handle(m); err != nil {
		return err
	}
	c.in.met = true
	return nil
}

// handle takes in the message whose head is m, all of its payload included.
func (c *Conn) handle(m wire.Message) error {
	var payload []byte
	switch m.Kind {
	case wire.KeepAlive:
		return nil
	case wire.PieceBlock:
		return c.readBlock(m)
	case wire.Choke:
		c.asked.choke()
	case wire.Unchoke:
		c.asked.unchoke()
	case wire.Reject:
		c.asked.rejected(m.Block())
	case wire.HaveBitfield, wire.Extended, wire.HashRequest, wire.Hashes, wire.HashReject:
		if m.Kind == wire.Extended && m.Payload > MaxExtended {
			return wire.ErrTooLong
		}
		var err error
		if payload, err = c.readPayload(int(m.Payload)); err != nil {
			return err
		}
	case wire.Interested, wire.NotInterested, wire.Have, wire.Request, wire.Cancel, wire.Port,
		wire.Suggest, wire.HaveAll, wire.HaveNone, wire.AllowedFast:
	default: // of an extension that we do not speak
		return c.discard(m.Payload)
	}
	return c.received(m, payload)
}

// received hands on a message, behind the blocks that came before it.
func (c *Conn) received(m wire.Message, payload []byte) error {
	if err := c.tell(); err != nil {
		return err
	}
	return c.torrent.Received(c.life, c.peer, m, payload)
}

// arrived has the torrent told of a block: at once if nobody knows when the next
// would come.
func (c *Conn) arrived(b wire.Block, lease wire.Lease) error {
	c.come = append(c.come, Arrival{b, lease})
	if c.in.kernel && len(c.come) < MostArrivals {
		return nil
	}
	return c.tell()
}

// tell has the torrent told of all blocks that came.
func (c *Conn) tell() error {
	if len(c.come) == 0 {
		return nil
	}
	come := c.come
	c.come = c.come[:0]
	return c.torrent.Arrived(c.life, c.peer, come)
}

// inside is err, which is an unexpected end if the stream ended within a
// message.
func inside(err error, within bool) error {
	if within && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readBlock reads a block into the spare and swaps it in; one that nobody
// asked for goes by.
func (c *Conn) readBlock(m wire.Message) error {
	b := m.Block()
	buf, ok := c.asked.take(b)
	if !ok {
		c.wasted.Add(int64(m.Payload))
		if err := c.discard(m.Payload); err != nil {
			return err
		}
		return c.received(m, nil)
	}
	if buf == nil {
		c.wasted.Add(int64(m.Payload))
		if err := c.discard(m.Payload); err != nil {
			return err
		}
		return c.arrived(b, 0)
	}
	if _, err := io.ReadFull(c.head, buf[:b.Length]); err != nil {
		c.asked.give(buf)
		return inside(err, true)
	}
	// Should Swap panic, nobody knows whose buf is: it is lost rather than
	// given to two.
	empty, lease := c.disk.Swap(c.peer, b, buf)
	c.asked.give(empty)
	c.downloadedPayload.Add(int64(b.Length))
	if lease == 0 {
		c.wasted.Add(int64(b.Length))
	}
	return c.arrived(b, lease)
}

// readPayload reads n bytes into memory that grows as they come: what a peer
// makes us hold is in proportion to what it has sent.
func (c *Conn) readPayload(n int) ([]byte, error) {
	b := make([]byte, min(n, firstRead))
	for done := 0; ; {
		if _, err := io.ReadFull(c.head, b[done:]); err != nil {
			return nil, inside(err, true)
		}
		if done = len(b); done == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-done, done))...)
	}
}

// discard lets n bytes of the stream go by, in few reads: the buffer of one
// head, which Reader.Discard would use, takes a thousand for a block.
func (c *Conn) discard(n uint32) error {
	c.waste = io.LimitedReader{R: c.head, N: int64(n)}
	gone, err := io.Copy(io.Discard, &c.waste)
	if err == nil && gone < int64(n) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// source is the socket as the reader sees it: first the bytes that came behind the
// handshake or a block, and an error when the peer is late.
//
// Being late is a matter of messages, but a deadline is set with a timer of
// the runtime, too dear for each of 20,000 messages a second. So the deadline
// is left alone until it passes, and only then is looked whether the peer is
// late by now: while it waits for a message armed is never after due, and it is
// moved about once a minute. Only a first message that comes in drops moves it sooner.
type source struct {
	conn   net.Conn
	kernel bool // conn is read by way of socket
	socket receiver
	early  []byte
	read   *atomic.Int64 // bytes
	hush   func()        // has a keep-alive sent
	wrote  *atomic.Int64 // when something was written last, in ns after born
	born   time.Time

	met     bool      // a whole message has come
	between bool      // no byte of the next message is here
	begun   time.Time // when the first byte of this one came
	due     time.Time // when the peer is late
	quietAt time.Time // when we were silent for so long that a keep-alive is due, as far as known
	armed   time.Time // the socket's deadline
}

// next is called before each head; begun says that some of it is here.
func (s *source) next(begun bool) {
	now := time.Now()
	s.between = !begun
	if s.between {
		s.due = now.Add(SilenceLimit)
	} else {
		s.begin(now)
	}
	if s.armed.IsZero() {
		s.quietAt = s.born.Add(KeepAliveAfter)
		s.arm(now)
	}
	s.speak(now)
}

// speak sees to our own silence. The reader does: it wakes anyhow, and there is
// no writer while there is nothing to write.
func (s *source) speak(now time.Time) {
	if now.Before(s.quietAt) {
		return
	}
	s.quietAt = s.born.Add(time.Duration(s.wrote.Load()) + KeepAliveAfter)
	if !now.Before(s.quietAt) {
		s.quietAt = now.Add(KeepAliveAfter)
		s.hush()
	}
}

// begin notes that a message has begun. Who drips at once is no peer: the first
// message is as much a part of getting to know each other as the handshake.
func (s *source) begin(now time.Time) {
	s.begun, s.due = now, now.Add(MessageLimit)
	if !s.met {
		s.due = now.Add(FirstLimit)
	}
}

// extend gives the message, whose head is here, all of its time.
func (s *source) extend() { s.due = s.begun.Add(MessageLimit) }

// arm sets the deadline. It stays within MessageLimit from now, so that it is
// not after the due of a message that begins later.
func (s *source) arm(now time.Time) {
	s.armed = now.Add(MessageLimit)
	if s.due.Before(s.armed) {
		s.armed = s.due
	}
	if s.quietAt.Before(s.armed) {
		s.armed = s.quietAt
	}
	s.conn.SetReadDeadline(s.armed) // an error shows in the next Read
}

// Read is the io.Reader of the bufio.Reader above.
func (s *source) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(p, s.early)
		s.early = s.early[n:]
		s.came(n)
		return n, nil
	}
	if !s.between && s.armed.After(s.due) {
		s.arm(time.Now())
	}
	for {
		n, err := s.receive(p)
		if n > 0 {
			s.came(n)
			return n, nil // an error comes again
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		now := time.Now()
		if !now.Before(s.due) {
			if s.between {
				return 0, ErrSilent
			}
			return 0, ErrSlow
		}
		s.speak(now)
		s.arm(now)
	}
}

func (s *source) receive(p []byte) (n int, err error) {
	if !s.kernel {
		return s.conn.Read(p)
	}
	n, s.early, err = s.socket.read(p)
	return n, err
}

// came notes n more bytes.
func (s *source) came(n int) {
	s.read.Add(int64(n))
	if s.between {
		s.between = false
		s.begin(time.Now())
	}
}
