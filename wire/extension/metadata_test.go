package extension

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"bipfs/wire/bencode"
)

var (
	full = strings.Repeat("x", MetadataPieceLength)
	tail = "tail"
)

var metadata = []struct {
	name  string
	bytes string
	want  Metadata
}{
	{"request", "d8:msg_typei0e5:piecei3ee", Metadata{Type: MetadataRequest, Piece: 3}},
	{"reject", "d8:msg_typei2e5:piecei3ee", Metadata{Type: MetadataReject, Piece: 3}},
	{"keys out of order, and others", "d5:piecei3e8:msg_typei0e1:xlee", Metadata{Type: MetadataRequest, Piece: 3}},
	{"request of a piece that nobody has", "d8:msg_typei0e5:piecei2147483647ee", Metadata{Piece: 1<<31 - 1}},
	{"request with bytes after it", "d8:msg_typei0e5:piecei3eexxx", Metadata{Piece: 3}},
	{"reject with a total size", "d8:msg_typei2e5:piecei3e10:total_sizei-1ee", Metadata{Type: MetadataReject, Piece: 3}},
	{"a whole piece", "d8:msg_typei1e5:piecei0e10:total_sizei16384ee" + full,
		Metadata{MetadataData, 0, 16384, []byte(full)}},
	{"the last piece", "d8:msg_typei1e5:piecei1e10:total_sizei16388ee" + tail,
		Metadata{MetadataData, 1, 16388, []byte(tail)}},
	{"the first of two", "d8:msg_typei1e5:piecei0e10:total_sizei16388ee" + full,
		Metadata{MetadataData, 0, 16388, []byte(full)}},
	{"the last byte of the largest metadata", "d8:msg_typei1e5:piecei4095e10:total_sizei67108864ee" + full,
		Metadata{MetadataData, 4095, MaxMetadata, []byte(full)}},
	{"total size not said", "d8:msg_typei1e5:piecei7ee" + tail, Metadata{MetadataData, 7, 0, []byte(tail)}},
	{"data that looks like bencode", "d8:msg_typei1e5:piecei0e10:total_sizei4eed1:a", Metadata{MetadataData, 0, 4, []byte("d1:a")}},
}

func TestMetadata(t *testing.T) {
	for _, c := range metadata {
		m, err := ParseMetadata([]byte(c.bytes))
		if err != nil || !reflect.DeepEqual(m, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, m, err, c.want)
		}
		m, err = ParseMetadata(c.want.Append(nil))
		if err != nil || !reflect.DeepEqual(m, c.want) {
			t.Errorf("%s, written again: %+v, %v, want %+v", c.name, m, err, c.want)
		}
	}
	b := Metadata{MetadataData, 1, 16388, []byte(tail)}.Append([]byte("x"))
	if string(b) != "xd8:msg_typei1e5:piecei1e10:total_sizei16388eetail" {
		t.Errorf("data is %q", b)
	}
}

func TestParseMetadataErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string
		want  error
	}{
		{"nothing", "", bencode.ErrTruncated},
		{"a list", "le", bencode.ErrShape},
		{"no type", "d5:piecei3ee", ErrNumber},
		{"no piece", "d8:msg_typei0ee", ErrNumber},
		{"type as a string", "d8:msg_type1:05:piecei3ee", bencode.ErrShape},
		{"piece as a list", "d8:msg_typei0e5:pieceli3eee", bencode.ErrShape},
		{"total size as a string", "d8:msg_typei1e5:piecei0e10:total_size1:4eetail", bencode.ErrShape},
		{"type twice", "d8:msg_typei0e8:msg_typei1e5:piecei3ee", bencode.ErrDuplicate},
		{"type 3", "d8:msg_typei3e5:piecei3ee", ErrUnknownType},
		{"type 256", "d8:msg_typei256e5:piecei3ee", ErrUnknownType},
		{"type -1", "d8:msg_typei-1e5:piecei3ee", ErrNumber},
		{"piece -1", "d8:msg_typei0e5:piecei-1ee", ErrNumber},
		{"piece 2^31", "d8:msg_typei0e5:piecei2147483648ee", ErrNumber},
		{"total size -1", "d8:msg_typei1e5:piecei0e10:total_sizei-1eex", ErrNumber},
		{"total size over the largest", "d8:msg_typei1e5:piecei0e10:total_sizei67108865ee" + full, ErrNumber},
		{"total size 4 GiB", "d8:msg_typei1e5:piecei0e10:total_sizei4294967296ee" + full, ErrNumber},
		{"no data", "d8:msg_typei1e5:piecei0e10:total_sizei4ee", ErrLength},
		{"no data, total size not said", "d8:msg_typei1e5:piecei0ee", ErrLength},
		{"a byte short", "d8:msg_typei1e5:piecei0e10:total_sizei5eetail", ErrLength},
		{"a byte long", "d8:msg_typei1e5:piecei0e10:total_sizei3eetail", ErrLength},
		{"past the end", "d8:msg_typei1e5:piecei1e10:total_sizei16384ee" + tail, ErrLength},
		{"past the end, no data", "d8:msg_typei1e5:piecei1e10:total_sizei16384ee", ErrLength},
		{"over a piece, total size not said", "d8:msg_typei1e5:piecei0ee" + full + "x", ErrLength},
		{"nested too deep", "d1:x" + strings.Repeat("l", 100), bencode.ErrDepth},
		{"over the longest", "d8:msg_typei1e5:piecei0ee" + full + full, ErrTooLong},
	} {
		if m, err := ParseMetadata([]byte(c.bytes)); !errors.Is(err, c.want) || !reflect.DeepEqual(m, Metadata{}) {
			t.Errorf("%s: %+v, %v, want %v", c.name, m, err, c.want)
		}
	}
}

// TestMetadataSpan: the pieces of metadata of every size around a boundary
// follow one another, and cover it.
func TestMetadataSpan(t *testing.T) {
	for _, size := range []int64{0, 1, 16383, 16384, 16385, 32768, 32769, MaxMetadata - 1, MaxMetadata} {
		var at int64
		for i := range MetadataPieces(size) {
			start, end := MetadataSpan(size, i)
			if start != at || end <= start || end-start > MetadataPieceLength {
				t.Fatalf("size %d: piece %d is [%d, %d)", size, i, start, end)
			}
			at = end
		}
		if at != size {
			t.Errorf("size %d: pieces end at %d", size, at)
		}
		for _, i := range []int{-1, MetadataPieces(size), 1<<31 - 1} {
			if start, end := MetadataSpan(size, i); start != 0 || end != 0 {
				t.Errorf("size %d: piece %d is [%d, %d)", size, i, start, end)
			}
		}
	}
}

func TestMetadataTypeString(t *testing.T) {
	for want, typ := range map[string]MetadataType{"request": 0, "data": 1, "reject": 2, "unknown-3": 3} {
		if typ.String() != want {
			t.Errorf("%d is %v", typ, typ)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	for _, c := range metadata {
		f.Add([]byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil {
			return
		}
		if m.Piece < 0 || m.TotalSize < 0 || m.TotalSize > MaxMetadata || len(m.Data) > MetadataPieceLength ||
			m.Type == MetadataData && !bytes.HasSuffix(b, m.Data) {
			t.Fatalf("out of bounds: %+v", m)
		}
		m2, err := ParseMetadata(m.Append(nil))
		if err != nil || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%+v is written and read as %+v, %v", m, m2, err)
		}
	})
}

func BenchmarkParseMetadata(b *testing.B) {
	payload := Metadata{MetadataData, 0, 16384, []byte(full)}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMetadata(payload); err != nil {
			b.Fatal(err)
		}
	}
}
