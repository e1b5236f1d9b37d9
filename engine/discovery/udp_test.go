package discovery

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// udpTracker is a tracker at the other end of a pipe, in false time. It writes
// down what it is sent as "second action", and answers as says tells it to.
type udpTracker struct {
	addr  string // its own
	begin time.Time
	says  func(n int, packet []byte) [][]byte // the answers to packet number n

	mu    sync.Mutex
	asked []string
	n     int
	wg    sync.WaitGroup
}

type addressed struct {
	net.Conn
	addr string
}

func (a addressed) RemoteAddr() net.Addr { return textAddr(a.addr) }

type textAddr string

func (a textAddr) Network() string { return "udp" }
func (a textAddr) String() string  { return string(a) }

func (u *udpTracker) dial(context.Context, *url.URL) (net.Conn, error) {
	ours, theirs := net.Pipe()
	u.wg.Go(func() {
		defer theirs.Close()
		for b := make([]byte, 8<<10); ; {
			n, err := theirs.Read(b)
			if err != nil {
				return
			}
			u.mu.Lock()
			u.asked = append(u.asked, fmt.Sprintf("%.0f %d", time.Since(u.begin).Seconds(), binary.BigEndian.Uint32(b[8:])))
			number := u.n
			u.n++
			u.mu.Unlock()
			for _, answer := range u.says(number, slices.Clone(b[:n])) {
				if _, err := theirs.Write(answer); err != nil {
					return
				}
			}
		}
	})
	return addressed{ours, u.addr}, nil
}

// log is what the tracker was sent in conversations that have ended.
func (u *udpTracker) log() []string {
	u.wg.Wait()
	return u.asked
}

// head is the head of an answer to packet.
func head(action uint32, packet []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, action), packet[12:16]...)
}

// connected is the answer to a connect.
func connected(packet []byte) []byte {
	return append(head(actionConnect, packet), 1, 2, 3, 4, 5, 6, 7, 8)
}

// announced is the answer to an announce, with one peer.
func announced(packet []byte) []byte {
	return append(head(actionAnnounce, packet), 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 0x1a, 0xe1)
}

// good answers as a tracker should.
func good(_ int, packet []byte) [][]byte {
	if binary.BigEndian.Uint32(packet[8:]) == actionConnect {
		return [][]byte{connected(packet)}
	}
	return [][]byte{announced(packet)}
}

// talking runs f in false time with a client of a tracker that says so.
func talking(t *testing.T, says func(int, []byte) [][]byte, f func(t *testing.T, u *UDP, tr *udpTracker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := &udpTracker{addr: "192.0.2.1:6969", begin: time.Now(), says: says}
		f(t, NewUDP(tr.dial), tr)
		tr.wg.Wait()
	})
}

const udpURL = "udp://t.example:6969/announce"

func TestUDPAnnounce(t *testing.T) {
	talking(t, good, func(t *testing.T, u *UDP, tr *udpTracker) {
		a, err := u.Announce(t.Context(), udpURL, Announce{Port: 1})
		if err != nil || a.Interval != 30*time.Minute || a.Seeders != 2 || a.Leechers != 1 ||
			!slices.Equal(a.Peers, []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:6881")}) {
			t.Errorf("got %+v, %v", a, err)
		}
		// The connection id serves for a minute.
		u.Announce(t.Context(), udpURL, Announce{})
		time.Sleep(connectionTime)
		u.Announce(t.Context(), udpURL, Announce{})
		want(t, tr.log(), "0 0\n0 1\n0 1\n60 0\n60 1")
	})
}

// TestUDPPacket is the announce byte by byte.
func TestUDPPacket(t *testing.T) {
	a := Announce{Port: 0x1ae1, Uploaded: 3, Downloaded: 1, Left: 2, NumWant: 50, Key: 0xAB, Event: Started}
	for i := range a.Infohash {
		a.Infohash[i], a.PeerID[i] = 'h', 'p'
	}
	long := "/announce?" + strings.Repeat("k", 300)
	got := appendAnnounce(appendRequest(nil, 0x0102030405060708, actionAnnounce, 9), a, long)
	wanted := "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x01\x00\x00\x00\x09" + strings.Repeat("h", 20) + strings.Repeat("p", 20) +
		"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x02\x00\x00\x00\x00" +
		"\x00\x00\x00\xab\x00\x00\x00\x32\x1a\xe1" + "\x02\xff" + long[:255] + "\x02\x37" + long[255:]
	if string(got) != wanted {
		t.Errorf("got  %q\nwant %q", got, wanted)
	}
	if b := appendConnect(nil, 9); string(b) != "\x00\x00\x04\x17\x27\x10\x19\x80\x00\x00\x00\x00\x00\x00\x00\x09" {
		t.Errorf("connect: %q", b)
	}
	for event, n := range map[string]uint32{"": 0, Completed: 1, Started: 2, Stopped: 3} {
		if eventNumber(event) != n {
			t.Errorf("%s is %d", event, eventNumber(event))
		}
	}
}

