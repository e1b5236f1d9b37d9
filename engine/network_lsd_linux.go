package engine

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

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
