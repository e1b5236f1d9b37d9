//go:build !linux

package engine

import (
	"errors"
	"net/netip"
)

// member joins no group: what others of this machine hear is not kept out of it by
// the same means elsewhere as on Linux.
func (n *Network) member(device, netip.AddrPort, netip.Addr) (*member, error) {
	return nil, errors.ErrUnsupported
}
