package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"bipfs/wire"
)

// lingerTime is how long a writer waits for more before it ends.
const lingerTime = 2 * time.Second

// write is the writer: it empties the lanes, batch after batch, sleeps when
// there is nothing in them, and ends when that has lasted.
func (c *Conn) write() error {
	var b batch
	defer b.empty()
	linger := time.NewTimer(lingerTime)
	defer linger.Stop()
	for c.life.Err() == nil {
		if c.out.take(&b) {
			if err := c.writeBatch(&b); err != nil {
				return err
			}
			continue
		}
		if c.out.hushed() {
			if err := c.sink.keepAlive(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-c.out.bell:
		case <-linger.C:
			// The timer is not reset by each write; it looks when it fires.
			if idle := time.Since(c.sink.last); idle < lingerTime {
				linger.Reset(lingerTime - idle)
				continue
			}
			c.sink.rest() // before another writer can have it
			if c.out.part() {
				return nil
			}
			linger.Reset(lingerTime)
		case <-c.life.Done():
		}
	}
	return context.Cause(c.life)
}

// writeBatch puts b on the socket in one write, empties it and gives its slots
// back.
func (c *Conn) writeBatch(b *batch) error {
	messages, err := c.note(b.messages)
	if err != nil {
		return err
	}
	c.sink.add(messages)
	c.sink.add(b.extended)
	var payload int64
	for _, u := range b.loaded {
		if len(u.Bytes) != int(u.Length) {
			panic(fmt.Sprintf("block %v was loaded with %d bytes", u.Block, len(u.Bytes)))
		}
		c.sink.head(wire.Of(wire.PieceBlock, u.Block))
		c.sink.payload(u.Bytes)
		payload += int64(u.Length)
	}
	if err := c.sink.flush(); err != nil {
		return err
	}
	c.uploadedPayload.Add(payload)
	w := Written{len(b.messages), len(b.extended), len(b.loaded)}
	b.empty()
	c.out.written(w)
	if err := c.torrent.Written(c.life, c.peer, w); err != nil {
		return err
	}
	starved := c.starved
	c.starved = nil
	for _, b := range starved {
		if err := c.torrent.Starved(c.life, c.peer, b); err != nil {
			return err
		}
	}
	return nil
}

// note enters the requests and cancels of a batch before they go out. It leaves
// out, of the messages themselves, the requests that there is no memory for.
func (c *Conn) note(messages []Outgoing) ([]Outgoing, error) {
	kept := messages[:0]
	for _, o := range messages {
		switch m := &o.Message; m.Kind {
		case wire.Request:
			switch err := c.asked.ask(m.Block()); {
			case errors.Is(err, ErrNoMemory):
				c.starved = append(c.starved, m.Block())
				continue
			case err != nil:
				return nil, err
			}
		case wire.Cancel:
			c.asked.cancel(m.Block())
		}
		kept = append(kept, o)
	}
	return kept, nil
}

// sink is the socket as the writer sees it. Heads are gathered in scratch, one
// run of it for as many as follow each other; payloads are never copied.
//
// As in source, the deadline is only moved when it has passed.
type sink struct {
	conn    net.Conn
	crypt   VectorWriter  // conn, if it is one
	written *atomic.Int64 // bytes
	last    time.Time     // when the last write ended; born before it
	wrote   *atomic.Int64 // the same, in ns after born
	born    time.Time

	scratch []byte
	run     int // where in scratch the heads begin that are in no part yet
	parts   net.Buffers
	vector  net.Buffers // parts, as far as they are not written
	armed   time.Time
}

// add gathers messages.
func (s *sink) add(messages []Outgoing) {
	for i := range messages {
		m := messages[i].Message
		m.Payload = uint32(len(messages[i].Payload))
		s.head(m)
		s.payload(messages[i].Payload)
	}
}

func (s *sink) head(m wire.Message) { s.scratch = wire.Append(s.scratch, m) }

func (s *sink) payload(b []byte) {
	if len(b) > 0 {
		s.close()
		s.parts = append(s.parts, b)
	}
}

// close makes a part of the heads gathered since the last one. Should scratch
// move later as it grows, the part keeps the bytes where they were.
func (s *sink) close() {
	if s.run < len(s.scratch) {
		s.parts = append(s.parts, s.scratch[s.run:])
		s.run = len(s.scratch)
	}
}

func (s *sink) keepAlive() error {
	s.head(wire.Message{Kind: wire.KeepAlive})
	return s.flush()
}

// flush writes all that was gathered.
func (s *sink) flush() error {
	s.close()
	s.vector = s.parts // which WriteTo empties as it goes: no part outlives its block
	err := s.send()
	s.parts, s.scratch, s.run = s.parts[:0], s.scratch[:0], 0
	return err
}

// send writes the vector. A peer that takes in less than a block in WriteLimit
// has stalled: it would hold verified blocks in memory for as long as it likes.
func (s *sink) send() error {
	now := time.Now()
	due, moved := now.Add(WriteLimit), int64(0)
	if !now.Before(s.armed) {
		s.arm(due)
	}
	for {
		n, err := s.writeVector()
		s.written.Add(n)
		moved += n
		now = time.Now()
		if err == nil {
			s.last = now
			s.wrote.Store(int64(now.Sub(s.born)))
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if !now.Before(due) {
			if moved < wire.BlockSize {
				return ErrStalled
			}
			due, moved = now.Add(WriteLimit), 0
		}
		s.arm(due)
	}
}

// rest gives up the memory that an idle connection does not need.
func (s *sink) rest() { s.scratch, s.parts, s.vector = nil, nil, nil }

// writeVector writes what is left of the vector: to a socket in one system call.
func (s *sink) writeVector() (int64, error) {
	if s.crypt != nil {
		return s.crypt.WriteBuffers(&s.vector)
	}
	return s.vector.WriteTo(s.conn)
}

func (s *sink) arm(at time.Time) {
	s.armed = at
	s.conn.SetWriteDeadline(at) // an error shows in the next write
}
