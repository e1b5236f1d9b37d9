package engine

// Multicast goes by link: one socket for each group and device, so that it is
// known what came from where, and nothing leaves on a link that is not ours to
// use.

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"bipfs/engine/discovery"
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
