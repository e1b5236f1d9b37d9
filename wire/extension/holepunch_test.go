package extension

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestHolepunch(t *testing.T) {
	four, six := netip.MustParseAddrPort("10.1.2.3:6881"), netip.MustParseAddrPort("[2001:db8::1]:51413")
	const four6 = "\x0a\x01\x02\x03\x1a\xe1"
	six18 := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\xc8\xd5"
	for _, l := range []struct {
		name string
		wire string
		want Holepunch
		same bool // it is written as it was read
	}{
		{"rendezvous", "\x00\x00" + four6 + "\x00\x00\x00\x00", Holepunch{Kind: Rendezvous, Addr: four}, true},
		{"rendezvous, IPv6", "\x00\x01" + six18 + "\x00\x00\x00\x00", Holepunch{Kind: Rendezvous, Addr: six}, true},
		{"connect", "\x01\x00" + four6 + "\x00\x00\x00\x00", Holepunch{Kind: Connect, Addr: four}, true},
		{"connect of libtorrent", "\x01\x00" + four6, Holepunch{Kind: Connect, Addr: four}, false},
		{"an error where there is none", "\x01\x00" + four6 + "\x00\x00\x00\x02", Holepunch{Kind: Connect, Addr: four}, false},
		{"error", "\x02\x00" + four6 + "\x00\x00\x00\x02", Holepunch{PunchFailed, four, NotConnected}, true},
		{"an error that is none", "\x02\x01" + six18 + "\xff\xff\xff\xff", Holepunch{PunchFailed, six, 0xffffffff}, true},
		{"more bytes", "\x02\x00" + four6 + "\x00\x00\x00\x04more", Holepunch{PunchFailed, four, NoSelf}, false},
		{"another kind", "\x09\x00" + four6, Holepunch{Kind: 9, Addr: four}, false},
		{"mapped into IPv6", "\x00\x01" + strings.Repeat("\x00", 10) + "\xff\xff" + four6, Holepunch{Kind: Rendezvous, Addr: four}, false},
	} {
		got, err := ParseHolepunch([]byte(l.wire))
		if err != nil || got != l.want {
			t.Errorf("%s: got %+v, %v; want %+v", l.name, got, err, l.want)
		}
		if l.same && string(got.Append(nil)) != l.wire {
			t.Errorf("%s: written as %q", l.name, got.Append(nil))
		}
	}
	for wire, want := range map[string]error{
		"": ErrLength, "\x00": ErrLength, "\x00\x00" + four6[:5]: ErrLength, "\x00\x01" + six18[:17]: ErrLength,
		"\x02\x00" + four6 + "\x00\x00\x00": ErrLength, "\x00\x02" + six18: ErrNumber,
	} {
		if h, err := ParseHolepunch([]byte(wire)); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", wire, h, err, want)
		}
	}
	for e, want := range map[PunchError]string{NoSuchPeer: "NoSuchPeer", NoSelf: "NoSelf", 0: "error 0", 5: "error 5", 1<<32 - 1: "error 4294967295"} {
		if e.String() != want {
			t.Errorf("%d is %q, want %q", uint32(e), e, want)
		}
	}
}

// FuzzHolepunch: nothing makes the parser panic, and what it took is written so
// that it is read as the same.
func FuzzHolepunch(f *testing.F) {
	f.Add([]byte("\x00\x00\x0a\x01\x02\x03\x1a\xe1\x00\x00\x00\x00"))
	f.Add([]byte("\x02\x01" + strings.Repeat("\x20", 18) + "\x00\x00\x00\x02"))
	f.Add([]byte("\x01\x00\x0a\x01\x02\x03\x1a\xe1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		given := bytes.Clone(b)
		h, err := ParseHolepunch(b)
		if !bytes.Equal(b, given) {
			t.Fatal("the payload was changed")
		}
		if err != nil {
			return
		}
		if h.Addr.Addr().Is4In6() {
			t.Fatalf("%v is mapped", h.Addr)
		}
		if again, err := ParseHolepunch(h.Append(nil)); err != nil || again != h {
			t.Fatalf("%+v is read again as %+v, %v", h, again, err)
		}
	})
}
