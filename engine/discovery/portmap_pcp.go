package discovery

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Port Control Protocol (RFC 6887): one request to the router's port 5351, one
// answer, both of fixed length but for options, which we neither send nor read.
//
//	header   version 2 · opcode, answers +128 · 16 bits · lifetime s · 96 bits
//	MAP      nonce (12) · protocol · 3 bytes · our port · outer port · outer address (16)

const (
	controlPort = 5351 // of PCP and of NAT-PMP
	pcpVersion  = 2
	pcpMap      = 1
	pcpAnswer   = 0x80 // added to the opcode
	pcpLength   = 60
)

// Bounds of one question over UDP: it is sent askTries times, askFirst apart at
// first and twice as long each time, and askAnswers answers are looked at.
const (
	askTries   = 3
	askFirst   = 250 * time.Millisecond
	askAnswers = 16
	askLongest = 1100 // bytes; the most that PCP allows
)

var (
	errSilent     = errors.New("no answer")
	errOtherwise  = errors.New("it speaks another protocol there")
	errUnexpected = errors.New("not an answer to what was asked")
)

// ask sends a question to the router until understood takes an answer, or says
// with another error than errUnexpected that none will come.
func ask(ctx context.Context, routers Routers, g Gateway, question []byte, understood func(answer []byte) error) error {
	conn, err := routers.DialGateway(ctx, g, controlPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	answer := make([]byte, askLongest)
	heard := 0
	for try := range askTries {
		if _, err := conn.Write(question); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(askFirst << try)); err != nil {
			return err
		}
		for ; heard < askAnswers; heard++ {
			n, err := conn.Read(answer)
			if wait, ok := err.(interface{ Timeout() bool }); ok && wait.Timeout() {
				break
			}
			if err != nil {
				return err // nobody is at the port, or ctx has ended
			}
			if err := understood(answer[:n]); !errors.Is(err, errUnexpected) {
				return err
			}
		}
	}
	if heard > 0 {
		return errUnexpected
	}
	return errSilent
}

// pcp maps ports with PCP. A mapping belongs to whoever knows its nonce.
type pcp struct {
	routers Routers
	mu      sync.Mutex
	nonces  map[MappedPort][12]byte
}

func newPCP(r Routers) *pcp { return &pcp{routers: r, nonces: map[MappedPort][12]byte{}} }

func (*pcp) String() string { return "PCP" }

func (c *pcp) nonce(p MappedPort) [12]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	nonce, known := c.nonces[p]
	if !known {
		rand.Read(nonce[:])
		c.nonces[p] = nonce
	}
	return nonce
}

func (c *pcp) open(ctx context.Context, g Gateway, p MappedPort, external uint16) (l lease, err error) {
	nonce := c.nonce(p)
	question := appendPCP(nil, g.Local, p, nonce, external, LeaseTime)
	err = ask(ctx, c.routers, g, question, func(answer []byte) (err error) {
		l, err = parsePCP(answer, p, nonce)
		return err
	})
	if err == nil && l.external.Port() == 0 {
		err = errUnexpected
	}
	return l, err
}

func (c *pcp) shut(ctx context.Context, g Gateway, l lease) error {
	nonce := c.nonce(l.MappedPort)
	return ask(ctx, c.routers, g, appendPCP(nil, g.Local, l.MappedPort, nonce, 0, 0), func(answer []byte) error {
		_, err := parsePCP(answer, l.MappedPort, nonce)
		return err
	})
}

// appendPCP appends the request for a mapping of p, or, without lifetime, for
// its end.
func appendPCP(b []byte, ours netip.Addr, p MappedPort, nonce [12]byte, external uint16, lifetime time.Duration) []byte {
	b = append(b, pcpVersion, pcpMap, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(lifetime/time.Second))
	client := ours.As16()
	b = append(b, client[:]...)
	b = append(b, nonce[:]...)
	b = append(b, byte(p.Transport), 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, p.Port)
	b = binary.BigEndian.AppendUint16(b, external)
	any := netip.IPv4Unspecified().As16() // any address outside, of IPv4
	return append(b, any[:]...)
}

// pcpResults are the refusals that RFC 6887 has names for.
var pcpResults = []string{"success", "unsupported version", "not authorised", "malformed request", "unsupported opcode",
	"unsupported option", "malformed option", "network failure", "no resources", "unsupported protocol",
	"quota exceeded", "cannot provide that port", "address mismatch", "excessive remote peers"}

// parsePCP reads the answer to a request for p.
func parsePCP(b []byte, p MappedPort, nonce [12]byte) (lease, error) {
	switch {
	case len(b) >= 2 && b[0] == 0: // NAT-PMP's way to say that it does not know the version
		return lease{}, errOtherwise
	case len(b) < 24 || len(b) > askLongest || b[0] != pcpVersion || b[1] != pcpMap|pcpAnswer:
		return lease{}, errUnexpected
	case b[3] == 1:
		return lease{}, errOtherwise
	case len(b) < pcpLength || [12]byte(b[24:36]) != nonce || b[36] != byte(p.Transport) || binary.BigEndian.Uint16(b[40:]) != p.Port:
		return lease{}, errUnexpected
	case int(b[3]) < len(pcpResults) && b[3] != 0:
		return lease{}, fmt.Errorf("the router refuses: %s", pcpResults[b[3]])
	case b[3] != 0:
		return lease{}, fmt.Errorf("the router refuses: result %d", b[3])
	}
	return lease{
		MappedPort: p, life: time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second,
		external: netip.AddrPortFrom(outside(netip.AddrFrom16([16]byte(b[44:60]))), binary.BigEndian.Uint16(b[42:])),
	}, nil
}

// outside is an address that a router says is its own outside, or no address.
func outside(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() {
		return netip.Addr{}
	}
	return ip
}
