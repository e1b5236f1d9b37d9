package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLSDMessage(t *testing.T) {
	b := lsdMessage(LSDGroup6, 6881, idOf(0xab), "me")
	want := "BT-SEARCH * HTTP/1.1\r\nHost: [ff15::efc0:988f]:6771\r\nPort: 6881\r\nInfohash: " + strings.Repeat("AB", 20) + "\r\ncookie: me\r\n\r\n\r\n"
	if string(b) != want {
		t.Errorf("%q", b)
	}
	if m, ok := parseLSD(b); !ok || fmt.Sprint(m) != fmt.Sprint(lsdSaid{6881, [][20]byte{idOf(0xab)}, "me"}) {
		t.Errorf("%+v, %v", m, ok)
	}
	const head, hash = "BT-SEARCH * HTTP/1.1\r\n", "infohash:abababababababababababababababababababab\r\n"
	for text, want := range map[string]int{
		head + "PORT:1\r\n" + hash + hash + "\r\n":                   2,
		head + "Port: 1\r\n" + hash + "Infohash: zz\r\n":             1,
		head + "Port: 1\r\n" + strings.Repeat("Infohash:00\r\n", 20): 0,
		head + "Port: 1\r\n" + strings.Repeat(hash, maxLSDIDs-7):     maxLSDIDs - 7,
		head + "Port: 0\r\n" + hash:                                  0,
		head + "Port: 65536\r\n" + hash:                              0,
		head + "Port: -1\r\n" + hash:                                 0,
		head + hash:                                                  0,
		head:                                                         0,
		"":                                                           0,
		"M-SEARCH * HTTP/1.1\r\nPort: 1\r\n" + hash:                  0,
		head + "Port: 1\r\n" + hash + strings.Repeat(" ", MaxLSD): 0,
	} {
		if m, ok := parseLSD([]byte(text)); ok != (want > 0) || ok && len(m.infohashes) != want {
			t.Errorf("%.60q: %d, %v", text, len(m.infohashes), ok)
		}
	}
}

// TestLSD: two that look for one torrent hear of each other; what is not for
// us, or too much, changes nothing.
func TestLSD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newPacketNet(time.Millisecond)
		a, b := net.listen("10.0.0.1:6771"), net.listen("10.0.0.2:6771")
		var mu sync.Mutex
		var heard []string
		one := NewLSD(LSDConfig{Sockets: []LSDSocket{{a, b.addr}, {net.listen("10.0.0.3:6771"), a.addr}}, Port: 7001,
			Found: func([20]byte, netip.AddrPort) { t.Error("heard itself") }})
		two := NewLSD(LSDConfig{Sockets: []LSDSocket{{b, b.addr}}, Port: 7002, Found: func(h [20]byte, p netip.AddrPort) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, fmt.Sprintf("%x %v", h[:1], p))
		}})
		time.Sleep(time.Hour)
		if n := net.sent(); n != 0 {
			t.Errorf("%d packets before the first announce", n)
		}
		a.in <- packet{} // an error of the socket
		ctx, cancel := context.WithTimeout(t.Context(), LSDAgain+time.Second)
		defer cancel()
		one.Announce(ctx, idOf(9))
		mu.Lock()
		if got := fmt.Sprint(heard); got != "[09 10.0.0.1:7001 09 10.0.0.1:7001]" {
			t.Error(got)
		}
		heard = nil
		mu.Unlock()
		flood := net.listen("10.0.0.4:1")
		for range 2 * LSDRate {
			flood.WriteTo(lsdMessage(LSDGroup4, 1, idOf(1), ""), b.LocalAddr())
		}
		time.Sleep(100 * time.Millisecond)
		mu.Lock()
		if len(heard) != LSDRate {
			t.Errorf("%d of a flood were heard", len(heard))
		}
		mu.Unlock()
		one.Close()
		two.Close()
		net.stop()
	})
}

func FuzzLSD(f *testing.F) {
	f.Add(lsdMessage(LSDGroup4, 6881, idOf(1), "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := parseLSD(b); ok && (m.port == 0 || len(m.infohashes) == 0 || len(m.infohashes) > maxLSDIDs) {
			t.Errorf("%+v", m)
		}
	})
}
