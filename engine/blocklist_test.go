package engine

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestBlocklist(t *testing.T) {
	const list = `# a comment
; another
Bad people, Inc.:1.2.3.0-1.2.3.255
A name: with colons:5.6.7.8-5.6.7.9

9.9.9.9-9.9.9.10
010.020.030.000 - 010.020.030.255 , 000 , eMule
010.020.031.000 - 010.020.031.255 , 128 , allowed
11.0.0.0/8
11.5.0.0/16
12.1.1.1
2001:db8::/32
six:2a00::1-2a00::5
::ffff:13.0.0.0/104
20.0.0.5-20.0.0.1
nonsense
1.2.3-4
`
	b, err := ParseBlocklist(strings.NewReader(list))
	if err != nil || b.Skipped() != 3 || b.Len() != 9 {
		t.Fatalf("%d ranges, %d lines skipped, %v: %v", b.Len(), b.Skipped(), b.ranges, err)
	}
	for _, ip := range strings.Fields(`1.2.3.0 1.2.3.255 5.6.7.8 5.6.7.9 9.9.9.9 9.9.9.10 10.20.30.0 10.20.30.255
		11.0.0.0 11.5.1.1 11.255.255.255 12.1.1.1 13.0.0.0 13.255.255.255 ::ffff:12.1.1.1
		2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2a00::1 2a00::5 2a00::3%eth0`) {
		if !b.Has(netip.MustParseAddr(ip)) {
			t.Errorf("%s is not blocked", ip)
		}
	}
	for _, ip := range strings.Fields(`1.2.2.255 1.2.4.0 5.6.7.7 5.6.7.10 9.9.9.8 9.9.9.11 10.20.31.1 10.255.255.255 12.0.0.0 12.1.1.2
		14.0.0.0 0.0.0.0 255.255.255.255 2001:db7:: 2001:db9:: 2a00:: 2a00::6 :: 20.0.0.1`) {
		if b.Has(netip.MustParseAddr(ip)) {
			t.Errorf("%s is blocked", ip)
		}
	}
	if (*Blocklist)(nil).Has(netip.MustParseAddr("1.2.3.4")) {
		t.Error("no list blocks somebody")
	}
}

func TestBlocklistRefused(t *testing.T) {
	bomb := new(bytes.Buffer)
	z := gzip.NewWriter(bomb)
	for range 3 {
		z.Write(bytes.Repeat([]byte("1.2.3.4\n"), 1<<17))
	}
	z.Close()
	for name, list := range map[string]string{
		"HTML":             "<html>\n<body>404</body>\n",
		"a cut gzip":       "\x1f\x8b\x08\x00",
		"a gzip bomb":      bomb.String(),
		"one endless line": strings.Repeat("x", 1<<20+1),
		"too many bytes":   strings.Repeat("# comment\n", 1<<20/10+1),
	} {
		if b, err := parseBlocklist(strings.NewReader(list), 1<<20); err == nil {
			t.Errorf("%s: %d ranges", name, b.Len())
		}
	}
	for name, list := range map[string]string{"empty": "", "comments": "# nothing\n", "no newline": "1.2.3.4", "a long line": strings.Repeat("x", 1<<16) + "\n1.2.3.4\n"} {
		if _, err := ParseBlocklist(strings.NewReader(list)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBlocklistGzip(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for i := range 100_000 {
		fmt.Fprintf(z, "org %d:%d.%d.%d.0-%d.%d.%d.127\n", i, i>>16+1, i>>8&255, i&255, i>>16+1, i>>8&255, i&255)
	}
	z.Close()
	b, err := ParseBlocklist(&packed)
	if err != nil || b.Len() != 100_000 {
		t.Fatal(err)
	}
	if !b.Has(netip.MustParseAddr("1.255.255.127")) || b.Has(netip.MustParseAddr("1.255.255.128")) {
		t.Error("the ranges are wrong")
	}
}

func FuzzBlocklist(f *testing.F) {
	f.Add([]byte("a:1.2.3.4-1.2.3.5\n2001:db8::/32\n001.002.003.004 - 1.2.3.9 , 0 , x\n"), []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, list, ip []byte) {
		b, err := ParseBlocklist(bytes.NewReader(list))
		if err != nil {
			return
		}
		for i, r := range b.ranges {
			if r.last.Less(r.first) || !b.Has(r.first) || !b.Has(r.last) || i > 0 && !b.ranges[i-1].last.Less(r.first) {
				t.Fatalf("range %d of %v", i, b.ranges)
			}
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			want := false
			for _, r := range b.ranges {
				u := a.Unmap()
				want = want || r.first.BitLen() == u.BitLen() && r.first.Compare(u) <= 0 && u.Compare(r.last) <= 0
			}
			if b.Has(a) != want {
				t.Fatalf("%v: %v, want %v", a, b.Has(a), want)
			}
		}
	})
}
