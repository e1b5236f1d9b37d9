package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestHashRange(t *testing.T) {
	want := HashRange{Base: 1, Index: 0x01020304, Length: 512, Proof: 7}
	for i := range want.Root {
		want.Root[i] = byte(i)
	}
	b := AppendHashRange([]byte{42}, want)[1:]
	if golden := unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 00000001 01020304 00000200 00000007"); !bytes.Equal(b, golden) {
		t.Errorf("%x", b)
	}
	two := bytes.Repeat([]byte{7}, 64)
	if r, hashes, ok := ParseHashes(append(b, two...)); !ok || r != want || !bytes.Equal(hashes, two) {
		t.Errorf("%+v %x %v", r, hashes, ok)
	}
	for _, n := range []int{0, 47, 49, 79, 81} {
		if _, _, ok := ParseHashes(make([]byte, n)); ok {
			t.Errorf("%d bytes are a range and hashes", n)
		}
	}
	if want.Root.Short().String() != "000102030405060708090a0b0c0d0e0f10111213" || want.Root.String()[60:] != "1e1f" {
		t.Error("a hash is written wrong")
	}
}

func TestHashRangeBounds(t *testing.T) {
	for _, c := range []struct {
		r      HashRange
		ok     bool
		uncles int
	}{
		{HashRange{Length: 2}, true, 0},
		{HashRange{Length: 2, Proof: 1}, true, 1},
		{HashRange{Length: 4, Proof: 1}, true, 0},
		{HashRange{Length: 4, Proof: 2}, true, 1},
		{HashRange{Length: 512, Proof: 8}, true, 0},
		{HashRange{Length: 512, Proof: 10}, true, 2},
		{HashRange{Length: MaxHashes, Base: MaxHashLayers, Proof: MaxHashLayers, Index: 1<<32 - MaxHashes}, true, MaxHashLayers - 8},
		{HashRange{Length: 0}, false, 0},
		{HashRange{Length: 1}, false, 0},
		{HashRange{Length: 3}, false, 0},
		{HashRange{Length: 2 * MaxHashes}, false, 0},
		{HashRange{Length: 1 << 31}, false, 0},
		{HashRange{Length: 4, Index: 2}, false, 0},
		{HashRange{Length: 2, Base: MaxHashLayers + 1}, false, 0},
		{HashRange{Length: 2, Proof: MaxHashLayers + 1}, false, 0},
		{HashRange{Length: 2, Base: 1<<32 - 1}, false, 0},
	} {
		if ok := c.r.Bounded(); ok != c.ok || ok && c.r.Uncles() != c.uncles {
			t.Errorf("%+v: bounded %v, %d uncles", c.r, ok, c.r.Uncles())
		}
	}
}

// The longest hashes that are read, and one hash more.
func TestLongestHashes(t *testing.T) {
	head := func(hashes int) error {
		b := Append(nil, Message{Kind: Extended, Payload: uint32(HashRangeSize + 32*hashes - 1)})
		b[4] = byte(Hashes)
		_, err := ReadHead(bytes.NewReader(b), 1<<20)
		return err
	}
	if err := head(MaxHashes + MaxHashLayers); err != nil {
		t.Error(err)
	}
	if err := head(MaxHashes + MaxHashLayers + 1); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}

func FuzzParseHashes(f *testing.F) {
	f.Add(AppendHashRange(nil, HashRange{Length: 2, Proof: 3}))
	f.Add(make([]byte, 48+64))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, hashes, ok := ParseHashes(b)
		if !ok {
			return
		}
		if again := append(AppendHashRange(nil, r), hashes...); !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %+v", b, r)
		}
		if r.Bounded() && (r.Uncles() < 0 || r.Uncles() > MaxHashLayers) {
			t.Fatalf("%+v has %d uncles", r, r.Uncles())
		}
	})
}
