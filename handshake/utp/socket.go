// Package utp is uTP, the transport of BEP 29 with the congestion control of
// RFC 6817 (LEDBAT): streams of bytes over datagrams, which give way to other
// traffic.
//
//	Conn.Write ──> machine ──> flush ──> batch ──> Packets.WriteBatch
//	   |             ^  |                              (sendmmsg)
//	Conn.Read <──────┘  └─ wakeAt ──> heap ──> clock ──┐
//	                 ^                                 |
//	                 └───────────── wake, then flush <─┘
//	Deliver (recvmmsg) ──> parse ──> find by address and id ──> receive, then flush
//
// machine.go and the files beside it are the protocol of one connection, without
// clock, lock or socket; this file, deliver.go, clock.go and conn.go are the
// goroutines around it. Locks are taken in this order: in, out, Conn.mu, mu.
// Whoever sends holds out from the making of packets to the system call, so
// that packets leave in the order of their numbers.
package utp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Datagram is one packet of UDP.
type Datagram struct {
	// Addr is who sent it or is to get it; IPv4 addresses in their short form.
	Addr    netip.AddrPort
	Payload []byte
	// Whole forbids that it is fragmented on its way (IP's DF); it is dropped
	// instead. It is for datagrams that are sent.
	Whole bool
}

// Packets is the UDP socket.
type Packets interface {
	// WriteBatch sends the datagrams, in order, and drops what cannot be sent.
	// It keeps none of their memory. One call is under way at a time.
	WriteBatch([]Datagram)
	LocalAddr() net.Addr
}

// Config is what a Socket is made of. Zero fields have defaults.
type Config struct {
	Memory  int64 // bytes of payload that all connections hold; 64 MiB
	Backlog int   // connections that wait for Accept; 64
	Conns   int   // connections of all kinds; 4096
}

// ErrFull: there are as many connections as there may be.
var ErrFull = errors.New("utp: too many connections")

// Socket is all uTP connections of one UDP socket. Its methods may be called
// from any goroutine.
type Socket struct {
	packets Packets
	config  Config
	memory  memory
	epoch   time.Time
	offset  time.Duration // of our clock: timestamps tell nobody how long we run

	in      sync.Mutex // one Deliver at a time
	touched []*Conn

	out   sync.Mutex // one sender at a time
	batch batch

	listener *listener     // nil: nobody may connect to us
	bell     chan struct{} // of one: wakes the clock
	done     chan struct{}
	wg       sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	conns    map[key]*Conn
	heap     []*Conn // by Conn.at
	asleep   time.Duration
	halfOpen []*Conn // accepted, without a proven address; the oldest first
	resets   int     // sent in the second that began at resetsAt
	resetsAt time.Duration
}

// key finds the connection of a packet.
type key struct {
	addr netip.AddrPort
	id   uint16 // that the packets for us carry
}

// New makes a socket that sends through p; what comes is to be given to
// Deliver. Close must follow.
func New(p Packets, c Config) *Socket {
	if c.Memory <= 0 {
		c.Memory = defaultMemory
	}
	if c.Backlog <= 0 {
		c.Backlog = defaultBacklog
	}
	if c.Conns <= 0 {
		c.Conns = mostConns
	}
	s := &Socket{
		packets: p, config: c, epoch: time.Now(),
		offset: time.Duration(rand.Uint32()) * time.Microsecond,
		conns:  map[key]*Conn{}, asleep: never,
		bell: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.memory.limit = c.Memory
	s.batch.packets = p
	s.wg.Go(s.clock)
	return s
}

// now is the time of the machines.
func (s *Socket) now() time.Duration { return time.Since(s.epoch) + s.offset }

// Addr is that of the UDP socket.
func (s *Socket) Addr() net.Addr { return s.packets.LocalAddr() }

// Listen lets others connect to us, until the listener is closed. What it
// accepted outlives it. There is one at a time: another takes its place.
func (s *Socket) Listen() net.Listener {
	l := &listener{socket: s, backlog: make(chan *Conn, s.config.Backlog), done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	return l
}

type listener struct {
	socket  *Socket
	backlog chan *Conn
	done    chan struct{}
	once    sync.Once
}

// Accept waits for a connection of somebody else's whose address is proven: two
// packets were exchanged. It returns net.ErrClosed after Close.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.done:
	case <-l.socket.done:
	}
	return nil, net.ErrClosed
}

