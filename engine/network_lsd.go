package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"bipfs/engine/discovery"
)

// maxInterfaces is in how many networks peers are looked for by multicast.
const maxInterfaces = 16

// ListenLSD opens the sockets of local service discovery (BEP 14): one for each
// network that we are in, and each family. Without any it is an error.
func (n *Network) ListenLSD(ctx context.Context) (sockets []discovery.LSDSocket, err error) {
	if n.proxy != nil {
		return nil, fmt.Errorf("local service discovery: %w", ErrProxied)
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	err = errors.New("no network takes part in multicast")
	const wanted = net.FlagUp | net.FlagMulticast
	used := 0
	for _, i := range all {
		if i.Flags&wanted != wanted || used == maxInterfaces || n.bound != nil && n.bound.device != i.Name {
			continue
		}
		used++
		for _, group := range []netip.AddrPort{discovery.LSDGroup4, discovery.LSDGroup6} {
			conn, failed := n.listenGroup(ctx, group, i.Index)
			if failed != nil {
				err = failed // a network of one family is no failure if another is heard
				continue
			}
			sockets = append(sockets, discovery.LSDSocket{PacketConn: conn, Group: group})
		}
	}
	if len(sockets) > 0 {
		err = nil
	}
	return sockets, err
}

// listenGroup opens a socket that is in a group, in the network of one
// interface alone.
func (n *Network) listenGroup(ctx context.Context, group netip.AddrPort, index int) (net.PacketConn, error) {
	network := "udp4"
	if group.Addr().Is6() {
		network = "udp6"
	}
	c := net.ListenConfig{Control: func(_, address string, raw syscall.RawConn) error {
		err := n.bound.control(network, address, raw)
		if err != nil {
			return err
		}
		if failed := raw.Control(func(fd uintptr) { err = joinGroup(int(fd), group.Addr(), index) }); failed != nil {
			return failed
		}
		return err
	}}
	return c.ListenPacket(ctx, network, group.String())
}

// joinGroup puts a socket into a group before it is bound. Other programs of
// this machine may listen there too, and hear us.
func joinGroup(fd int, group netip.Addr, index int) error {
	err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if group.Is6() {
		const join, multicastIf = syscall.IPV6_JOIN_GROUP, syscall.IPV6_MULTICAST_IF
		return errors.Join(err,
			syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, multicastIf, index),
			syscall.SetsockoptIPv6Mreq(fd, syscall.IPPROTO_IPV6, join, &syscall.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(index)}))
	}
	const multicastAll = 49 // IP_MULTICAST_ALL (linux/in.h): 0 is what this socket has joined only
	m := &syscall.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(index)}
	return errors.Join(err,
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, multicastAll, 0),
		syscall.SetsockoptIPMreqn(fd, syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, m),
		syscall.SetsockoptIPMreqn(fd, syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, m))
}
