package engine

// One UDP socket carries uTP and the DHT; the first byte of a datagram says
// which:
//
//	recvmmsg ──> 'd' (a bencoded dictionary) ──> queue of the family ──> Node.ReadFrom
//	    |
//	    ├──────> 0x01 … 0x41 (version 1, type ≤ 4) ──> the uTP socket's Deliver
//	    |
//	    └──────> anything else is dropped
//
// Nothing that arrives ends the socket: neither a datagram nor what ICMP says of
// one that was sent.

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bipfs/handshake/utp"
)

// Bounds of the UDP socket.
const (
	// MaxKRPC is how long a datagram of the DHT may be, in bytes. BEP 5 has no
	// bound; answers of real nodes stay below one packet of ethernet.
	MaxKRPC = 2 << 10
	// KRPCQueue is how many datagrams wait for each Node; more are dropped.
	KRPCQueue = 256
	// udpBuffer is how many bytes the kernel is asked to keep in each
	// direction. It may give less.
	udpBuffer = 4 << 20
	// udpRest is the pause after an error of the socket that is not its end.
	udpRest = 5 * time.Millisecond
)

// UDP is one UDP socket. Its methods may be called from any goroutine.
type UDP struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	utp  atomic.Pointer[func([]utp.Datagram)]
	four *Node
	six  *Node
	in   receiver
	out  transmitter
	wg   sync.WaitGroup
}

// ListenPacket opens a UDP socket at addr, which is as for Listen. Close must follow.
func (n *Network) ListenPacket(ctx context.Context, addr string) (*UDP, error) {
	addr, err := n.listenAt(addr)
	if err != nil {
		return nil, err
	}
	c := net.ListenConfig{Control: n.bound.control}
	l, err := c.ListenPacket(ctx, listenNetwork("udp", addr), addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	u := &UDP{conn: l.(*net.UDPConn)}
	if u.raw, err = u.conn.SyscallConn(); err == nil {
		err = u.open()
	}
	if err != nil {
		u.conn.Close()
		return nil, listenError(addr, err)
	}
	u.four, u.six = newNode(u), newNode(u)
	u.wg.Go(u.read)
	return u, nil
}

// HandleUTP gives all uTP packets to f, in order and in batches; until then they
// are dropped. f must not wait and must not keep the payloads. nil: nobody.
func (u *UDP) HandleUTP(f func([]utp.Datagram)) {
	if f == nil {
		u.utp.Store(nil)
		return
	}
	u.utp.Store(&f)
}

// Node is the socket as a DHT node over IPv4 sees it.
func (u *UDP) Node() *Node { return u.four }

// Node6 is the same for IPv6 (BEP 32).
func (u *UDP) Node6() *Node { return u.six }

// LocalAddr is a *net.UDPAddr.
func (u *UDP) LocalAddr() net.Addr { return u.conn.LocalAddr() }

// Close closes the socket and returns when nothing of it runs any more.
func (u *UDP) Close() error {
	err := u.conn.Close()
	u.wg.Wait()
	u.four.Close()
	u.six.Close()
	return err
}

// read takes in batch after batch, until the socket is closed.
func (u *UDP) read() {
	var packets []utp.Datagram
	for {
		var err error
		packets, err = u.in.read(u.raw, packets[:0])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// No error of recvmmsg says anything of the next call.
			time.Sleep(udpRest)
			continue
		}
		n := 0
		for _, d := range packets {
			switch first := d.Payload[0]; {
			case first&0x0f == 1 && first>>4 <= 4:
				packets[n] = d
				n++
			case first != 'd':
			case d.Addr.Addr().Is4():
				u.four.deliver(d)
			default:
				u.six.deliver(d)
			}
		}
		if f := u.utp.Load(); f != nil && n > 0 {
			(*f)(packets[:n])
		}
	}
}

// Node is one family of the socket, as far as it speaks the DHT's KRPC: a
// net.PacketConn. Its ReadFrom fails only after Close, which leaves the socket
// open: anacrolix/dht panics at any other error.
type Node struct {
	u     *UDP
	queue chan krpc
	done  chan struct{}
	once  sync.Once
}

type krpc struct {
	from    netip.AddrPort
	payload []byte
}

func newNode(u *UDP) *Node {
	return &Node{u: u, queue: make(chan krpc, KRPCQueue), done: make(chan struct{})}
}

// deliver queues a datagram if there is room.
func (n *Node) deliver(d utp.Datagram) {
	if len(d.Payload) > MaxKRPC || len(n.queue) == cap(n.queue) {
		return
	}
	select {
	case <-n.done:
	case n.queue <- krpc{d.Addr, append([]byte(nil), d.Payload...)}:
	default:
	}
}

// ReadFrom waits for a datagram. It returns net.ErrClosed after Close, and no
// other error.
func (n *Node) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-n.done:
		return 0, nil, net.ErrClosed
	case k := <-n.queue:
		return copy(p, k.payload), net.UDPAddrFromAddrPort(k.from), nil
	}
}

// WriteTo sends a datagram to a *net.UDPAddr. That the network does not take it
// at the moment is an error and changes nothing.
func (n *Node) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-n.done:
		return 0, net.ErrClosed
	default:
		return n.u.conn.WriteTo(p, to)
	}
}

// Close ends ReadFrom and WriteTo of this node alone.
func (n *Node) Close() error {
	n.once.Do(func() { close(n.done) })
	return nil
}

// LocalAddr is that of the socket.
func (n *Node) LocalAddr() net.Addr { return n.u.LocalAddr() }

// SetDeadline does nothing: a deadline would make ReadFrom fail.
func (n *Node) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (n *Node) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: the kernel takes or drops a datagram at once.
func (n *Node) SetWriteDeadline(time.Time) error { return nil }
