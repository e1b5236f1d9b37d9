package engine

import (
	"errors"
	"net/netip"
	"net/url"
	"testing"
)

// TestDialTracker: the rule on local addresses is that of HTTP trackers, and a
// family keeps to itself.
func TestDialTracker(t *testing.T) {
	n := network(NetworkConfig{})
	n.local = func(ip netip.Addr) bool { return ip != netip.MustParseAddr("127.0.0.3") }
	for _, c := range []struct {
		family  Family
		tracker string
		refused error // nil: allowed; errAny: any
	}{
		{IPv4, "udp://127.0.0.1:6969/announce", nil},
		{IPv4, "udp://127.0.0.1:6969/x/announce?key=1", nil},
		{IPv4, "udp://127.0.0.1:6969", ErrLocalAddress},
		{IPv4, "udp://127.0.0.1:6969/announce/", ErrLocalAddress},
		{IPv4, "udp://0.0.0.0:6969", ErrLocalAddress},
		{IPv4, "udp://127.0.0.3:6969", nil},
		{IPv6, "udp://[::1]:6969", ErrLocalAddress},
		{IPv6, "udp://127.0.0.1:6969/announce", errAny},
		{IPv4, "udp://[::1]:6969/announce", errAny},
		{IPv4, "udp://127.0.0.1:0/announce", errAny},
		{IPv4, "udp://127.0.0.1/announce", errAny},
		{IPv4, "udp://b\u00fccher.example:1/announce", ErrNotASCII},
	} {
		u, err := url.Parse(c.tracker)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := n.DialTracker(t.Context(), c.family, u)
		switch {
		case err == nil:
			conn.Close()
			if c.refused != nil {
				t.Errorf("%s over %d: allowed", c.tracker, c.family)
			}
		case c.refused != errAny && !errors.Is(err, c.refused), c.refused == nil:
			t.Errorf("%s over %d: %v, want %v", c.tracker, c.family, err, c.refused)
		}
	}
}

var errAny = errors.New("any")
