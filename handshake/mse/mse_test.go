package mse

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	skey  = [20]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	hello = []byte("\x13BitTorrent protocol\x00\x00\x00\x00\x00\x00\x00\x00" + string(skey[:]) + "-XX0001-abcdefghijkl")
)

// chance is the bytes of golden.py: a step of 7 from one to the next. Of its
// two-byte draws, which are lengths of pads, each is pads.
type chance struct {
	at   byte
	pads int
}

func (c *chance) Read(p []byte) (int, error) {
	if len(p) == 2 {
		p[0], p[1] = byte(c.pads>>8), byte(c.pads)
		return 2, nil
	}
	for i := range p {
		p[i] = c.at
		c.at += 7
	}
	return len(p), nil
}

// only finds one torrent.
func only(infohash [20]byte) func([20]byte) ([20]byte, bool) {
	return func(name [20]byte) ([20]byte, bool) { return infohash, name == Obfuscate(infohash) }
}

// tap keeps what is written.
type tap struct {
	net.Conn
	mu   sync.Mutex
	sent []byte
}

func (c *tap) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, p[:n]...)
	return n, err
}

// end is one side's result.
type end struct {
	*Session
	err error
}

// meet has both sides shake hands; either that fails closes its socket.
func meet(t *testing.T, i Initiator, r Receiver) (a, b end, near, far *tap) {
	t.Helper()
	c1, c2 := net.Pipe()
	near, far = &tap{Conn: c1}, &tap{Conn: c2}
	t.Cleanup(func() { c1.Close(); c2.Close() })
	var wg sync.WaitGroup
	wg.Go(func() {
		if a.Session, a.err = i.Handshake(near); a.err != nil {
			near.Close()
		}
	})
	wg.Go(func() {
		if b.Session, b.err = r.Handshake(far, nil); b.err != nil {
			far.Close()
		}
	})
	wg.Wait()
	return a, b, near, far
}

// say sends text over one stream and reads it from the other.
func say(t *testing.T, from, to *Session, text string) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if n, err := from.Conn.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
	})
	got := make([]byte, len(text))
	_, err := io.ReadFull(io.MultiReader(bytes.NewReader(to.Early), to.Conn), got)
	if to.Early = nil; err != nil || string(got) != text {
		t.Errorf("read %q, %v, want %q", got, err, text)
	}
}

// TestGolden sends, byte for byte, what another implementation would.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var provide, accept Method
		var pads int
		var s, first, second string
		if _, err := fmt.Sscan(line, &provide, &accept, &pads, &s, &first, &second); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("%d to %d, pads of %d", provide, accept, pads), func(t *testing.T) {
			a, b, near, far := meet(t,
				Initiator{SKey: skey, Provide: provide, IA: hello, Rand: &chance{1, pads}},
				Receiver{Find: only(skey), Accept: accept, Rand: &chance{2, pads}})
			if a.err != nil || b.err != nil {
				t.Fatal(a.err, b.err)
			}
			want := Plain
			if provide&accept&Plain == 0 {
				want = RC4
			}
			if a.Method != want || b.Method != want || b.SKey != skey || !bytes.Equal(b.Early, hello) {
				t.Errorf("%v and %v, %x: %q", a.Method, b.Method, b.SKey, b.Early)
			}
			if _, encrypted := a.Conn.(*Conn); encrypted != (want == RC4) || !encrypted && a.Conn != net.Conn(near) {
				t.Errorf("the stream is a %T", a.Conn)
			}
			b.Early = nil
			say(t, a.Session, b.Session, "what the initiator says")
			say(t, b.Session, a.Session, "what the receiver says")
			if got := hex.EncodeToString(near.sent); got != first {
				t.Errorf("the initiator sent %s, want %s", got, first)
			}
			if got := hex.EncodeToString(far.sent); got != second {
				t.Errorf("the receiver sent %s, want %s", got, second)
			}
		})
	}
}

// TestMethods meets every set of methods with every other.
func TestMethods(t *testing.T) {
	for provide := range Method(8) {
		for accept := range Method(4) {
			a, b, _, _ := meet(t, Initiator{SKey: skey, Provide: provide}, Receiver{Find: only(skey), Accept: accept})
			if both := provide & accept & 3; both == 0 {
				if a.err == nil || !errors.Is(b.err, ErrMethod) {
					t.Errorf("%d and %d: %v, %v", provide, accept, a.err, b.err)
				}
				continue
			}
			if a.err != nil || b.err != nil || a.Method != b.Method || a.Method&provide&accept == 0 || len(b.Early) != 0 {
				t.Fatalf("%d and %d: %+v, %+v", provide, accept, a, b)
			}
			say(t, a.Session, b.Session, strings.Repeat("there", 5000))
			say(t, b.Session, a.Session, strings.Repeat("and back", 5000))
		}
	}
}

