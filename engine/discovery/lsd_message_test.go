package discovery

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

const aHash = "0123456789abcdef0123456789ABCDEF01234567"

var aHashBytes = [20]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67}

func TestSearchAppend(t *testing.T) {
	s := Search{Port: 6881, Infohashes: [][20]byte{aHashBytes, {}}, Cookie: "x"}
	want := "BT-SEARCH * HTTP/1.1\r\nHost: [ff15::efc0:988f]:6771\r\nPort: 6881\r\n" +
		"Infohash: 0123456789abcdef0123456789abcdef01234567\r\nInfohash: 0000000000000000000000000000000000000000\r\n" +
		"cookie: x\r\n\r\n\r\n"
	if got := string(s.Append(nil, lsdGroup6)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Infohashes, s.Port, s.Cookie = make([][20]byte, MaxSought), 65535, NewLSD(LSDConfig{}).cookie
	for _, group := range []netip.AddrPort{lsdGroup4, lsdGroup6} {
		b := s.Append(nil, group)
		if got, err := ParseSearch(b); err != nil || !reflect.DeepEqual(got, s) || len(b) > MaxSearch {
			t.Errorf("the longest message of ours (%d bytes) is read as %v, %v", len(b), got, err)
		}
	}
}

func TestParseSearch(t *testing.T) {
	one := Search{Port: 6881, Infohashes: [][20]byte{aHashBytes}}
	cookie := one
	cookie.Cookie = "1a2b"
	hash := "Infohash: " + aHash + "\r\n"
	whole := "Port: 6881\r\n" + hash + "\r\n"
	room := MaxSearch - len(searchLine) - len(whole) - len("X: \r\n")
	for text, want := range map[string]*Search{
		// libtorrent 2.0.8 · transmission 3.00 · aria2 1.36
		"Host: 239.192.152.143:6771\r\nPort: 6881\r\n" + hash + "cookie: 1a2b\r\n\r\n\r\n": &cookie,
		"Host: 239.192.152.143:6771\r\nPort: 6881\r\n" + hash + "\r\n\r\n":                 &one,
		whole: &one,
		"pORT:6881\r\ninfohASH:\t" + aHash + " \r\n\r\nwhatever follows":  &one,
		"Infohash: " + strings.ToLower(aHash) + "\r\nPort: 06881\r\n\r\n": &one,
		"X: " + strings.Repeat("x", room) + "\r\n" + whole:                &one,
		"X: " + strings.Repeat("x", room+1) + "\r\n" + whole:              nil,
		"no header\r\n" + whole:                                           &one,
		"":                                                                nil,
		"\r\n":                                                            nil,
		"Port: 6881\r\n\r\n":                                              nil,
		hash + "\r\n":                                                     nil,
		"Port: 6881\r\n" + hash:                                           nil, // no empty line
		"Port: 6881\n" + "Infohash: " + aHash + "\n\n":                    nil,
		"Port: 0\r\n" + hash + "\r\n":                                     nil,
		"Port: 65536\r\n" + hash + "\r\n":                                 nil,
		"Port: -1\r\n" + hash + "\r\n":                                    nil,
		"Port: +1\r\n" + hash + "\r\n":                                    nil,
		"Port: \r\n" + hash + "\r\n":                                      nil,
		"Port: 1\r\nPort: 2\r\n" + hash + "\r\n":                          nil,
		"Port: 1\r\nInfohash: " + aHash[1:] + "\r\n\r\n":                  nil,
		"Port: 1\r\nInfohash: " + aHash + "0\r\n\r\n":                     nil,
		"Port: 1\r\nInfohash: " + aHash[1:] + "g\r\n\r\n":                 nil,
		"Port: 1\r\nInfohash: \r\n" + hash + "\r\n":                       nil,
	} {
		got, err := ParseSearch([]byte(searchLine + text))
		if (err == nil) != (want != nil) || want != nil && !reflect.DeepEqual(got, *want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, line := range []string{"", "BT-SEARCH * HTTP/1.1", "BT-SEARCH * HTTP/1.0\r\n", "M-SEARCH * HTTP/1.1\r\n", "GET / HTTP/1.1\r\n"} {
		if _, err := ParseSearch([]byte(line + whole)); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}

func FuzzParseSearch(f *testing.F) {
	f.Add([]byte(searchLine + "Host: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: " + aHash + "\r\ncookie: 1a2b\r\n\r\n\r\n"))
	f.Add([]byte(searchLine + "Port: 1\r\nX\r\nInfohash: " + aHash + "\r\nInfohash: " + aHash + "\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSearch(b)
		if err != nil {
			return
		}
		if s.Port == 0 || len(s.Infohashes) == 0 || len(s.Infohashes) > MaxSearch/40 || len(s.Cookie) > MaxSearch {
			t.Fatalf("%q is read as %v", b, s)
		}
		s.Infohashes = s.Infohashes[:min(len(s.Infohashes), MaxSought)]
		again, err := ParseSearch(s.Append(nil, lsdGroup4))
		if len(s.Cookie) < 64 && (err != nil || fmt.Sprint(again) != fmt.Sprint(s)) {
			t.Fatalf("%v comes back as %v, %v", s, again, err)
		}
	})
}
