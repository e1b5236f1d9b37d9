package utp

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"time"
)

// TestParse: packets as others send them, and what is none.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		hex  string
		ok   bool
		sack int
		data string
	}{
		"a SYN":                   {"41000001000000010000000000000000" + "00010000", true, 0, ""},
		"data":                    {"01000002000000010000000200100000" + "00020001" + "616263", true, 0, "abc"},
		"a mask of 32 bits":       {"21010002000000010000000200100000" + "00020001" + "0004" + "01000080", true, 4, ""},
		"libtorrent's, of 8":      {"21010002000000010000000200100000" + "00020001" + "0001" + "01", true, 1, ""},
		"an empty mask":           {"21010002000000010000000200100000" + "00020001" + "0000", true, 0, ""},
		"extension bits, data":    {"01020002000000010000000200100000" + "00020001" + "0008" + "0000000000000000" + "61", true, 0, "a"},
		"libtorrent's reason":     {"11030002000000010000000200100000" + "00020001" + "0004" + "00000001", true, 0, ""},
		"two extensions":          {"21020002000000010000000200100000" + "00020001" + "0101" + "00" + "0004" + "ffffffff", true, 4, ""},
		"version 2":               {"02000002000000010000000200100000" + "00020001", false, 0, ""},
		"type 5":                  {"51000002000000010000000200100000" + "00020001", false, 0, ""},
		"19 bytes":                {"01000002000000010000000200100000" + "000200", false, 0, ""},
		"no extension behind":     {"01010002000000010000000200100000" + "00020001", false, 0, ""},
		"a cut extension":         {"01010002000000010000000200100000" + "00020001" + "0004" + "0000", false, 0, ""},
		"a second that is absent": {"01010002000000010000000200100000" + "00020001" + "0204" + "00000000", false, 0, ""},
		"nothing":                 {"", false, 0, ""},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(name, err)
		}
		p, ok := parse(b)
		if ok != c.ok || len(p.sack) != c.sack || string(p.payload) != c.data {
			t.Errorf("%s: %v, mask of %d, %q", name, ok, len(p.sack), p.payload)
		}
	}
	chain := func(n int) []byte {
		b := make([]byte, headerSize+2*n)
		(&header{}).put(b, 9)
		for i := range n - 1 {
			b[headerSize+2*i] = 9
		}
		return b
	}
	if _, ok := parse(chain(maxExtensions)); !ok {
		t.Error("as many extensions as there may be are refused")
	}
	if _, ok := parse(chain(maxExtensions + 1)); ok {
		t.Error("one extension too many is accepted")
	}
}

// TestPadding: every length that a probe may need, and a packet that is cut off
// anywhere in its padding is none.
func TestPadding(t *testing.T) {
	for want := range rungs[len(rungs)-1] {
		n := padding(want)
		if n > want || n < want-1 && want >= bitsSize {
			t.Fatalf("padding of %d for %d", n, want)
		}
		b := make([]byte, headerSize+n+3)
		(&header{kind: kindData}).put(b, 0)
		if n > 0 {
			b[1] = extensionBits
			putPadding(b[headerSize : headerSize+n])
			if b[headerSize+1] != 8 || !bytes.Equal(b[headerSize+2:headerSize+bitsSize], make([]byte, 8)) {
				t.Fatalf("padding of %d: libutp takes no such extension: %x", n, b[headerSize:headerSize+bitsSize])
			}
		}
		copy(b[headerSize+n:], "abc")
		if p, ok := parse(b); !ok || string(p.payload) != "abc" {
			t.Fatalf("padding of %d: %v, payload of %d", n, ok, len(p.payload))
		}
		if want%500 == 7 {
			for cut := headerSize; cut < headerSize+n; cut++ {
				if p, ok := parse(b[:cut]); ok {
					t.Fatalf("cut at %d of %d: payload of %d", cut, len(b), len(p.payload))
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x41\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"))
	f.Add([]byte("\x21\x01\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parse(b)
		if !ok {
			return
		}
		again := make([]byte, headerSize)
		p.header.put(again, b[1])
		if !bytes.Equal(again, b[:headerSize]) {
			t.Errorf("%x became %x", b[:headerSize], again)
		}
		if len(p.sack) > maxExtension || len(p.payload) > len(b)-headerSize {
			t.Error("longer than the packet")
		}
	})
}

func TestStream(t *testing.T) {
	m := &memory{limit: math.MaxInt64}
	var s stream
	at, end := 0, 0
	for i := range 5000 {
		b := make([]byte, (i*i*37)%40_000)
		for j := range b {
			b[j] = pattern(end + j)
		}
		s.append(m, b)
		end += len(b)
		n := (i * 7919) % (s.size + 1)
		got := make([]byte, n)
		from := (i * 31) % (s.size - n + 1)
		s.copy(got, from)
		for j := range got {
			if got[j] != pattern(at+from+j) {
				t.Fatalf("byte %d is wrong", at+from+j)
			}
		}
		s.discard(m, n)
		at += n
		if s.size != end-at {
			t.Fatalf("size %d, should be %d", s.size, end-at)
		}
	}
	s.discard(m, s.size)
	if m.used.Load() != 0 || len(s.blocks) != 0 {
		t.Errorf("%d bytes in %d blocks are left", m.used.Load(), len(s.blocks))
	}
}

// TestBase: the least value of ten minutes, over the end of the clock.
func TestBase(t *testing.T) {
	var b base
	const top = math.MaxUint32
	for i, c := range []struct {
		at   time.Duration
		v    uint32
		want uint32
	}{
		{0, 5, 5}, {time.Second, top - 10, top - 10}, {2 * time.Second, 100, top - 10},
		{61 * time.Second, 50, top - 10}, {9 * time.Minute, 60, top - 10}, {11 * time.Minute, 70, 60},
		{12 * time.Minute, 40, 40}, {60 * time.Minute, 9000, 9000},
	} {
		if got := b.add(c.at, c.v); got != c.want {
			t.Errorf("%d: %d, should be %d", i, int32(got), int32(c.want))
		}
	}
}
