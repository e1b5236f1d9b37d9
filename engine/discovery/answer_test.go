package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func addrs(ss ...string) (out []netip.AddrPort) {
	for _, s := range ss {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// str is s as a bencoded string.
func str(s string) string { return fmt.Sprintf("%d:%s", len(s), s) }

func TestParseAnswerPeers(t *testing.T) {
	const v6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for name, c := range map[string]struct {
		body string
		want []netip.AddrPort
	}{
		"compact":             {"d8:intervali1800e5:peers" + str("\x01\x02\x03\x04\x1a\xe1\x05\x06\x07\x08\x1a\xe2") + "e", addrs("1.2.3.4:6881", "5.6.7.8:6882")},
		"compact and peers6":  {"d5:peers" + str("\x01\x02\x03\x04\x1a\xe1") + "6:peers6" + str(v6+"\x1a\xe1") + "e", addrs("1.2.3.4:6881", "[2001:db8::1]:6881")},
		"keys out of order":   {"d6:peers6" + str(v6+"\x1a\xe1") + "5:peers" + str("\x01\x02\x03\x04\x1a\xe1") + "e", addrs("[2001:db8::1]:6881", "1.2.3.4:6881")},
		"dictionaries":        {"d5:peersld2:ip7:1.2.3.47:peer id20:abcdefghijabcdefghij4:porti6881eed2:ip11:2001:db8::14:porti1eeee", addrs("1.2.3.4:6881", "[2001:db8::1]:1")},
		"mapped IPv4":         {"d5:peersld2:ip14:::ffff:1.2.3.44:porti6881eeee", addrs("1.2.3.4:6881")},
		"five bytes":          {"d8:intervali1800e5:peers5:abcdee", nil},
		"a tail":              {"d5:peers" + str("\x01\x02\x03\x04\x1a\xe1xxx") + "6:peers6" + str(v6+"\x1a\xe1xxxxx") + "e", addrs("1.2.3.4:6881", "[2001:db8::1]:6881")},
		"none":                {"d8:intervali1800e5:peers0:e", nil},
		"no key of peers":     {"d8:intervali1800ee", nil},
		"bad dictionaries":    {"d8:intervali1800e5:peersld2:ipi1eed2:ip3:abc4:porti99999eed4:porti1eed2:ip7:1.2.3.44:port2:80ei7e0:led2:ip7:1.2.3.44:porti-1eed2:ip7:9.9.9.94:porti80eeee", addrs("9.9.9.9:80")},
		"a host name":         {"d5:peersld2:ip9:localhost4:porti80eeee", nil},
		"a zone":              {"d5:peersld2:ip9:fe80::1%14:porti80eeee", addrs("[fe80::1]:80")},
		"not addresses":       {"d5:peers" + str("\x00\x00\x00\x00\x1a\xe1"+"\xff\xff\xff\xff\x1a\xe1"+"\xe0\x00\x00\x01\x1a\xe1"+"\x01\x02\x03\x04\x00\x00") + "e", nil},
		"peers6 is an int":    {"d5:peers0:6:peers6i1ee", nil},
		"a line after it":     {"d5:peers" + str("\x01\x02\x03\x04\x1a\xe1") + "e\r\n", addrs("1.2.3.4:6881")},
		"external ip bad":     {"d11:external ip3:abc5:peers0:e", nil},
		"interval is a text":  {"d8:interval4:18005:peers" + str("\x01\x02\x03\x04\x1a\xe1") + "e", addrs("1.2.3.4:6881")},
		"failure is a number": {"d14:failure reasoni1ee", nil}, // still a failure, see below
	} {
		t.Run(name, func(t *testing.T) {
			a, err := ParseAnswer([]byte(c.body))
			var refusal *Failure
			if err != nil && !errors.As(err, &refusal) {
				t.Fatal(err)
			}
			if !slices.Equal(a.Peers, c.want) {
				t.Errorf("peers %v, want %v", a.Peers, c.want)
			}
		})
	}
}

func TestParseAnswerErrors(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"empty":          {"", "it is empty"},
		"only a newline": {"\n", "it is empty"},
		"web page":       {"<html>502</html>", "not bencoded, but a web page"},
		"text":           {"Forbidden", "not bencoded"},
		"a list":         {"l1:ae", "not a dictionary"},
		"peers int":      {"d5:peersi1ee", "neither a string nor a list"},
		"peers dict":     {"d5:peersdee", "neither a string nor a list"},
		"cut short":      {"d14:failure reason1000000:", "not bencoded"},
		"id of 1 MB":     {"d10:tracker id1000000:", "not bencoded"},
		"peers of 6 MB":  {"d8:intervali1800e5:peers6000000:", "not bencoded"},
		"nested":         {strings.Repeat("l", 100000), "not bencoded"},
		"2^63":           {"d8:intervali9223372036854775808ee", "not bencoded"},
		"failure":        {"d14:failure reason9:forbiddene", "the tracker says: forbidden"},
		"failure twice":  {"d14:failure reason1:a14:failure reason1:be", "not bencoded"},
		"escapes":        {"d14:failure reason9:\x1b[2J\x1b]0;ae", "the tracker says: [2J]0;a"},
		"turned around":  {"d14:failure reason" + str("a\u202eb\u0000c\nd\xff") + "e", "the tracker says: abc d\ufffd"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseAnswer([]byte(c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	_, err := ParseAnswer([]byte("d14:failure reason" + str(strings.Repeat("ä", 500_000)) + "e"))
	var refusal *Failure
	if !errors.As(err, &refusal) || utf8.RuneCountInString(refusal.Reason) != MaxText {
		t.Errorf("a failure of 1 MB is shown in %d characters", utf8.RuneCountInString(err.Error()))
	}
}

func TestParseAnswerBounds(t *testing.T) {
	for n, want := range map[string]time.Duration{
		"0": NoInterval, "-5": NoInterval, "-9223372036854775808": NoInterval,
		"1": MinInterval, "59": MinInterval, "60": MinInterval, "61": 61 * time.Second,
		"1800": 30 * time.Minute, "86400": MaxInterval, "86401": MaxInterval,
		"4611686018427387904": MaxInterval, "9223372036854775807": MaxInterval,
	} {
		a, err := ParseAnswer([]byte("d8:intervali" + n + "e12:min intervali" + n + "e5:peers0:e"))
		if err != nil || a.Interval != want {
			t.Errorf("interval %s is %v (%v), want %v", n, a.Interval, err, want)
		}
		if a.MinInterval < 0 || a.MinInterval > MaxInterval {
			t.Errorf("min interval %s is %v", n, a.MinInterval)
		}
	}
	for length, kept := range map[int]int{0: 0, 1: 1, MaxTrackerID: MaxTrackerID, MaxTrackerID + 1: 0, 1_000_000: 0} {
		a, err := ParseAnswer([]byte("d5:peers0:10:tracker id" + str(strings.Repeat("x", length)) + "e"))
		if err != nil || len(a.TrackerID) != kept {
			t.Errorf("a tracker id of %d bytes: kept %d (%v), want %d", length, len(a.TrackerID), err, kept)
		}
	}
	for peers, kept := range map[int]int{MaxPeers: MaxPeers, MaxPeers + 1: MaxPeers, 100_000: MaxPeers} {
		var b []byte
		for i := range peers {
			b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(b, 0x01000000+uint32(i)), 6881)
		}
		a, err := ParseAnswer([]byte("d5:peers" + str(string(b)) + "e"))
		if err != nil || len(a.Peers) != kept {
			t.Errorf("%d peers: %d kept (%v), want %d", peers, len(a.Peers), err, kept)
		}
	}
	a, err := ParseAnswer([]byte("d8:completei7e10:incompletei-1e5:peers0:15:warning message2:hie"))
	if err != nil || a.Seeders != 7 || a.Leechers != 0 || a.Warning != "hi" {
		t.Errorf("figures %+v, %v", a, err)
	}
}

func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{
		"", "<html>502</html>", "l1:ae", "d14:failure reason9:forbiddene",
		"d14:failure reason9:\x1b[2J\x1b]0;ae", "d8:intervali0e5:peers0:e", "d8:intervali-5e5:peers0:e",
		"d8:intervali4611686018427387904e5:peers0:e", "d8:intervali1800e5:peers5:abcdee",
		"d8:intervali1800e5:peersld2:ipi1eed2:ip3:abc4:porti99999eed4:porti1eeee",
		"d5:peersi1ee", "d15:warning message2:hi5:peers0:e", "d10:tracker id1000000:",
		"d5:peers6:abcdef6:peers618:abcdefghijklmnopqre",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseAnswer(body)
		if err != nil {
			if len(err.Error()) > 4*MaxText+100 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if a.Interval < MinInterval || a.Interval > MaxInterval || a.MinInterval < 0 || a.MinInterval > MaxInterval {
			t.Fatalf("intervals %v %v", a.Interval, a.MinInterval)
		}
		if len(a.Peers) > MaxPeers || len(a.TrackerID) > MaxTrackerID || utf8.RuneCountInString(a.Warning) > MaxText {
			t.Fatalf("%d peers, id of %d bytes, warning %q", len(a.Peers), len(a.TrackerID), a.Warning)
		}
		for _, p := range a.Peers {
			if !p.IsValid() || p.Port() == 0 || p.Addr().IsUnspecified() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
				t.Fatalf("peer %v", p)
			}
		}
		if strings.ContainsFunc(a.Warning, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Fatalf("warning %q", a.Warning)
		}
	})
}

// TestExternalAddress: what a tracker says of our address (BEP 24) is told on,
// and nothing that is no address.
func TestExternalAddress(t *testing.T) {
	for body, want := range map[string]string{
		"d11:external ip4:\x01\x02\x03\x04e":  "1.2.3.4",
		"d11:external ip16:0123456789abcdefe": "3031:3233:3435:3637:3839:6162:6364:6566",
		"d11:external ip3:abce":               "invalid IP",
		"d11:external ipi7ee":                 "invalid IP",
		"de":                                  "invalid IP",
	} {
		if a, err := ParseAnswer([]byte(body)); err != nil || a.Us.String() != want {
			t.Errorf("%q: %v, %v", body, a.Us, err)
		}
	}
	var told []string
	c := Config{Peers: nobody, Us: func(tracker, us netip.Addr) { told = append(told, fmt.Sprint(tracker, us)) }, Tiers: [][]string{{"http://a/"}}}
	trackers := NewTrackers(c)
	tr := trackers.tiers[0][0]
	trackers.settle(outcome{&trial{of: tr}, Answer{Us: us.Addr()}, nil})
	trackers.settle(outcome{&trial{of: tr}, Answer{Us: us.Addr(), From: them.Addr()}, nil})
	if fmt.Sprint(told) != "[20.0.0.9 20.0.0.1]" {
		t.Errorf("told: %v", told)
	}
	d := &DHT{nodes: [2]*dhtNode{newDHTNode(false), nil}}
	d.Us(them.Addr(), us.Addr())
	d.Us(them.Addr(), netip.MustParseAddr("2a00::1"))
	if got := d.nodes[0].gate.votes.by.in[them.Addr()]; got != us.Addr() {
		t.Errorf("voted: %v", got)
	}
}