// TestLengths shakes hands with pads and initial payloads of the least and the
// greatest length.
func TestLengths(t *testing.T) {
	for _, pads := range []int{0, 1, MaxPad} {
		for _, length := range []int{0, 1, 68, MaxIA} {
			ia := bytes.Repeat([]byte{42}, length)
			a, b, _, _ := meet(t, Initiator{SKey: skey, Provide: RC4, IA: ia, Rand: &chance{1, pads}},
				Receiver{Find: only(skey), Accept: RC4, Rand: &chance{2, MaxPad - pads}})
			if a.err != nil || b.err != nil || !bytes.Equal(b.Early, ia) {
				t.Errorf("pads of %d, IA of %d: %v, %v", pads, length, a.err, b.err)
			}
		}
	}
	a, b, _, _ := meet(t, Initiator{SKey: skey, Provide: RC4, IA: make([]byte, MaxIA+1)}, Receiver{Find: only(skey), Accept: RC4})
	if a.err == nil || !errors.Is(b.err, ErrTooLong) {
		t.Errorf("an IA too long: %v, %v", a.err, b.err)
	}
}

// TestUnknown ends at a torrent that is not here.
func TestUnknown(t *testing.T) {
	a, b, _, far := meet(t, Initiator{SKey: [20]byte{1}, Provide: RC4}, Receiver{Find: only(skey), Accept: RC4})
	if a.err == nil || !errors.Is(b.err, ErrUnknown) {
		t.Errorf("%v, %v", a.err, b.err)
	}
	if len(far.sent) > publicSize+MaxPad {
		t.Errorf("%d bytes were sent to who does not know the torrent", len(far.sent))
	}
}

// TestEarly finds the bytes again that were read before the handshake began,
// and those behind it that came in the same packet, whatever the cut.
func TestEarly(t *testing.T) {
	for _, provide := range []Method{Plain, RC4} {
		for _, early := range []int{0, 1, 20, 96, 700} {
			near, far := sockets(t)
			var b end
			var wg sync.WaitGroup
			wg.Go(func() {
				first := make([]byte, early)
				n, _ := io.ReadAtLeast(far, first, min(early, 90)) // what was read to look at it
				if b.Session, b.err = (Receiver{Find: only(skey), Accept: 3}).Handshake(far, first[:n]); b.err != nil {
					far.Close()
				}
			})
			a, err := Initiator{SKey: skey, Provide: provide, IA: hello}.Handshake(near)
			wg.Wait()
			if err != nil || b.err != nil {
				t.Fatal(err, b.err)
			}
			if !bytes.Equal(b.Early, hello) {
				t.Errorf("%d bytes early: %q", early, b.Early)
			}
			say(t, b.Session, a, "back")
		}
	}
}

// sockets is a TCP connection: its ends may write at the same time.
func sockets(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestRandom fails without chance rather than send what can be guessed.
func TestRandom(t *testing.T) {
	for n := range 20 + 2 + 40 {
		short := func() io.Reader { return io.LimitReader(&chance{1, 38}, int64(n)) }
		a, b, _, _ := meet(t, Initiator{SKey: skey, Provide: RC4, Rand: short()}, Receiver{Find: only(skey), Accept: RC4})
		if a.err == nil || b.err == nil {
			t.Fatalf("the initiator had %d bytes of chance: %v, %v", n, a.err, b.err)
		}
		a, b, _, _ = meet(t, Initiator{SKey: skey, Provide: RC4}, Receiver{Find: only(skey), Accept: RC4, Rand: short()})
		if a.err == nil || b.err == nil {
			t.Fatalf("the receiver had %d bytes of chance: %v, %v", n, a.err, b.err)
		}
	}
}

// TestMemory bounds all that one side of a handshake ever allocates, with the
// longest of everything.
func TestMemory(t *testing.T) {
	const most, rounds = 32 << 10, 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		a, b, near, far := meet(t, Initiator{SKey: skey, Provide: RC4, IA: make([]byte, MaxIA), Rand: &chance{1, MaxPad}},
			Receiver{Find: only(skey), Accept: RC4, Rand: &chance{2, MaxPad}})
		if a.err != nil || b.err != nil {
			t.Fatal(a.err, b.err)
		}
		near.Close()
		far.Close()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / rounds / 2; each > most {
		t.Errorf("%d bytes for a side", each)
	} else {
		t.Logf("%d bytes for a side", each)
	}
}
