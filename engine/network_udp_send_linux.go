package engine

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"bipfs/handshake/utp"
	"golang.org/x/sys/unix"
)

const (
	sendSlots = 64 // messages of one system call
	sendParts = 64 // datagrams of them all, and of one run (Linux: UDP_MAX_SEGMENTS)
	longRun   = 60_000
	// Only datagrams that fit into an ethernet frame are sent in runs: the
	// kernel refuses a run of longer ones on most devices.
	longestInRun = 1472
	// sendWait is how long a batch waits for the kernel to have room.
	sendWait = 100 * time.Millisecond
)

// transmitter is the writing end of a UDP socket: sendmmsg, where datagrams of
// one length to one address go as one run that the kernel (or the device) takes
// apart (UDP_SEGMENT).
type transmitter struct {
	mu      sync.Mutex
	six     bool // the socket is of AF_INET6
	runs    bool // the kernel knows UDP_SEGMENT
	heads   [sendSlots]unix.Mmsghdr
	vectors [sendParts]unix.Iovec
	names   [sendSlots]unix.RawSockaddrInet6
	control [sendSlots][32]byte
	count   [sendSlots]int // datagrams of each message
	first   int            // the message to send next
	n       int            // messages
	wait    bool           // for room
	errno   syscall.Errno
	sent    int
	call    func(fd uintptr) bool
}

// open sets the options of the socket. What the kernel does not know is done
// without.
func (u *UDP) open() error {
	u.in.init()
	t := &u.out
	t.call = t.sendmmsg
	return u.raw.Control(func(d uintptr) {
		fd := int(d)
		domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		t.six = domain == unix.AF_INET6
		for _, o := range [...][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], udpBuffer) != nil {
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], udpBuffer)
			}
		}
		unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
		t.runs = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil
		t.whole(fd, false)
	})
}

// whole says whether datagrams may be fragmented on their way.
func (t *transmitter) whole(fd int, yes bool) {
	four, six := unix.IP_PMTUDISC_DONT, unix.IPV6_PMTUDISC_DONT
	if yes { // PROBE: do not believe what routers said before
		four, six = unix.IP_PMTUDISC_PROBE, unix.IPV6_PMTUDISC_PROBE
	}
	unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, four)
	if t.six {
		unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, six)
	}
}

// WriteBatch sends datagrams, in order; what the kernel does not take is
// dropped. It waits at most 0.1 s. The zone of a link-local address is a number.
func (u *UDP) WriteBatch(list []utp.Datagram) {
	t := &u.out
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(list) > 0 {
		n := 1
		if list[0].Whole {
			u.raw.Control(func(fd uintptr) { t.whole(int(fd), true) })
		}
		for !list[0].Whole && n < min(len(list), sendParts) && !list[n].Whole {
			n++
		}
		t.gather(list[:n])
		n = t.send(u)
		if list[0].Whole {
			u.raw.Control(func(fd uintptr) { t.whole(int(fd), false) })
		}
		list = list[n:]
	}
}

// gather makes messages of at most sendParts datagrams.
func (t *transmitter) gather(list []utp.Datagram) {
	t.first, t.n = 0, 0
	for at := 0; at < len(list); {
		run := 1
		if t.runs {
			run = runLength(list[at:])
		}
		for i, d := range list[at : at+run] {
			t.vectors[at+i].Base = unsafe.SliceData(d.Payload)
			t.vectors[at+i].SetLen(len(d.Payload))
		}
		h := &t.heads[t.n].Hdr
		h.Name = (*byte)(unsafe.Pointer(&t.names[t.n]))
		h.Namelen = t.name(&t.names[t.n], list[at].Addr)
		h.Iov = &t.vectors[at]
		h.SetIovlen(run)
		h.Control = nil
		h.SetControllen(0)
		if run > 1 {
			c := &t.control[t.n]
			m := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
			m.Level, m.Type = unix.SOL_UDP, unix.UDP_SEGMENT
			m.SetLen(unix.CmsgLen(2))
			binary.NativeEndian.PutUint16(c[unix.CmsgLen(0):], uint16(len(list[at].Payload)))
			h.Control = &c[0]
			h.SetControllen(unix.CmsgSpace(2))
		}
		t.count[t.n] = run
		t.n++
		at += run
	}
}

// runLength is how many datagrams of list can go in one run: to one address, of
// one length but for a shorter last one.
func runLength(list []utp.Datagram) int {
	size := len(list[0].Payload)
	if size > longestInRun {
		return 1
	}
	n, total := 1, size
	for n < len(list) && list[n].Addr == list[0].Addr && total+len(list[n].Payload) <= longRun {
		last := len(list[n].Payload)
		if last > size || last == 0 {
			break
		}
		n, total = n+1, total+last
		if last < size {
			break
		}
	}
	return n
}

// name fills in the address of a message and returns its length. A socket that
// has no IPv6 refuses such an address.
func (t *transmitter) name(name *unix.RawSockaddrInet6, to netip.AddrPort) uint32 {
	if ip := to.Addr().Unmap(); !t.six && ip.Is4() {
		short := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*short = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port(to.Port()), Addr: ip.As4()}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port(to.Port()), Addr: to.Addr().As16()}
	if zone, err := strconv.ParseUint(to.Addr().Zone(), 10, 32); err == nil {
		name.Scope_id = uint32(zone)
	}
	return unix.SizeofSockaddrInet6
}

// send sends the messages that were gathered, and returns how many datagrams
// are done with. A message that is refused is dropped, and the next one tried:
// an address that cannot be reached must not cost others their packets. A run
// that is refused is not done with; there will be no other.
func (t *transmitter) send(u *UDP) (done int) {
	waited := false
	for t.first < t.n {
		if u.raw.Write(t.call) != nil { // closed, or no room for so long
			t.errno, t.sent = 0, t.n-t.first
		}
		switch {
		case t.errno == unix.EAGAIN && !waited:
			waited, t.wait = true, true
			u.conn.SetWriteDeadline(time.Now().Add(sendWait))
			continue
		case t.errno != 0 && t.count[t.first] > 1:
			t.runs = false
			t.n = 0
			continue
		case t.errno != 0:
			t.sent = 1
		}
		for range t.sent {
			done += t.count[t.first]
			t.first++
		}
	}
	if waited {
		t.wait = false
		u.conn.SetWriteDeadline(time.Time{})
	}
	clear(t.vectors[:]) // nothing of the caller's memory is kept
	return done
}

// sendmmsg is one system call; false: there is no room, and it should wait.
func (t *transmitter) sendmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&t.heads[t.first])), uintptr(t.n-t.first), unix.MSG_DONTWAIT, 0, 0)
		t.sent, t.errno = int(n), errno
		switch errno {
		case unix.EINTR:
		case unix.EAGAIN:
			return !t.wait
		default:
			return true
		}
	}
}
