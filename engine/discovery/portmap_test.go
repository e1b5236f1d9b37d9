package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// pcpServer answers as a server of PCP does, with this lifetime and outer port.
func pcpServer(lifetime uint32, port uint16) func([]byte) [][]byte {
	return func(q []byte) [][]byte {
		if q[0] != pcpVersion {
			return nil
		}
		return [][]byte{pcpReply(q, lifetime, port)}
	}
}

func pcpReply(q []byte, lifetime uint32, port uint16) []byte {
	a := slices.Clone(q)
	a[1] |= pcpAnswer
	if binary.BigEndian.Uint32(q[4:]) != 0 { // or it is the end of a mapping
		binary.BigEndian.PutUint32(a[4:], lifetime)
	}
	clear(a[8:24])
	binary.BigEndian.PutUint16(a[42:], port)
	outer := netip.MustParseAddr("::ffff:20.0.0.1").As16()
	copy(a[44:], outer[:])
	return a
}

// pmpServer answers as a server of NAT-PMP does.
func pmpServer(lifetime uint32, port uint16) func([]byte) [][]byte {
	return func(q []byte) [][]byte {
		a := append([]byte{0, q[1] | pmpAnswer, 0, 0}, 0, 0, 0, 9)
		switch {
		case q[0] != 0:
			return [][]byte{{0, q[1] | pmpAnswer, 0, 1, 0, 0, 0, 9}}
		case q[1] == 0:
			return [][]byte{append(a, 20, 0, 0, 1)}
		}
		a = append(a, q[4:6]...)
		a = binary.BigEndian.AppendUint16(a, port)
		return [][]byte{binary.BigEndian.AppendUint32(a, lifetime)}
	}
}

func TestPortMapRenews(t *testing.T) {
	r := &router{control: pcpServer(3600, 7000)}
	portMap(t, r, func(m *PortMap) {
		time.Sleep(time.Second)
		if got := m.External(ourPort).String(); got != "20.0.0.1:7000" || m.External(MappedPort{MapUDP, 6881}).IsValid() {
			t.Errorf("mapped to %s", got)
		}
		time.Sleep(time.Hour)
		if got := r.notes(); got != "0s: PCP, 30m0s: PCP, 1h0m0s: PCP" {
			t.Error(got)
		}
		m.Wake()
		if got := r.notes(); got != "1h0m1s: PCP" {
			t.Errorf("after Wake: %q", got)
		}
	})
	if got := strings.Join(r.asked, ", "); got != "1h0m1s: PCP" {
		t.Errorf("at the stop: %q", got)
	}
}

// TestPortMapLife: a router's lifetimes are clamped.
func TestPortMapLife(t *testing.T) {
	for lifetime, times := range map[uint32]int{0: 61, 1: 61, 240: 31, 3600: 3, 1 << 20: 1, math.MaxUint32: 1} {
		r := &router{control: pcpServer(lifetime, 7000)}
		portMap(t, r, func(*PortMap) {
			time.Sleep(time.Hour + time.Second)
			if got := strings.Count(r.notes(), "PCP"); got != times {
				t.Errorf("a lifetime of %d s: asked %d times in an hour, want %d", lifetime, got, times)
			}
		})
	}
}

func TestPortMapProtocols(t *testing.T) {
	silence := func([]byte) [][]byte { return nil }
	for _, c := range []struct {
		name     string
		r        *router
		asked    string
		external string
	}{
		{"NAT-PMP", &router{control: pmpServer(3600, 6881)}, "0s: PCP, 0s: NAT-PMP, 0s: NAT-PMP", "20.0.0.1:6881"},
		{"UPnP", &router{control: silence, ssdp: igd, http: igdHTTP(0)},
			"0s: PCP, 250ms: PCP, 750ms: PCP, 1.75s: NAT-PMP, 2s: NAT-PMP, 2.5s: NAT-PMP, 3.5s: UPnP, 3.5s: UPnP, " +
				"3.5s: http://192.168.1.1:5000/d/root.xml, 3.5s: AddPortMapping, 3.5s: GetExternalIPAddress", "20.0.0.1:6881"},
		{"a refusal", &router{control: func(q []byte) [][]byte {
			if q[0] == 0 {
				return [][]byte{{0, q[1] | pmpAnswer, 0, 2}}
			}
			a := pcpReply(q, 3600, 7000)
			a[3] = 2
			return [][]byte{a}
		}}, "0s: PCP, 0s: NAT-PMP", "invalid AddrPort"},
	} {
		t.Run(c.name, func(t *testing.T) {
			portMap(t, c.r, func(m *PortMap) {
				time.Sleep(10 * time.Second)
				if got := c.r.notes(); got != c.asked {
					t.Errorf("asked %s\nwant  %s", got, c.asked)
				}
				if got := m.External(ourPort).String(); got != c.external {
					t.Errorf("mapped to %s, want %s", got, c.external)
				}
			})
		})
	}
}

