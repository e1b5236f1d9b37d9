package engine

import (
	"net/netip"
	"path"
	"strings"
)

// localPrefixes are the networks whose addresses mean something only here: to
// this machine, to its site or to its provider. What the world says must not
// make us speak to them.
var localPrefixes = prefixes(
	"0.0.0.0/8",      // this host (RFC 1122); Linux connects it to itself
	"10.0.0.0/8",     // private (RFC 1918)
	"100.64.0.0/10",  // shared behind a provider's NAT (RFC 6598)
	"127.0.0.0/8",    // loopback
	"169.254.0.0/16", // link-local; the metadata services of clouds
	"172.16.0.0/12",  // private
	"192.0.0.0/24",   // protocol assignments (RFC 6890)
	"192.168.0.0/16", // private
	"198.18.0.0/15",  // benchmarks of network devices (RFC 2544)
	"224.0.0.0/4",    // multicast
	"240.0.0.0/4",    // reserved, and broadcast
	"::/128",         // unspecified
	"::1/128",        // loopback
	"64:ff9b:1::/48", // NAT64 of a site (RFC 8215)
	"100::/64",       // discard-only (RFC 6666)
	"fc00::/7",       // unique local (RFC 4193)
	"fe80::/10",      // link-local
	"fec0::/10",      // site-local (deprecated, still routed by some)
	"ff00::/8",       // multicast
)

// embedding are IPv6 networks whose addresses carry an IPv4 address, and the
// byte where it begins: a gateway would take us to that one.
var embedding = []struct {
	netip.Prefix
	at int
}{
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible (deprecated)
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64 (RFC 6052)
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4 (RFC 3056)
}

// Local reports whether ip means this machine or its neighbourhood: loopback,
// private, link-local, unique local, shared, multicast, unspecified and
// reserved addresses, plain or inside an IPv6 address. An invalid address is
// local.
func Local(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return true
	}
	for _, p := range localPrefixes {
		if p.Contains(ip) {
			return true
		}
	}
	for _, e := range embedding {
		if e.Contains(ip) {
			b := ip.As16()
			return Local(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return false
}

// credible reports whether an address that from named may be dialled: nobody
// in the world may point us at our neighbourhood, and nobody there at this
// machine.
func credible(a netip.AddrPort, from netip.Addr) bool {
	ip := a.Addr().Unmap()
	from = from.Unmap()
	switch {
	case a.Port() == 0 || !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || thisHost.Contains(ip) || ip == broadcast:
		return false
	case !Local(ip) || from.IsLoopback():
		return true
	case ip.IsLoopback():
		return false
	case ip.IsLinkLocalUnicast():
		return from.IsLinkLocalUnicast()
	}
	return Local(from)
}

var (
	thisHost  = netip.MustParsePrefix("0.0.0.0/8")
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// announcePath reports whether a URL path, escaped as it goes on the wire, is
// one that trackers use: its last element is "announce", with or without a
// short extension. A torrent may name a tracker on a local address, but with
// such a path only: it must not be able to press the buttons of a printer or
// of another program's web page.
func announcePath(escaped string) bool {
	name, ext, _ := strings.Cut(path.Base(escaped), ".")
	if strings.HasSuffix(escaped, "/") || name != "announce" || len(ext) > 4 {
		return false
	}
	for _, c := range ext {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

func prefixes(ss ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}
