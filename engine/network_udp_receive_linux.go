package engine

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"bipfs/handshake/utp"
	"golang.org/x/sys/unix"
)

const (
	// receiveSlots is how many datagrams one system call brings; each slot has
	// room for the longest, or for a run of short ones that the kernel has put
	// together (UDP_GRO).
	receiveSlots = 16
	longestUDP   = 64 << 10
)

// receiver is the reading end of a UDP socket: recvmmsg and its memory, which
// it touches only as far as there is traffic.
type receiver struct {
	heads   [receiveSlots]unix.Mmsghdr
	vectors [receiveSlots]unix.Iovec
	names   [receiveSlots]unix.RawSockaddrInet6 // the longest that is needed
	control [receiveSlots][32]byte
	buffers [receiveSlots][]byte
	n       int
	errno   syscall.Errno
	call    func(fd uintptr) bool
}

func (r *receiver) init() {
	all := make([]byte, receiveSlots*longestUDP)
	for i := range r.heads {
		r.buffers[i] = all[i*longestUDP : (i+1)*longestUDP]
		r.vectors[i].Base = &r.buffers[i][0]
		r.vectors[i].SetLen(longestUDP)
		h := &r.heads[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
	r.call = r.recvmmsg
}

// read waits for datagrams and appends them to list; they stay true until the
// next call. Empty ones are left out.
func (r *receiver) read(raw syscall.RawConn, list []utp.Datagram) ([]utp.Datagram, error) {
	if err := raw.Read(r.call); err != nil {
		return list, err
	}
	if r.errno != 0 {
		return list, r.errno
	}
	for i := range r.n {
		h := &r.heads[i]
		from := address(&r.names[i])
		rest := r.buffers[i][:h.Len]
		each := len(rest)
		if n := gathered(r.control[i][:h.Hdr.Controllen]); n > 0 {
			each = n
		}
		for len(rest) > 0 {
			n := min(each, len(rest))
			list = append(list, utp.Datagram{Addr: from, Payload: rest[:n:n]})
			rest = rest[n:]
		}
	}
	return list, nil
}

// recvmmsg is one system call; false: nothing is there yet.
func (r *receiver) recvmmsg(fd uintptr) bool {
	for i := range r.heads {
		r.heads[i].Hdr.Namelen = uint32(unsafe.Sizeof(r.names[i]))
		r.heads[i].Hdr.SetControllen(len(r.control[i]))
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.heads[0])), receiveSlots, unix.MSG_DONTWAIT, 0, 0)
		r.n, r.errno = int(n), errno
		switch errno {
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			return true
		}
	}
}

// address is the sender, an IPv4 address in its short form.
func address(name *unix.RawSockaddrInet6) netip.AddrPort {
	if name.Family == unix.AF_INET {
		short := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(short.Addr), port(short.Port))
	}
	ip := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && ip.Is6() {
		ip = ip.WithZone(strconv.Itoa(int(name.Scope_id)))
	}
	return netip.AddrPortFrom(ip, port(name.Port))
}

// port turns a port from the order of the network to ours, and back.
func port(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

// gathered is the length of each of the datagrams that the kernel has put
// together; 0: it has not.
func gathered(control []byte) int {
	head := int(unsafe.Sizeof(unix.Cmsghdr{}))
	if len(control) < head+4 {
		return 0
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if c.Level != unix.SOL_UDP || c.Type != unix.UDP_GRO {
		return 0
	}
	return int(binary.NativeEndian.Uint32(control[unix.CmsgLen(0):]))
}
