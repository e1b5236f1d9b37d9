package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// part is bytes at a place of a file that has zeros elsewhere.
type part struct {
	off int64
	b   []byte
}

// be and le are numbers in either order; cat is all of them.
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func cat(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// ebml is an element.
func ebml(id string, content []byte) []byte {
	return cat(id, "\x08"+string(be32(uint32(len(content)))), content)
}

func seek(id string, position uint32) []byte {
	return ebml("\x4d\xbb", cat(ebml("\x53\xab", []byte(id)), ebml("\x53\xac", be32(position))))
}

const (
	ebmlHead = "\x1a\x45\xdf\xa3"
	segment  = "\x18\x53\x80\x67"
	seekHead = "\x11\x4d\x9b\x74"
	cues     = "\x1c\x53\xbb\x6b"
	void     = "\xec"
	cluster  = "\x1f\x43\xb6\x75"
	unknown  = "\x01\xff\xff\xff\xff\xff\xff\xff"
)

// find runs a Finder whose ranges come as it asks for them.
func find(t *testing.T, size int64, parts []part) (asked string) {
	t.Helper()
	f := NewFinder(size)
	var here []Range
	read := func(off int64, b []byte) bool {
		if off < 0 || len(b) == 0 || off+int64(len(b)) > size {
			t.Fatalf("%d bytes at %d of %d are read", len(b), off, size)
		}
		if !slices.ContainsFunc(here, func(r Range) bool { return r.Off <= off && off+int64(len(b)) <= r.Off+r.N }) {
			return false
		}
		for _, p := range parts {
			for i := range b {
				if k := off + int64(i) - p.off; k >= 0 && k < int64(len(p.b)) {
					b[i] = p.b[k]
				}
			}
		}
		return true
	}
	for range 2 * mostSteps {
		r, last := f.Next(read)
		for _, r := range r {
			asked += fmt.Sprintf(" %d+%d", r.Off, r.N)
		}
		if last {
			if len(r) == 0 {
				asked += " -"
			}
			if r, last := f.Next(read); len(r) > 0 || !last {
				t.Error("it goes on after the last")
			}
			return strings.TrimSpace(asked)
		}
		here = append(here, r...)
	}
	t.Fatal("it does not end")
	return ""
}

func TestFinder(t *testing.T) {
	const g = 1 << 30
	head := cat(be32(32), "ftypisom", make([]byte, 20))
	end := func(record []byte) part { return part{g - int64(len(record)), record} }
	zip := []byte("PK\x03\x04" + strings.Repeat("z", 60))
	for name, l := range map[string]struct {
		parts []part
		want  string
	}{
		"mp4, moov first":     {[]part{{0, head}, {32, cat(be32(5000), "moov")}}, "0+32 32+16 32+5000"},
		"mp4, moov last":      {[]part{{0, head}, {32, cat(be32(8), "free", be32(1e9), "mdat")}, {40 + 1e9, cat(be32(6000), "moov")}}, "0+32 32+16 40+16 1000000040+16 1000000040+6000"},
		"mp4, 64 bits":        {[]part{{0, head}, {32, cat(be32(1), "mdat", be64(1e9))}, {32 + 1e9, cat(be32(0), "moov")}}, "0+32 32+16 1000000032+16 1000000032+8388608"},
		"mp4, too long":       {[]part{{0, head}, {32, cat(be32(1<<31), "moov")}}, "0+32 32+16 32+8388608"},
		"mp4, cut":            {[]part{{0, head}, {32, cat(be32(1<<31), "mdat")}}, "0+32 32+16 -"},
		"mp4, in itself":      {[]part{{0, head}, {32, cat(be32(7), "mdat")}}, "0+32 32+16 -"},
		"mp4, 64 bits of 0":   {[]part{{0, head}, {32, cat(be32(1), "mdat", be64(0))}}, "0+32 32+16 -"},
		"mp4, 64 bits of all": {[]part{{0, head}, {32, cat(be32(1), "mdat", be64(1<<64-1))}}, "0+32 32+16 -"},
		"mp4, fragments":      {[]part{{0, head}, {32, cat(be32(100), "moof")}}, "0+32 32+16 -"},
		"mp4, no moov":        {[]part{{0, head}, {32, cat(be32(0), "mdat")}}, "0+32 32+16 -"},
		"mkv": {[]part{{0, cat(ebml(ebmlHead, make([]byte, 20)), segment, unknown, ebml(seekHead, cat(seek("\x15\x49\xa9\x66", 9), seek(cues, 5e8))))},
			{41 + 5e8, cat(cues, "\x08", be32(70000))}}, "0+32 29+12 41+12 50+58 500000041+12 500000041+70009"},
		"mkv, two SeekHeads": {[]part{{0, cat(ebml(ebmlHead, nil), segment, unknown, ebml(void, make([]byte, 5)), ebml(seekHead, seek(seekHead, 6e8)))},
			{21 + 6e8, ebml(seekHead, seek(cues, 5e8))}, {21 + 5e8, cat(cues, "\x84")}}, "0+32 21+12 32+12 41+29 600000021+12 600000030+29 500000021+12 500000021+9"},
		"mkv, a SeekHead that names itself": {[]part{{0, cat(ebml(ebmlHead, nil), segment, unknown, ebml(seekHead, seek(seekHead, 0)))}}, "0+32 21+12 30+29 -"},
		"mkv, not told":                     {[]part{{0, cat(ebml(ebmlHead, nil), segment, unknown, cluster, unknown)}}, "0+32 21+12 -"},
		"mkv, Cues outside":                 {[]part{{0, cat(ebml(ebmlHead, nil), segment, unknown, ebml(seekHead, seek(cues, 1<<31)))}}, "0+32 21+12 30+29 -"},
		"avi": {[]part{{0, cat("RIFF", le32(1e9), "AVI LIST", le32(4001))}, {12 + 8 + 4002, cat("LIST", le32(9e8))}, {12 + 8 + 4002 + 8 + 9e8, cat("idx1", le32(1600))}},
			"0+32 4022+8 900004030+8 900004030+1608"},
		"7z":                    {[]part{{0, cat("7z\xbc\xaf\x27\x1c\x00\x04", le32(1), le64(1e9), le64(300))}}, "0+32 1000000032+300"},
		"7z, outside":           {[]part{{0, cat("7z\xbc\xaf\x27\x1c\x00\x04", le32(1), le64(1<<63), le64(300))}}, "0+32 -"},
		"7z, empty":             {[]part{{0, cat("7z\xbc\xaf\x27\x1c\x00\x04", le32(1), le64(0), le64(0))}}, "0+32 -"},
		"zip":                   {[]part{{0, zip}, end(cat("PK\x05\x06", make([]byte, 8), le32(4000), le32(9e8), "\x00\x00"))}, "0+32 1073740758+1066 1073737802+4000"},
		"zip, comment":          {[]part{{0, zip}, end(cat("PK\x05\x06", make([]byte, 8), le32(4000), le32(9e8), "\x05\x00hello"))}, "0+32 1073740758+1066 1073737797+4000"},
		"zip, longer than all":  {[]part{{0, zip}, end(cat("PK\x05\x06", make([]byte, 8), le32(1<<31), le32(9e8), "\x00\x00"))}, "0+32 1073740758+1066 -"},
		"zip64":                 {[]part{{0, zip}, {5e8, cat("PK\x06\x06", make([]byte, 36), le64(7e6), le64(4e8))}, end(cat("PK\x06\x07", le32(0), le64(5e8), le32(1), "PK\x05\x06", make([]byte, 8), le32(zipTooLarge), le32(zipTooLarge), "\x00\x00"))}, "0+32 1073740758+1066 500000000+56 400000000+7000000"},
		"zip64, outside":        {[]part{{0, zip}, end(cat("PK\x06\x07", le32(0), le64(1<<63), le32(1), "PK\x05\x06", make([]byte, 8), le32(zipTooLarge), le32(0), "\x00\x00"))}, "0+32 1073740758+1066 -"},
		"zip without an end":    {[]part{{0, zip}}, "0+32 1073740758+1066 -"},
		"something else":        {nil, "0+32 -"},
		"MPEG transport stream": {[]part{{0, []byte("G@\x11\x10")}}, "0+32 -"},
	} {
		if got := find(t, g, l.parts); got != l.want {
			t.Errorf("%s: asked for %s, not %s", name, got, l.want)
		}
	}
}

// TestSteps: a film of nothing but empty boxes is not walked to its end.
func TestSteps(t *testing.T) {
	f := NewFinder(1 << 30)
	n := 0
	r, last := f.Next(func(off int64, b []byte) bool {
		n++
		copy(b, bytes.Repeat([]byte("\x00\x00\x00\x08free"), 4))
		return true
	})
	if len(r) > 0 || !last || n > mostSteps {
		t.Errorf("%d headers are read, then %v, %v", n, r, last)
	}
}

func TestEnds(t *testing.T) {
	for _, l := range []struct {
		name string
		size int64
		want string
	}{
		{"a film.MKV", 1 << 30, "[{0 262144} {1073676288 65536}]"},
		{"a.film.ts", 1 << 30, "[{0 262144} {1073479680 262144}]"},
		{"song.mp3", head + tail + 1, "[{0 262144} {262145 65536}]"},
		{"song.mp3", head + tail, "[]"},
		{"text.txt", 1 << 30, "[]"},
		{"mkv", 1 << 30, "[{0 262144} {1073676288 65536}]"},
		{"", 1 << 30, "[]"},
	} {
		if got := fmt.Sprint(Ends(l.name, l.size)); got != l.want {
			t.Errorf("%q of %d: %s, not %s", l.name, l.size, got, l.want)
		}
		if Known(l.name) != (Ends(l.name, 1<<40) != nil) {
			t.Errorf("%q is known: %v", l.name, Known(l.name))
		}
	}
}

// FuzzFinder: whatever a file says, the search ends, asks for little, and for
// nothing outside the file.
func FuzzFinder(f *testing.F) {
	for _, b := range [][]byte{
		cat(be32(32), "ftypisom", make([]byte, 20), be32(60), "mdat", make([]byte, 52), be32(9), "moov "),
		cat(ebml(ebmlHead, nil), segment, unknown, ebml(seekHead, seek(cues, 60)), cues, "\x84abcd"),
		cat("RIFF", le32(50), "AVI LIST", le32(10), make([]byte, 10), "idx1", le32(4), "abcd"),
		cat("7z\xbc\xaf\x27\x1c\x00\x04", le32(1), le64(1), le64(3), "abcdefgh"),
		cat("PK\x03\x04", make([]byte, 60), "PK\x06\x06", make([]byte, 36), le64(7), le64(4), "PK\x06\x07", le32(0), le64(64), le32(1), "PK\x05\x06", make([]byte, 8), le32(zipTooLarge), le32(5), "\x00\x00"),
	} {
		f.Add(b, uint16(0), uint8(40))
		f.Add(b, uint16(3000), uint8(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, more uint16, from uint8) {
		size := int64(len(b)) + int64(more)
		finder := NewFinder(size)
		known := int64(from) // bytes from the start that are here
		for range 4 * mostSteps {
			var missing *Range
			r, last := finder.Next(func(off int64, to []byte) bool {
				n := int64(len(to))
				if off < 0 || n == 0 || n > mostSeekHead || off+n > size {
					t.Fatalf("%d bytes at %d of %d are read", n, off, size)
				}
				if off+n > known {
					missing = &Range{off, n}
					return false
				}
				if off < int64(len(b)) {
					copy(to, b[off:])
				}
				return true
			})
			for _, r := range r {
				if r.Off < 0 || r.N <= 0 || r.Off+r.N > size || r.N > MostIndex {
					t.Fatalf("%v is asked for of %d", r, size)
				}
			}
			if last {
				return
			}
			if len(r) != 1 || missing == nil || r[0] != *missing {
				t.Fatalf("it waits for %v, which is not what it lacks: %v", r, missing)
			}
			known = max(known, r[0].Off+r[0].N)
		}
		t.Fatal("it does not end")
	})
}