// TestPortMapRetries: the pauses double; a router that is another is asked anew,
// in every protocol.
func TestPortMapRetries(t *testing.T) {
	r := &router{absent: errors.New("no route")}
	tried := 0
	portMap(t, r, func(m *PortMap) {
		r.mu.Lock()
		r.absent = nil
		r.control = func(q []byte) [][]byte { tried++; return [][]byte{{2}} } // rubbish
		r.mu.Unlock()
		time.Sleep(24 * time.Hour)
		rounds := strings.Count(r.notes(), "PCP") / askTries
		if rounds < 15 || rounds > 20 { // 1, 2, 4, … 64 min, and each 2 h
			t.Errorf("%d rounds in a day", rounds)
		}
		r.mu.Lock()
		r.control = pcpServer(3600, 7000)
		r.mu.Unlock()
		m.Wake()
		time.Sleep(20 * time.Second)
		if got := m.External(ourPort).Port(); got != 7000 {
			t.Errorf("mapped to %d", got)
		}
		r.notes()
		r.mu.Lock()
		r.gateway.Router = netip.MustParseAddr("192.168.1.254")
		r.control = pmpServer(3600, 7001)
		r.mu.Unlock()
		time.Sleep(time.Hour)
		if got := m.External(ourPort).Port(); got != 7001 {
			t.Errorf("by the other router: mapped to %d", got)
		}
		r.mu.Lock()
		r.absent = errors.New("no route")
		r.mu.Unlock()
		time.Sleep(time.Hour)
		if got := m.External(ourPort).Port(); got != 0 {
			t.Errorf("without a router: mapped to %d", got)
		}
	})
}

// TestAskHostile: answers that are none delay, and do no more.
func TestAskHostile(t *testing.T) {
	whole := func(q []byte) []byte { return pcpReply(q, 3600, 7000) }
	spoil := func(at int, b byte) func([]byte) [][]byte {
		return func(q []byte) [][]byte {
			if q[0] == 0 {
				return nil
			}
			a := whole(q)
			a[at] ^= b
			return [][]byte{a}
		}
	}
	for name, c := range map[string]struct {
		control func([]byte) [][]byte
		ok      bool
	}{
		"another nonce":    {spoil(24, 1), false},
		"another protocol": {spoil(36, 1), false},
		"another port":     {spoil(41, 1), false},
		"a request":        {spoil(1, pcpAnswer), false},
		"empty":            {func(q []byte) [][]byte { return [][]byte{{}} }, false},
		"short":            {func(q []byte) [][]byte { return [][]byte{q[:1]} }, false},
		"long":             {func(q []byte) [][]byte { return [][]byte{make([]byte, 1200)} }, false},
		"no port":          {pcpServer(3600, 0), false},
		"late":             {func(q []byte) [][]byte { time.Sleep(500 * time.Millisecond); return [][]byte{whole(q)} }, true},
		"lies, then right": {func(q []byte) [][]byte { return append(slices.Repeat([][]byte{{9}}, askAnswers-1), whole(q)) }, true},
		"endless lies":     {func(q []byte) [][]byte { return slices.Repeat([][]byte{{2, 1}}, 5000) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &router{control: c.control}
			portMap(t, r, func(m *PortMap) {
				time.Sleep(50 * time.Second)
				if got := m.External(ourPort).Port() != 0; got != c.ok {
					t.Errorf("mapped: %v, want %v", got, c.ok)
				}
				if n := strings.Count(r.notes(), ":"); n > 2*askTries {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

// TestPortMapStops: the end comes at once, whatever is waited for.
func TestPortMapStops(t *testing.T) {
	for name, r := range map[string]*router{
		"silent":           {},
		"silent over HTTP": {ssdp: igd, http: func(*http.Request, string) (int, string) { return 0, "" }, control: pmpRefusal},
		"silent at the end": {control: func(q []byte) [][]byte {
			if binary.BigEndian.Uint32(q[4:]) == 0 {
				return nil
			}
			return pcpServer(3600, 7000)(q)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			portMap(t, r, func(*PortMap) { time.Sleep(100 * time.Millisecond) })
		})
	}
}

func pmpRefusal(q []byte) [][]byte { return [][]byte{{0, q[1] | pmpAnswer, 0, 1, 0, 0, 0, 9}} }

func TestMapMessages(t *testing.T) {
	got := fmt.Sprintf("%x", appendPCP(nil, atHome.Local, ourPort, [12]byte{1, 11: 2}, 7000, LeaseTime))
	want := "02010000" + "00000e10" + "00000000000000000000ffffc0a80107" +
		"010000000000000000000002" + "06000000" + "1ae1" + "1b58" + "00000000000000000000ffff00000000"
	if got != want {
		t.Errorf("PCP: %s\nwant %s", got, want)
	}
	if got := fmt.Sprintf("%x", appendPMP(nil, MappedPort{MapUDP, 6881}, 7000, LeaseTime)); got != "000100001ae11b5800000e10" {
		t.Errorf("NAT-PMP: %s", got)
	}
}

func FuzzMapAnswers(f *testing.F) {
	nonce := [12]byte{1}
	f.Add(pcpReply(appendPCP(nil, atHome.Local, ourPort, nonce, 0, LeaseTime), 60, 7000))
	f.Add(pmpServer(60, 7000)(appendPMP(nil, ourPort, 0, LeaseTime))[0])
	f.Add(pmpServer(60, 7000)([]byte{0, 0})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func() (lease, error){
			func() (lease, error) { return parsePCP(b, ourPort, nonce) },
			func() (lease, error) { return parsePMP(b, ourPort) },
		} {
			if l, err := parse(); err == nil && (l.MappedPort != ourPort || l.life < 0 || l.external.Addr().IsUnspecified()) {
				t.Fatalf("%x is read as %v", b, l)
			}
		}
		if ip, err := parsePMPAddress(b); err == nil && !ip.Is4() {
			t.Fatalf("%x is read as %v", b, ip)
		}
	})
}
