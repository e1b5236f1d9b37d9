package handshake

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A line is one end of a connection over which bytes take their time. It takes
// in any number of them, as the buffers of sockets take in those of a
// handshake.
type line struct {
	in, out *lane
	from    netip.AddrPort // of the other end
}

// lane is one direction.
type lane struct {
	delay time.Duration
	mu    sync.Mutex
	sent  []byte // ever
	queue []parcel
	news  chan struct{} // of one
	ended chan struct{} // its reader is closed
	once  sync.Once
}

// parcel is what was written at once; without bytes it is the end.
type parcel struct {
	due time.Time
	b   []byte
}

// newLine is both ends.
func newLine(delay time.Duration, from netip.AddrPort) (near, far *line) {
	a := &lane{delay: delay, news: make(chan struct{}, 1), ended: make(chan struct{})}
	b := &lane{delay: delay, news: make(chan struct{}, 1), ended: make(chan struct{})}
	return &line{a, b, from}, &line{b, a, from}
}

func (l *lane) put(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, b...)
	l.queue = append(l.queue, parcel{time.Now().Add(l.delay), append([]byte{}, b...)})
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// written is all that ever went in.
func (l *lane) written() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// first is the oldest parcel, and whether there is one.
func (l *lane) first() (parcel, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return parcel{}, false
	}
	return l.queue[0], true
}

func (l *line) Read(p []byte) (int, error) {
	for {
		var due <-chan time.Time
		if first, ok := l.in.first(); ok {
			if !time.Now().Before(first.due) {
				return l.in.take(p)
			}
			due = time.After(time.Until(first.due))
		}
		select {
		case <-l.in.ended:
			return 0, net.ErrClosed
		case <-due:
		case <-l.in.news:
		}
	}
}

// take reads of the first parcel.
func (l *lane) take(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue[0].b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.queue[0].b)
	if l.queue[0].b = l.queue[0].b[n:]; len(l.queue[0].b) == 0 {
		l.queue = l.queue[1:]
	}
	return n, nil
}

func (l *line) Write(p []byte) (int, error) {
	select {
	case <-l.in.ended:
		return 0, net.ErrClosed
	default:
	}
	if len(p) > 0 {
		l.out.put(p)
	}
	return len(p), nil
}

func (l *line) Close() error {
	l.in.once.Do(func() {
		close(l.in.ended)
		l.out.put(nil)
	})
	return nil
}

func (l *line) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(l.from) }
func (l *line) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(l.from) }
func (l *line) SetDeadline(time.Time) error      { return nil }
func (l *line) SetReadDeadline(time.Time) error  { return nil }
func (l *line) SetWriteDeadline(time.Time) error { return nil }

// calls keeps the lines that were opened.
type calls struct {
	mu    sync.Mutex
	lines []*line // the ends of who dialled
}

func (c *calls) all() []*line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines
}

// to is the remote of a world that reaches a listener over lines of the delay.
func (c *calls) to(l *listener, delay time.Duration) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(_ context.Context, from netip.AddrPort) (net.Conn, error) {
		near, far := newLine(delay, from)
		c.mu.Lock()
		c.lines = append(c.lines, near)
		c.mu.Unlock()
		time.Sleep(delay)
		l.conns <- far
		time.Sleep(delay)
		return near, nil
	}
}
