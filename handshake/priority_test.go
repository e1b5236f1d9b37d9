package handshake

import (
	"net/netip"
	"testing"
)

// TestPriority: the examples of BEP 40, and the same from either side.
func TestPriority(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want uint32
	}{
		{"123.213.32.10:1", "98.76.54.32:2", 0xec2d7224},
		{"123.213.32.10:1", "123.213.32.234:2", 0x99568189},
		{"123.213.32.10:1", "[2001:db8::1]:2", 0},
		{"123.213.32.10:1", ":0", 0},
	} {
		a, _ := netip.ParseAddrPort(c.a)
		b, _ := netip.ParseAddrPort(c.b)
		if got := Priority(a, b); got != c.want || Priority(b, a) != got {
			t.Errorf("%s and %s: %08x, and not %08x", c.a, c.b, got, c.want)
		}
	}
	at := netip.MustParseAddrPort
	// What is masked away makes no difference; what is not does.
	for _, c := range []struct {
		a, b, c string
		same    bool
	}{
		{"1.2.3.4:1", "9.9.1.1:1", "9.9.131.131:1", true},
		{"1.2.3.4:1", "9.9.1.1:1", "9.9.4.1:1", false},
		{"1.2.3.4:1", "1.2.9.1:1", "1.2.9.131:1", true},
		{"1.2.3.4:1", "1.2.9.1:1", "1.2.11.1:1", false},
		{"1.2.3.4:1", "1.2.3.5:1", "1.2.3.7:1", false},
		{"1.2.3.4:1", "1.2.3.4:2", "1.2.3.4:3", false},
		{"[1:2:3:4::1]:1", "[1:2:9:1::1]:1", "[1:2:9:83::83]:1", true},
		{"[1:2:3:4::1]:1", "[1:2:3:104::1]:1", "[1:2:3:106::1]:1", true},
		{"[1:2:3:4::1]:1", "[1:2:3:104::1]:1", "[1:2:3:304::1]:1", false},
		{"[1:2:3:4::1]:1", "[1:2:3:5::1]:1", "[1:2:3:7::1]:1", false},
	} {
		if (Priority(at(c.a), at(c.b)) == Priority(at(c.a), at(c.c))) != c.same {
			t.Errorf("%s with %s and with %s", c.a, c.b, c.c)
		}
	}
}

// TestRank: of what one source named at one time, the greatest is dialled first.
func TestRank(t *testing.T) {
	tt := &torrent{candidates: map[netip.AddrPort]*candidate{}}
	ranks := []uint32{3, 0, 9, 9, 1}
	for i, rank := range ranks {
		tt.offer(candidate{addr: addr(i + 1), source: DHT, rank: rank}, 10)
	}
	for _, want := range []int{3, 4, 1, 5, 2} {
		c, _ := tt.next(tt.waiting[0].due)
		if c == nil || c.addr != addr(want) {
			t.Fatalf("%+v is dialled, and not %v", c, addr(want))
		}
	}
}
