package engine

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a block list.
const (
	// MaxBlocklist is the most bytes of a list, unpacked.
	MaxBlocklist = 128 << 20
	// MaxBlocked is the most ranges of a list. The longest in use have 700,000.
	MaxBlocked = 4 << 20
	// longestBlockLine is the longest line in bytes that is read; a longer one
	// is skipped.
	longestBlockLine = 4 << 10
)

// ErrBlocked is that an address is on the user's block list.
var ErrBlocked = errors.New("the address is on the block list")

// Blocklist is a set of addresses that no peer may have. Its methods may be
// called from any goroutine.
type Blocklist struct {
	ranges  []addrRange // sorted, apart from each other; IPv4 first
	skipped int         // lines that say nothing
}

// addrRange is the addresses from first to last, both of one family.
type addrRange struct{ first, last netip.Addr }

// ParseBlocklist reads a list, packed with gzip or not. A line is one of
//
//	name:1.2.3.0-1.2.3.255                     PeerGuardian (P2P)
//	1.2.3.0-1.2.3.255
//	001.002.003.000 - 001.002.003.255 , 000 , name    eMule; from level 128 on: allowed
//	1.2.3.0/24, 2001:db8::/32, 1.2.3.4         CIDR
//
// Empty lines and those that begin with # or ; are comments. A line that is
// none of these is skipped and counted; a list in which all are is refused.
func ParseBlocklist(r io.Reader) (*Blocklist, error) { return parseBlocklist(r, MaxBlocklist) }

// parseBlocklist is ParseBlocklist with a bound in bytes.
func parseBlocklist(r io.Reader, most int64) (*Blocklist, error) {
	in := bufio.NewReaderSize(r, longestBlockLine)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("the block list cannot be unpacked: %w", err)
		}
		in = bufio.NewReaderSize(z, longestBlockLine)
	}
	b := &Blocklist{}
	left := most
	for {
		line, err := in.ReadSlice('\n')
		left -= int64(len(line))
		if left < 0 || len(b.ranges) > MaxBlocked {
			return nil, fmt.Errorf("the block list is too long: at most %d MiB and %d ranges are read", most>>20, MaxBlocked)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			b.skipped++
			err = skipLine(in, &left)
		} else {
			b.add(strings.TrimSpace(string(line)))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the block list cannot be read: %w", err)
		}
	}
	if len(b.ranges) == 0 && b.skipped > 0 {
		return nil, fmt.Errorf("this is no block list: none of its %d lines names an address", b.skipped)
	}
	b.merge()
	return b, nil
}

// skipLine reads on to the end of a line that is too long.
func skipLine(in *bufio.Reader, left *int64) error {
	for *left > 0 {
		rest, err := in.ReadSlice('\n')
		*left -= int64(len(rest))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	return nil
}

// add takes one line.
func (b *Blocklist) add(line string) {
	if line == "" || line[0] == '#' || line[0] == ';' {
		return
	}
	r, ok := parseBlocked(line)
	switch {
	case !ok:
		b.skipped++
	case r.first.IsValid():
		b.ranges = append(b.ranges, r)
	}
}

// parseBlocked parses a line. One that allows an address is the zero range.
func parseBlocked(line string) (r addrRange, ok bool) {
	if fields := strings.Split(line, ","); len(fields) >= 2 {
		if level, err := strconv.Atoi(strings.TrimSpace(fields[1])); err == nil && level > 127 {
			return addrRange{}, true
		} else if err == nil {
			line = strings.TrimSpace(fields[0])
		}
	}
	if p, err := netip.ParsePrefix(line); err == nil {
		return spanOf(p), true
	}
	if a, ok := parseAddr(line); ok {
		return addrRange{a, a}, true
	}
	dash := strings.LastIndexByte(line, '-')
	if dash < 0 {
		return addrRange{}, false
	}
	last, ok := parseAddr(line[dash+1:])
	if !ok {
		return addrRange{}, false
	}
	// Before the dash is an address, perhaps behind a name and a colon; a name
	// may have colons, and so has an IPv6 address: the longest one counts.
	from := line[:dash]
	for {
		if first, ok := parseAddr(from); ok && first.BitLen() == last.BitLen() {
			return addrRange{first, last}, first.Compare(last) <= 0
		}
		_, rest, more := strings.Cut(from, ":")
		if !more {
			return addrRange{}, false
		}
		from = rest
	}
}

// spanOf is the addresses of a prefix.
func spanOf(p netip.Prefix) addrRange {
	p = p.Masked()
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return addrRange{p.Addr(), end}
}

// parseAddr parses an address. The old lists write IPv4 with leading zeros.
func parseAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	var four [4]byte
	octets := strings.Split(s, ".")
	if len(octets) != 4 {
		return netip.Addr{}, false
	}
	for i, o := range octets {
		n, err := strconv.ParseUint(o, 10, 8)
		if err != nil || len(o) > 3 {
			return netip.Addr{}, false
		}
		four[i] = byte(n)
	}
	return netip.AddrFrom4(four), true
}

// merge sorts the ranges and joins those that overlap.
func (b *Blocklist) merge() {
	slices.SortFunc(b.ranges, func(x, y addrRange) int { return x.first.Compare(y.first) })
	merged := b.ranges[:0]
	for _, r := range b.ranges {
		if n := len(merged); n > 0 && merged[n-1].last.BitLen() == r.first.BitLen() && merged[n-1].last.Compare(r.first) >= 0 {
			if merged[n-1].last.Less(r.last) {
				merged[n-1].last = r.last
			}
			continue
		}
		merged = append(merged, r)
	}
	b.ranges = slices.Clip(merged)
}

// Has reports whether ip is blocked. A nil list blocks nobody.
func (b *Blocklist) Has(ip netip.Addr) bool {
	if b == nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	i, found := slices.BinarySearchFunc(b.ranges, ip, func(r addrRange, a netip.Addr) int { return r.first.Compare(a) })
	return found || i > 0 && b.ranges[i-1].last.BitLen() == ip.BitLen() && b.ranges[i-1].last.Compare(ip) >= 0
}

// Len is the number of ranges; Skipped is the number of lines that said
// nothing.
func (b *Blocklist) Len() int { return len(b.ranges) }

// Skipped: see Len.
func (b *Blocklist) Skipped() int { return b.skipped }
