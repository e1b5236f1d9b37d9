package extension

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestPEX(t *testing.T) {
	four, six := netip.MustParseAddrPort("10.1.2.3:6881"), netip.MustParseAddrPort("[2001:db8::1]:51413")
	for _, l := range []struct {
		name string
		wire string
		want PEX
	}{
		{"nothing", "de", PEX{}},
		{"both families, with flags", "d5:added6:\x0a\x01\x02\x03\x1a\xe17:added.f1:\x126:added618:\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\xc8\xd58:added6.f1:\x02e",
			PEX{Added: []Exchanged{{four, Seeds | Reachable}, {six, Seeds}}}},
		{"without flags", "d5:added6:\x0a\x01\x02\x03\x1a\xe1e", PEX{Added: []Exchanged{{four, 0}}}},
		{"more flags than peers", "d5:added6:\x0a\x01\x02\x03\x1a\xe17:added.f3:\x01\x02\x03e", PEX{Added: []Exchanged{{four, PrefersEncryption}}}},
		{"dropped", "d7:dropped6:\x0a\x01\x02\x03\x1a\xe1e", PEX{Dropped: []netip.AddrPort{four}}},
		{"a list of a wrong length", "d5:added7:\x0a\x01\x02\x03\x1a\xe1\x007:dropped6:\x0a\x01\x02\x03\x1a\xe1e", PEX{Dropped: []netip.AddrPort{four}}},
		{"a list that is none", "d5:addedi6ee", PEX{}},
		{"mapped into IPv6", "d6:added618:" + strings.Repeat("\x00", 10) + "\xff\xff\x0a\x01\x02\x03\x1a\xe1e", PEX{Added: []Exchanged{{four, 0}}}},
	} {
		t.Run(l.name, func(t *testing.T) {
			got, err := ParsePEX([]byte(l.wire))
			if err != nil || !reflect.DeepEqual(got, l.want) {
				t.Fatalf("got %+v, %v; want %+v", got, err, l.want)
			}
			again, err := ParsePEX(got.Append(nil))
			if err != nil || !reflect.DeepEqual(again, l.want) {
				t.Errorf("written and read again: %+v, %v", again, err)
			}
		})
	}
	for name, wire := range map[string]string{
		"empty": "", "a list": "le", "cut": "d5:added6:\x0a\x01", "a key twice": "d5:added0:5:added0:e",
		"too long": "d1:a40000:" + strings.Repeat("x", 40000) + "e", "deep": "d1:a" + strings.Repeat("l", 50) + strings.Repeat("e", 50) + "e",
	} {
		if p, err := ParsePEX([]byte(wire)); err == nil {
			t.Errorf("%s: no error, %+v", name, p)
		}
	}
}

// TestPEXBound: of a list that is too long the first are taken.
func TestPEXBound(t *testing.T) {
	for _, n := range []int{MaxExchanged - 1, MaxExchanged, MaxExchanged + 1, 1000} {
		var p PEX
		for i := range n {
			p.Added = append(p.Added, Exchanged{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)})
		}
		got, err := ParsePEX(p.Append(nil))
		if want := min(n, MaxExchanged); err != nil || len(got.Added) != want || !reflect.DeepEqual(got.Added, p.Added[:want]) {
			t.Errorf("of %d peers %d are taken, want %d: %v", n, len(got.Added), want, err)
		}
	}
}

func FuzzParsePEX(f *testing.F) {
	f.Add([]byte("d5:added6:\x0a\x01\x02\x03\x1a\xe17:added.f1:\x127:dropped6:\x0a\x01\x02\x03\x1a\xe1e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePEX(b)
		if err != nil {
			return
		}
		if len(p.Added) > 2*MaxExchanged || len(p.Dropped) > 2*MaxExchanged {
			t.Fatalf("%d added, %d dropped", len(p.Added), len(p.Dropped))
		}
		again, err := ParsePEX(p.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Append(nil), p.Append(nil)) {
			t.Fatalf("%+v became %+v", p, again)
		}
	})
}