// Close ends Accept, and the connections that wait for it.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.socket.mu.Lock()
		if l.socket.listener == l {
			l.socket.listener = nil
		}
		l.socket.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.backlog:
				c.Close()
				continue
			default:
			}
			return
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.socket.Addr() }

// Dial connects to addr. It ends with ctx, or after 15 s without an answer.
func (s *Socket) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	c, err := s.call(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
	if err != nil {
		return nil, err
	}
	s.flush(c)
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.readable.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	c.dialing = true
	c.readers++
	for c.machine.phase == synSent && ctx.Err() == nil {
		c.readable.Wait()
	}
	c.readers--
	c.dialing = false
	if c.machine.phase == synSent {
		c.machine.kill(context.Cause(ctx))
	}
	if c.machine.phase == dead {
		err = c.machine.err
		c.mu.Unlock()
		s.flush(c)
		return nil, err
	}
	c.mu.Unlock()
	return c, nil
}

// call enters a new connection to addr, whose SYN goes out with the next flush.
func (s *Socket) call(addr netip.AddrPort) (*Conn, error) {
	if ip := addr.Addr(); !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || addr.Port() == 0 {
		return nil, fmt.Errorf("utp: %s is not the address of a peer", addr)
	}
	now := s.now()
	m := newMachine(&s.memory, now, near(addr.Addr()), uint16(rand.Uint32()))
	c := newConn(s, addr, m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if len(s.conns) >= s.config.Conns {
		return nil, ErrFull
	}
	id := uint16(rand.Uint32())
	for s.conns[key{addr, id}] != nil { // ends: there are fewer connections than ids
		id++
	}
	m.dial(now, id)
	s.conns[key{addr, id}] = c
	return c, nil
}

// near reports whether long datagrams may get to ip.
func near(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// Close ends all connections, tells their peers, and returns when every
// goroutine has ended. The UDP socket stays open.
func (s *Socket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.closed = true
	all := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.mu.Lock()
		c.machine.abort(net.ErrClosed)
		c.wake()
		c.mu.Unlock()
	}
	s.flush(all...)
	close(s.done)
	s.wg.Wait()
	return nil
}

// flush sends what the machines of these connections have to send, and sets
// their clocks. No lock is held.
func (s *Socket) flush(conns ...*Conn) {
	s.out.Lock()
	defer s.out.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		s.batch.addr = c.addr
		c.machine.flush(s.now(), &s.batch)
		s.schedule(c)
		c.mu.Unlock()
	}
	s.batch.send()
}

// batch gathers packets for one system call. Its memory grows to mostBatch
// bytes as long as there is much to send, and is kept.
type batch struct {
	packets Packets
	addr    netip.AddrPort // of the packets that are made now
	grams   []Datagram
	arena   []byte
}

const (
	mostGrams  = 64        // datagrams of one batch
	firstBatch = 16 << 10  // bytes of one batch
	mostBatch  = 256 << 10 // of one that follows a full one
)

func (b *batch) packet(n int, whole bool) []byte {
	if len(b.grams) == mostGrams || len(b.arena)+n > cap(b.arena) {
		full := len(b.grams) > 0
		b.send()
		if size := max(firstBatch, n); cap(b.arena) < size {
			b.arena = make([]byte, 0, max(size, 2*headerSize))
		} else if full && cap(b.arena) < mostBatch {
			b.arena = make([]byte, 0, mostBatch)
		}
	}
	at := len(b.arena)
	b.arena = b.arena[:at+n]
	b.grams = append(b.grams, Datagram{b.addr, b.arena[at : at+n : at+n], whole})
	return b.arena[at:]
}

func (b *batch) send() {
	if len(b.grams) > 0 {
		b.packets.WriteBatch(b.grams)
	}
	b.grams, b.arena = b.grams[:0], b.arena[:0]
}