// TestUDPSilence: what is not answered is sent again, and the whole has an end.
func TestUDPSilence(t *testing.T) {
	talking(t, func(int, []byte) [][]byte { return nil }, func(t *testing.T, u *UDP, tr *udpTracker) {
		_, err := u.Announce(t.Context(), udpURL, Announce{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(tr.begin) != AnnounceTime {
			t.Errorf("after %v: %v", time.Since(tr.begin), err)
		}
		want(t, tr.log(), "0 0\n2 0\n6 0\n14 0")
	})
	// Lost once each way; a late answer to the first packet is an answer.
	lossy := func(n int, packet []byte) [][]byte {
		if n%2 == 0 {
			return nil
		}
		return good(n, packet)
	}
	talking(t, lossy, func(t *testing.T, u *UDP, tr *udpTracker) {
		if _, err := u.Announce(t.Context(), udpURL, Announce{}); err != nil {
			t.Error(err)
		}
		want(t, tr.log(), "0 0\n2 0\n2 1\n6 1")
	})
	// A tracker that has forgotten the connection id and says nothing.
	talking(t, good, func(t *testing.T, u *UDP, tr *udpTracker) {
		u.Announce(t.Context(), udpURL, Announce{})
		tr.wg.Wait()
		tr.says = func(n int, packet []byte) [][]byte {
			if n == 2 {
				return nil
			}
			return good(n, packet)
		}
		if _, err := u.Announce(t.Context(), udpURL, Announce{}); err != nil {
			t.Error(err)
		}
		want(t, tr.log(), "0 0\n0 1\n0 1\n2 0\n2 1")
	})
	// The caller's end is at once, and in time for nobody else's.
	talking(t, func(int, []byte) [][]byte { return nil }, func(t *testing.T, u *UDP, tr *udpTracker) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := u.Announce(ctx, udpURL, Announce{}); err == nil || time.Since(tr.begin) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(tr.begin), err)
		}
	})
}

// TestUDPRefusal: the tracker's words reach people, made safe.
func TestUDPRefusal(t *testing.T) {
	refuses := func(n int, packet []byte) [][]byte {
		if binary.BigEndian.Uint32(packet[8:]) == actionConnect {
			return good(n, packet)
		}
		return [][]byte{append(head(actionError, packet), "no\x1b[2J\n\u202eway"+strings.Repeat("!", 1000)...)}
	}
	talking(t, refuses, func(t *testing.T, u *UDP, tr *udpTracker) {
		_, err := u.Announce(t.Context(), udpURL, Announce{})
		var refusal *Failure
		if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Reason, "no[2J way!!!") || len(refusal.Reason) > MaxText {
			t.Errorf("%v", err)
		}
		// With a kept id the refusal may be of the id: once more with another.
		u.Announce(t.Context(), udpURL, Announce{})
		want(t, tr.log(), "0 0\n0 1\n0 1\n0 0\n0 1")
	})
}

// TestUDPHostile: what is not the answer is no answer.
func TestUDPHostile(t *testing.T) {
	stray := func(packet []byte) [][]byte {
		other := slices.Clone(packet)
		other[15]++
		return [][]byte{{}, {0}, head(actionError, packet)[:7], append(head(actionError, other), "forged"...),
			head(actionConnect, other), announced(other), connected(packet)[:15], announced(packet)[:19],
			head(9, packet), append(announced(packet), make([]byte, maxDatagram)...)}
	}
	talking(t, func(n int, packet []byte) [][]byte {
		action := binary.BigEndian.Uint32(packet[8:])
		all := stray(packet)
		if action == actionAnnounce {
			all = append(all, connected(packet))
		} else {
			all = append(all, announced(packet))
		}
		return append(all, good(n, packet)...)
	}, func(t *testing.T, u *UDP, tr *udpTracker) {
		a, err := u.Announce(t.Context(), udpURL, Announce{})
		if err != nil || len(a.Peers) != 1 {
			t.Errorf("%+v, %v", a, err)
		}
	})
	for n, wanted := range map[int]error{MaxStray: nil, MaxStray + 1: ErrFlood} {
		flood := func(_ int, packet []byte) [][]byte {
			if binary.BigEndian.Uint32(packet[8:]) == actionConnect {
				return [][]byte{connected(packet)}
			}
			return append(slices.Repeat([][]byte{{1}}, n), announced(packet))
		}
		talking(t, flood, func(t *testing.T, u *UDP, tr *udpTracker) {
			if _, err := u.Announce(t.Context(), udpURL, Announce{}); !errors.Is(err, wanted) {
				t.Errorf("%d stray packets: %v", n, err)
			}
		})
	}
}

