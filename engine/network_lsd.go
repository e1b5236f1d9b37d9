package engine

// Multicast goes by link: one socket for each group and device, so that it is
// known what came from where, and nothing leaves on a link that is not ours to
// use.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"bipfs/engine/discovery"

	"golang.org/x/sys/unix"
)

// maxLinks bounds on how many devices multicast is spoken; machines that run
// containers have hundreds.
const maxLinks = 8

// Links is the devices that multicast goes over, and their addresses, in words.
func (n *Network) Links() string {
	all, err := n.devices()
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	for _, d := range all {
		fmt.Fprintln(&s, d.Index, d.Name, d.on)
	}
	return s.String()
}

// Join is the multicast group on each device that has an address of its family.
// Their packets go no further than the link.
func (n *Network) Join(group netip.AddrPort) ([]discovery.Group, error) {
	all, err := n.devices()
	if err != nil {
		return nil, err
	}
	var joined []discovery.Group
	err = fmt.Errorf("%s: no device to join it on", group)
	for _, d := range all {
		from, errBound := n.bound.source(group.Addr())
		if errBound != nil {
			return nil, errBound
		}
		if !d.speaks(group.Addr()) || len(joined) == maxLinks {
			continue
		}
		m, errJoin := n.member(d, group, from)
		if errJoin != nil {
			err = fmt.Errorf("%s on %s: %w", group, d.Name, errJoin)
			continue
		}
		joined = append(joined, m)
	}
	if len(joined) == 0 {
		return nil, err
	}
	return joined, nil
}

// speaks reports whether d has an address of ip's family.
func (d device) speaks(ip netip.Addr) bool {
	for _, p := range d.on {
		if p.Addr().Is4() == ip.Is4() {
			return true
		}
	}
	return false
}

// near reports whether ip is on d's link.
func (d device) near(ip netip.Addr) bool {
	if ip.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range d.on {
		if p.Contains(ip.WithZone("")) {
			return true
		}
	}
	return false
}

// member is a socket that is in one group on one device.
type member struct {
	device
	group netip.AddrPort
	conn  *net.UDPConn
	oob   []byte // where packets leave
}

// member joins. The socket is bound to the group's own address, which package
// net does not do: so it hears what was sent to the group, and nothing else.
func (n *Network) member(d device, group netip.AddrPort, from netip.Addr) (*member, error) {
	family := unix.AF_INET
	if group.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), group.String())
	defer f.Close() // FilePacketConn has its own
	var device string
	if n.bound != nil {
		device = n.bound.device
	}
	m := &member{device: d, group: group}
	if family == unix.AF_INET {
		m.oob, err = join4(fd, d.Index, group, from)
	} else {
		m.oob, err = join6(fd, d.Index, group, from)
	}
	if device != "" && err == nil {
		err = unix.BindToDevice(fd, device)
	}
	if err != nil {
		return nil, err
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	m.conn = c.(*net.UDPConn)
	return m, nil
}

// join4 puts a socket into a group on the device of an index. It is what
// packets are sent with.
func join4(fd, index int, group netip.AddrPort, from netip.Addr) (oob []byte, err error) {
	info := unix.Inet4Pktinfo{Ifindex: int32(index)}
	if from.IsValid() {
		info.Spec_dst = from.As4()
	}
	return unix.PktInfo4(&info), errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), // other clients are there too
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(group.Port()), Addr: group.Addr().As4()}),
		// Without this it hears what others of this machine joined elsewhere.
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: group.Addr().As4(), Ifindex: int32(index)}),
	)
}

// join6 is join4 for IPv6.
func join6(fd, index int, group netip.AddrPort, from netip.Addr) (oob []byte, err error) {
	info := unix.Inet6Pktinfo{Ifindex: uint32(index)}
	if from.IsValid() {
		info.Addr = from.As16()
	}
	return unix.PktInfo6(&info), errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1),
		unix.Bind(fd, &unix.SockaddrInet6{Port: int(group.Port()), Addr: group.Addr().As16(), ZoneId: uint32(index)}),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 1),
		unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: group.Addr().As16(), Interface: uint32(index)}),
	)
}

// Send sends one packet to the group.
func (m *member) Send(b []byte) error {
	_, _, err := m.conn.WriteMsgUDPAddrPort(b, m.oob, m.group)
	return err
}

// Receive takes one packet of the group. An address of the link itself has the
// device's name as its zone.
func (m *member) Receive(b []byte) (n int, from netip.Addr, near bool, err error) {
	n, at, err := m.conn.ReadFromUDPAddrPort(b)
	from = at.Addr().Unmap()
	return n, from, err == nil && m.near(from) && credible(at, from), err
}

// Close leaves the group.
func (m *member) Close() error { return m.conn.Close() }
