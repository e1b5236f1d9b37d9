package mse

import (
	"crypto/rc4"
	"net"
	"sync"
)

// scratchSize is how many bytes are encrypted and written at a time: a block
// (BEP 3), and its head in the next write.
const scratchSize = 16 << 10

// scratches lends memory to encrypt into: a connection that has nothing to
// write holds none.
var scratches = sync.Pool{New: func() any { return new([scratchSize]byte) }}

// Conn is a socket whose stream is RC4, both ways. One goroutine may read while
// another writes.
type Conn struct {
	net.Conn
	in, out *rc4.Cipher

	scratch *[scratchSize]byte // nil: nothing is pending
	pending []byte             // of scratch: encrypted and not on the socket
}

// Read reads and decrypts in place, in the caller's memory.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.XORKeyStream(p[:n], p[:n])
	return n, err
}

// Write is WriteBuffers of one part.
func (c *Conn) Write(p []byte) (int, error) {
	v := net.Buffers{p}
	n, err := c.WriteBuffers(&v)
	return int(n), err
}

// WriteBuffers encrypts v and writes it, in writes of many parts. It never
// changes the bytes of a part, which others may be reading, and takes from v
// what is on the socket, as net.Buffers.WriteTo does.
//
// After an error, a deadline for one, whoever goes on does so with the rest of
// the same bytes, as v has it: some of it is encrypted already, and a stream
// cipher does not go back.
func (c *Conn) WriteBuffers(v *net.Buffers) (written int64, err error) {
	for {
		if len(c.pending) == 0 && !c.gather(*v) {
			consume(v, 0) // what is left of it is empty
			return written, nil
		}
		n, err := c.Conn.Write(c.pending)
		c.pending = c.pending[n:]
		consume(v, n)
		written += int64(n)
		if len(c.pending) == 0 {
			scratches.Put(c.scratch)
			c.scratch = nil
		}
		if err != nil {
			return written, err
		}
	}
}

// gather encrypts the start of v; false: there is nothing in it.
func (c *Conn) gather(v net.Buffers) bool {
	n := 0
	for _, part := range v {
		if len(part) > 0 && c.scratch == nil {
			c.scratch = scratches.Get().(*[scratchSize]byte)
		}
		if n == scratchSize {
			break
		}
		part = part[:min(len(part), scratchSize-n)]
		if len(part) > 0 {
			c.out.XORKeyStream(c.scratch[n:], part)
			n += len(part)
		}
	}
	if n > 0 {
		c.pending = c.scratch[:n]
	}
	return n > 0
}

// consume takes n bytes from v, and parts that are empty.
func consume(v *net.Buffers, n int) {
	for len(*v) > 0 {
		part := (*v)[0]
		if n < len(part) {
			(*v)[0] = part[n:]
			return
		}
		n -= len(part)
		(*v)[0] = nil
		*v = (*v)[1:]
	}
}