// TestUDPAnswer: every number of an answer is in bounds, peers are of the
// tracker's family, and a tracker of the world names nobody on this machine.
func TestUDPAnswer(t *testing.T) {
	world := netip.MustParseAddr("192.0.2.1")
	a, err := parseAnnounced(slices.Concat(bytes.Repeat([]byte{0xff}, 12), []byte{127, 0, 0, 1, 0, 1, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 0, 9, 1, 2}), world)
	if err != nil || a.Interval != NoInterval || a.Seeders != 0 || a.Leechers != 0 || fmt.Sprint(a.Peers) != "[1.2.3.4:9]" {
		t.Errorf("%+v, %v", a, err)
	}
	six := append(make([]byte, 12), netip.MustParseAddr("2001:db8::7").AsSlice()...)
	a, err = parseAnnounced(append(six, 0, 9, 1), netip.MustParseAddr("2001:db8::1"))
	if err != nil || fmt.Sprint(a.Peers) != "[[2001:db8::7]:9]" {
		t.Errorf("%+v, %v", a, err)
	}
	a, _ = parseAnnounced(make([]byte, 12+6*(MaxPeers+5)), world)
	if len(a.Peers) != 0 { // 0.0.0.0:0
		t.Errorf("%d peers", len(a.Peers))
	}
	a, _ = parseAnnounced(append(make([]byte, 12), bytes.Repeat([]byte{1}, 6*(MaxPeers+5))...), world)
	if len(a.Peers) != MaxPeers {
		t.Errorf("%d peers", len(a.Peers))
	}
}

func TestConnections(t *testing.T) {
	c, now := connections{}, time.Now()
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, 3, 4}), uint16(i)) }
	for i := range maxConnections + 1 {
		c.put(at(i), uint64(i), now.Add(time.Duration(i)))
	}
	if _, ok := c.get(at(0), now); ok || len(c) != maxConnections {
		t.Errorf("%d ids kept", len(c))
	}
	if id, ok := c.get(at(7), now.Add(7+connectionTime-1)); !ok || id != 7 {
		t.Errorf("%d, %v", id, ok)
	}
	if _, ok := c.get(at(7), now.Add(7+connectionTime)); ok {
		t.Error("an old id is used")
	}
}

// TestUDPSockets: over real sockets, what another address sends is not heard,
// and a port where nobody listens is found out at once.
func TestUDPSockets(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spoofer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer spoofer.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := make([]byte, 2000); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			spoofer.WriteTo(append(head(actionError, b[:n]), "spoofed"...), from)
			time.Sleep(10 * time.Millisecond)
			server.WriteTo(good(0, b[:n])[0], from)
		}
	})
	u := NewUDP(func(ctx context.Context, tracker *url.URL) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", tracker.Host)
	})
	at := "udp://" + server.LocalAddr().String()
	if a, err := u.Announce(t.Context(), at, Announce{}); err != nil || len(a.Peers) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	server.Close()
	wg.Wait()
	begin := time.Now()
	_, err = u.Announce(t.Context(), at, Announce{})
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) > 10*time.Second { // the first repeat is after 15 s
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

func FuzzUDPAnswer(f *testing.F) {
	packet := make([]byte, 16)
	for _, b := range [][]byte{connected(packet), announced(packet), append(head(actionError, packet), "no"...), {}} {
		f.Add(b, uint8(0), true)
		f.Add(b, uint8(1), false)
		f.Add(b, uint8(2), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, action uint8, six bool) {
		body, ok, err := answerBody(b, uint32(action%3), 0)
		if !ok || err != nil {
			return
		}
		from := netip.MustParseAddr("192.0.2.1")
		if six {
			from = netip.MustParseAddr("2001:db8::1")
		}
		if a, err := parseAnnounced(body, from); err == nil && (len(a.Peers) > MaxPeers || a.Interval < MinInterval || a.Interval > MaxInterval) {
			t.Errorf("%+v", a)
		}
		for _, n := range []int{0, 1, MaxScrape} {
			if all, err := parseScraped(body, n); err == nil && len(all) != n {
				t.Errorf("%d of %d", len(all), n)
			}
		}
	})
}
