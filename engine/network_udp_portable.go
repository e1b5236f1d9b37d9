//go:build !linux

package engine

import (
	"net"
	"net/netip"
	"sync"
	"syscall"

	"bipfs/handshake/utp"
)

// A datagram a call: what every system has. The files for Linux do better.

const longestUDP = 64 << 10

// receiver is the reading end of a UDP socket.
type receiver struct {
	conn   *net.UDPConn
	buffer [longestUDP]byte
}

// read waits for a datagram and appends it to list; it stays true until the next
// call. An empty one is left out.
func (r *receiver) read(_ syscall.RawConn, list []utp.Datagram) ([]utp.Datagram, error) {
	n, from, err := r.conn.ReadFromUDPAddrPort(r.buffer[:])
	if err == nil && n > 0 {
		list = append(list, utp.Datagram{Addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), Payload: r.buffer[:n:n]})
	}
	return list, err
}

// transmitter is the writing end.
type transmitter struct{ mu sync.Mutex }

func (u *UDP) open() error {
	u.in.conn = u.conn
	_ = u.conn.SetReadBuffer(udpBuffer) // the system may give less
	_ = u.conn.SetWriteBuffer(udpBuffer)
	return nil
}

// WriteBatch sends datagrams, in order; what the kernel does not take is dropped.
// None is kept whole on its way: a probe of the path's MTU succeeds in fragments.
func (u *UDP) WriteBatch(list []utp.Datagram) {
	u.out.mu.Lock()
	defer u.out.mu.Unlock()
	for _, d := range list {
		_, _ = u.conn.WriteToUDPAddrPort(d.Payload, d.Addr)
	}
}
