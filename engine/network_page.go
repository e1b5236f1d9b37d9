package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrRemote is that others than this machine could reach an address.
var ErrRemote = errors.New("others than this machine can reach it")

// ListenHTTP listens at addr, "HOST:PORT", for the clients of --http, who are not
// of the swarm: neither --bind nor --proxy is about them. The host is an address or
// localhost, "" is all addresses; whatever is not of this machine alone is ErrRemote
// unless remote is set.
func ListenHTTP(ctx context.Context, addr string, remote bool) (net.Listener, error) {
	addr, err := httpAddress(addr, remote)
	if err != nil {
		return nil, err
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, listenNetwork("tcp", addr), addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	return l, nil
}

// httpAddress is addr with an address for its host. No name is looked up.
func httpAddress(addr string, remote bool) (string, error) {
	host, port, err := splitPort(addr)
	if err != nil {
		return "", err
	}
	ip := netip.IPv6Unspecified()
	switch host {
	case "":
	case "localhost":
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if ip, err = netip.ParseAddr(host); err != nil {
			return "", fmt.Errorf("%q is neither an address nor localhost", host)
		}
	}
	if !ip.Unmap().IsLoopback() && !remote {
		return "", fmt.Errorf("%s: %w", addr, ErrRemote)
	}
	if host == "" {
		return addr, nil // both families
	}
	return netip.AddrPortFrom(ip, port).String(), nil
}

// CheckHTTP is what ListenHTTP would say of addr before it listens.
func CheckHTTP(addr string, remote bool) error {
	_, err := httpAddress(addr, remote)
	return err
}
