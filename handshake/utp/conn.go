package utp

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Conn is one connection: a net.Conn whose methods may be called by any number
// of goroutines at once. An idle one holds no buffers.
type Conn struct {
	socket  *Socket
	addr    netip.AddrPort
	touched bool // guarded by Socket.in

	at    time.Duration // when the clock looks at it, guarded by Socket.mu
	place int           // in the heap, guarded by Socket.mu; -1: not in it

	writing sync.Mutex // one Write at a time, so that none is torn

	mu                 sync.Mutex
	machine            *machine
	readable, writable sync.Cond
	readers, writers   int  // that wait
	young              bool // its address is not proven
	dialing            bool // its Dial waits, as a reader
	closed             bool
	readBy, writeBy    time.Duration // deadlines; never: none
}

func newConn(s *Socket, addr netip.AddrPort, m *machine) *Conn {
	c := &Conn{socket: s, addr: addr, machine: m, place: -1, readBy: never, writeBy: never}
	c.readable.L, c.writable.L = &c.mu, &c.mu
	return c
}

// wakeAt is when the clock has to look at the connection: for the machine, or
// for the deadline of somebody who waits. The lock is held.
func (c *Conn) wakeAt() time.Duration {
	at := c.machine.wakeAt()
	if c.readers > 0 {
		at = min(at, c.readBy)
	}
	if c.writers > 0 {
		at = min(at, c.writeBy)
	}
	return at
}

// wake wakes those who wait and may go on. The lock is held.
func (c *Conn) wake() {
	over := c.machine.phase == dead || c.closed
	if c.readers > 0 && (over || c.dialing || c.machine.in.size > 0 || c.machine.eof || c.past(c.readBy)) {
		c.readable.Broadcast()
	}
	if c.writers > 0 && (over || c.machine.room() >= leastBuffer || c.past(c.writeBy)) {
		c.writable.Broadcast()
	}
}

func (c *Conn) past(deadline time.Duration) bool {
	return deadline != never && c.socket.now() >= deadline
}

// Read reads what came in order. It returns io.EOF when the peer has closed its
// direction and all is read.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	n, err := c.read(p)
	due := n > 0 && c.machine.due(c.socket.now())
	c.mu.Unlock()
	if due {
		c.socket.flush(c)
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.past(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		if n := c.machine.read(p); n > 0 {
			return n, nil
		}
		switch {
		case c.machine.eof:
			return 0, io.EOF
		case c.machine.phase == dead:
			return 0, c.machine.err
		}
		c.readers++
		if c.readBy != never {
			c.socket.schedule(c)
		}
		c.readable.Wait()
		c.readers--
	}
}

// Write returns when all of p is taken in, which is before it has arrived.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	n, err := c.write(p)
	c.socket.flush(c)
	return n, err
}

// WriteBuffers writes a vector as net.Buffers.WriteTo does, and consumes it the
// same way; its parts share packets. It is one Write to others.
func (c *Conn) WriteBuffers(v *net.Buffers) (int64, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	var done int64
	var err error
	for len(*v) > 0 && err == nil {
		var n int
		n, err = c.write((*v)[0])
		done += int64(n)
		if (*v)[0] = (*v)[0][n:]; len((*v)[0]) == 0 {
			(*v)[0] = nil
			*v = (*v)[1:]
		}
	}
	c.socket.flush(c)
	return done, err
}

// write takes in all of p, and sends when there is no room for more.
func (c *Conn) write(p []byte) (done int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed || c.machine.finWanted:
			return done, net.ErrClosed
		case c.machine.phase == dead:
			return done, c.machine.err
		case c.past(c.writeBy):
			return done, os.ErrDeadlineExceeded
		}
		done += c.machine.write(c.socket.now(), p[done:])
		if done == len(p) {
			return done, nil
		}
		c.writers++
		c.mu.Unlock()
		c.socket.flush(c)
		c.mu.Lock()
		if c.machine.room() < leastBuffer && c.machine.phase != dead && !c.closed && !c.machine.finWanted && !c.past(c.writeBy) {
			c.writable.Wait()
		}
		c.writers--
	}
}

// CloseWrite ends our direction: the peer reads what was written and then
// io.EOF. Reading goes on.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.machine.closeWrite()
	c.writable.Broadcast()
	c.mu.Unlock()
	c.socket.flush(c)
	return nil
}

// Close ends the connection for us. It returns at once; what was written is
// delivered in the background, for at most 10 s.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.machine.close(c.socket.now())
	c.readable.Broadcast()
	c.writable.Broadcast()
	c.mu.Unlock()
	c.socket.flush(c)
	return nil
}

// LocalAddr is that of the UDP socket.
func (c *Conn) LocalAddr() net.Addr { return c.socket.Addr() }

// RemoteAddr is a *net.UDPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// SetDeadline sets both deadlines; the zero time is none.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy, &c.writeBy) }

// SetReadDeadline holds for a Read that is under way, too.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy) }

// SetWriteDeadline holds for a Write that is under way, too.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *Conn) setDeadlines(t time.Time, deadlines ...*time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	by := never
	if !t.IsZero() {
		by = c.socket.now() + time.Until(t)
	}
	for _, d := range deadlines {
		*d = by
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
	if c.readers+c.writers > 0 {
		c.socket.schedule(c)
	}
	return nil
}
