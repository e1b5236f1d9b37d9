package extension

import (
	"encoding/binary"
	"net/netip"

	"bipfs/wire/bencode"
)

// UTPex is the name of peer exchange (BEP 11).
const UTPex = "ut_pex"

// MaxExchanged is how many addresses of one family are taken from one list of a
// message: more than the 50 that BEP 11 allows a peer to send, as some clients
// do at first. The rest is left out.
const MaxExchanged = 100

// pexLimits fit the six strings of a message, and what may be added to them.
var pexLimits = bencode.Limits{Depth: 4, Items: 64, Trailing: true}

// PeerFlags is what the sender of a PEX says of a peer (BEP 11).
type PeerFlags uint8

// The flags.
const (
	PrefersEncryption PeerFlags = 1 << iota
	Seeds                       // it has everything, or only uploads
	SpeaksUTP
	SpeaksHolepunch
	Reachable // the sender has dialled it
)

// Exchanged is one peer of a PEX.
type Exchanged struct {
	Addr  netip.AddrPort // never an IPv4 address mapped into IPv6
	Flags PeerFlags
}

// PEX is a message of ut_pex (BEP 11): whom the sender has connected to, and
// whom it has left, since its last one.
type PEX struct {
	Added   []Exchanged
	Dropped []netip.AddrPort
}

// ParsePEX parses the payload of a ut_pex message. It keeps nothing of b. A
// list whose length is no multiple of an address's is as if it had not been
// sent, and so are flags that are missing.
func ParsePEX(b []byte) (PEX, error) {
	if _, err := dictionary(b, pexLimits); err != nil {
		return PEX{}, err
	}
	var lists [6][]byte // by the order of pexKeys
	for key, v := range bencode.Dictionary(b) {
		for i, name := range pexKeys {
			if string(key) == name {
				lists[i], _ = bencode.String(v)
			}
		}
	}
	var p PEX
	p.Added = appendExchanged(p.Added, lists[0], lists[1], 4)
	p.Added = appendExchanged(p.Added, lists[2], lists[3], 16)
	for _, e := range append(appendExchanged(nil, lists[4], nil, 4), appendExchanged(nil, lists[5], nil, 16)...) {
		p.Dropped = append(p.Dropped, e.Addr)
	}
	return p, nil
}

// pexKeys are the keys of a message, in the order of bencode.
var pexKeys = [6]string{"added", "added.f", "added6", "added6.f", "dropped", "dropped6"}

// appendExchanged appends the peers of a list of compact addresses (BEP 23).
func appendExchanged(out []Exchanged, list, flags []byte, size int) []Exchanged {
	each := size + 2
	if len(list)%each != 0 {
		return out
	}
	for i := range min(len(list)/each, MaxExchanged) {
		at := list[i*each:]
		ip, _ := netip.AddrFromSlice(at[:size])
		e := Exchanged{Addr: netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(at[size:]))}
		if i < len(flags) {
			e.Flags = PeerFlags(flags[i])
		}
		out = append(out, e)
	}
	return out
}

// Append appends the message as a payload to b: keys in order, empty lists
// included, as some clients expect the first two.
func (p PEX) Append(b []byte) []byte {
	var lists [6][]byte
	for _, e := range p.Added {
		i := family(e.Addr)
		lists[i] = appendCompact(lists[i], e.Addr)
		lists[i+1] = append(lists[i+1], byte(e.Flags))
	}
	for _, a := range p.Dropped {
		i := 4 + family(a)/2
		lists[i] = appendCompact(lists[i], a)
	}
	b = append(b, 'd')
	for i, key := range pexKeys {
		b = bencode.AppendString(b, key)
		b = bencode.AppendString(b, string(lists[i]))
	}
	return append(b, 'e')
}

// family is 0 for an IPv4 address, 2 for IPv6.
func family(a netip.AddrPort) int {
	if a.Addr().Unmap().Is4() {
		return 0
	}
	return 2
}

func appendCompact(b []byte, a netip.AddrPort) []byte {
	b = append(b, a.Addr().Unmap().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}
