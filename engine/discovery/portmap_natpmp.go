package discovery

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// NAT Port Mapping Protocol (RFC 6886), version 0 of what is PCP now:
//
//	outer address   0 · 0                                  ──> 0 · 128 · result · epoch (4) · address (4)
//	mapping         0 · 1 UDP, 2 TCP · 0 0 · our port ·    ──> 0 · 129, 130 · result · epoch (4) ·
//	                outer port · lifetime s (4)                our port · outer port · lifetime s (4)

const (
	pmpAnswer        = 0x80 // added to the opcode
	pmpAddressLength = 12
	pmpMapLength     = 16
)

// natPMP maps ports with NAT-PMP.
type natPMP struct{ routers Routers }

func (natPMP) String() string { return "NAT-PMP" }

func (c natPMP) open(ctx context.Context, g Gateway, p MappedPort, external uint16) (l lease, err error) {
	err = ask(ctx, c.routers, g, appendPMP(nil, p, external, LeaseTime), func(answer []byte) (err error) {
		l, err = parsePMP(answer, p)
		return err
	})
	if err == nil && l.external.Port() == 0 {
		err = errUnexpected
	}
	if err != nil {
		return l, err
	}
	var ip netip.Addr
	if ask(ctx, c.routers, g, []byte{0, 0}, func(answer []byte) (err error) {
		ip, err = parsePMPAddress(answer)
		return err
	}) == nil {
		l.external = netip.AddrPortFrom(outside(ip), l.external.Port())
	}
	return l, nil
}

func (c natPMP) shut(ctx context.Context, g Gateway, l lease) error {
	return ask(ctx, c.routers, g, appendPMP(nil, l.MappedPort, 0, 0), func(answer []byte) error {
		_, err := parsePMP(answer, l.MappedPort)
		return err
	})
}

// pmpOpcode is what asks for a mapping of p.
func pmpOpcode(p MappedPort) byte {
	if p.Transport == MapUDP {
		return 1
	}
	return 2
}

// appendPMP appends the request for a mapping of p, or, without lifetime, for
// its end.
func appendPMP(b []byte, p MappedPort, external uint16, lifetime time.Duration) []byte {
	b = append(b, 0, pmpOpcode(p), 0, 0)
	b = binary.BigEndian.AppendUint16(b, p.Port)
	b = binary.BigEndian.AppendUint16(b, external)
	return binary.BigEndian.AppendUint32(b, uint32(lifetime/time.Second))
}

// pmpResults are the refusals that RFC 6886 has names for.
var pmpResults = []string{"success", "unsupported version", "not authorised", "network failure", "no resources", "unsupported opcode"}

// pmpHead checks the head of an answer; length is that of a whole one.
func pmpHead(b []byte, opcode byte, length int) error {
	if len(b) >= 4 && b[0] != 0 {
		return errOtherwise
	}
	if len(b) < 4 || b[1] != opcode|pmpAnswer {
		return errUnexpected
	}
	switch result := binary.BigEndian.Uint16(b[2:]); {
	case result != 0 && int(result) < len(pmpResults):
		return fmt.Errorf("the router refuses: %s", pmpResults[result])
	case result != 0:
		return fmt.Errorf("the router refuses: result %d", result)
	case len(b) != length:
		return errUnexpected
	}
	return nil
}

// parsePMP reads the answer to a request for p.
func parsePMP(b []byte, p MappedPort) (lease, error) {
	if err := pmpHead(b, pmpOpcode(p), pmpMapLength); err != nil {
		return lease{}, err
	}
	if binary.BigEndian.Uint16(b[8:]) != p.Port {
		return lease{}, errUnexpected
	}
	return lease{
		MappedPort: p, life: time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second,
		external: netip.AddrPortFrom(netip.Addr{}, binary.BigEndian.Uint16(b[10:])),
	}, nil
}

// parsePMPAddress reads the answer to the question for the outer address.
func parsePMPAddress(b []byte) (netip.Addr, error) {
	if err := pmpHead(b, 0, pmpAddressLength); err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4([4]byte(b[8:])), nil
}
