package extension

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// UTHolepunch is the name of the holepunch extension (BEP 55).
const UTHolepunch = "ut_holepunch"

// HolepunchKind is what a message of ut_holepunch is.
type HolepunchKind uint8

// The kinds; others are to be ignored.
const (
	Rendezvous  HolepunchKind = iota // to the relay: bring me together with Addr
	Connect                          // of the relay: connect to Addr over uTP, now
	PunchFailed                      // of the relay: a Rendezvous with Addr cannot be, see Error
)

// PunchError says why a rendezvous cannot be (BEP 55).
type PunchError uint32

// The errors.
const (
	NoSuchPeer   PunchError = 1 + iota // the address is none
	NotConnected                       // the relay is not connected to the target
	NoSupport                          // the target does not speak ut_holepunch
	NoSelf                             // the target is the initiator itself
)

// String is the name that BEP 55 has for the error.
func (e PunchError) String() string {
	if names := [...]string{"", "NoSuchPeer", "NotConnected", "NoSupport", "NoSelf"}; e > 0 && int64(e) < int64(len(names)) {
		return names[e]
	}
	return fmt.Sprintf("error %d", uint32(e))
}

// Holepunch is a message of ut_holepunch (BEP 55).
type Holepunch struct {
	Kind  HolepunchKind
	Addr  netip.AddrPort // never an IPv4 address mapped into IPv6
	Error PunchError     // of a PunchFailed
}

// ParseHolepunch parses the payload of a ut_holepunch message. Only a
// PunchFailed need carry an error code: libtorrent sends none in the others, and
// BEP 55 a zero. What comes after it is ignored. A payload that is too short is
// ErrLength, a family of addresses that there is not is ErrNumber.
func ParseHolepunch(b []byte) (Holepunch, error) {
	if len(b) < 2 {
		return Holepunch{}, fmt.Errorf("%s of %d bytes: %w", UTHolepunch, len(b), ErrLength)
	}
	h := Holepunch{Kind: HolepunchKind(b[0])}
	size := 4
	switch b[1] {
	case 0:
	case 1:
		size = 16
	default:
		return Holepunch{}, fmt.Errorf("%s for family %d: %w", UTHolepunch, b[1], ErrNumber)
	}
	needed := 2 + size + 2
	if h.Kind == PunchFailed {
		needed += 4
	}
	if len(b) < needed {
		return Holepunch{}, fmt.Errorf("%s of %d bytes: %w", UTHolepunch, len(b), ErrLength)
	}
	ip, _ := netip.AddrFromSlice(b[2 : 2+size])
	h.Addr = netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[2+size:]))
	if h.Kind == PunchFailed {
		h.Error = PunchError(binary.BigEndian.Uint32(b[2+size+2:]))
	}
	return h, nil
}

// Append appends the message as a payload to b.
func (h Holepunch) Append(b []byte) []byte {
	b = append(b, byte(h.Kind), byte(family(h.Addr)/2))
	b = appendCompact(b, h.Addr)
	return binary.BigEndian.AppendUint32(b, uint32(h.Error))
}
