package extension

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"bipfs/wire/bencode"
)

// m is a handshake whose only field is M.
func m(pairs string) Handshake {
	h := Handshake{M: map[string]uint8{}}
	for pair := range strings.FieldsSeq(pairs) {
		var name string
		var id uint8
		fmt.Sscanf(strings.Replace(pair, "=", " ", 1), "%s %d", &name, &id)
		h.M[name] = id
	}
	return h
}

var handshakes = []struct {
	name  string
	bytes string
	want  Handshake
}{
	{"nothing said", "de", Handshake{}},
	{"everything said", "d1:md6:ut_pexi1e11:ut_metadatai3ee13:metadata_sizei31235e1:pi6881e4:reqqi250e11:upload_onlyi1e1:v6:Client6:yourip4:\x0a\x00\x00\x01e",
		Handshake{M: map[string]uint8{"ut_pex": 1, "ut_metadata": 3}, MetadataSize: 31235, Port: 6881, Reqq: 250,
			UploadOnly: true, V: "Client", YourIP: netip.MustParseAddr("10.0.0.1")}},
	{"keys out of order, and others", "d1:v1:x1:ei0e4:ipv44:\x7f\x00\x00\x0112:complete_agoi1e1:xld1:ai1eee1:pi1ee", Handshake{V: "x", Port: 1}},
	{"Transmission 3.00", "d1:ei0e1:md11:ut_metadatai3ee13:metadata_sizei20089e1:pi47811e4:reqqi512e11:upload_onlyi1e1:v17:Transmission 3.00e",
		Handshake{M: map[string]uint8{"ut_metadata": 3}, MetadataSize: 20089, Port: 47811, Reqq: 512, UploadOnly: true, V: "Transmission 3.00"}},
	{"aria2 1.36.0", "d1:md11:ut_metadatai9ee13:metadata_sizei20089e1:pi47813e1:v12:aria2/1.36.0e",
		Handshake{M: map[string]uint8{"ut_metadata": 9}, MetadataSize: 20089, Port: 47813, V: "aria2/1.36.0"}},
	{"as deep as allowed", "d1:x" + strings.Repeat("l", 7) + strings.Repeat("e", 8), Handshake{}},
	{"as many items as allowed", "d1:xl" + strings.Repeat("0:", 1021) + "ee", Handshake{}},
	{"as long as allowed", "d1:x32757:" + strings.Repeat("x", MaxPayload-11) + "e", Handshake{}},
	{"bytes after it", "d1:v1:xegarbage", Handshake{V: "x"}},

	{"an extension turned off", "d1:md6:ut_pexi0eee", m("ut_pex=0")},
	{"two turned off", "d1:md1:ai0e1:bi0eee", m("a=0 b=0")},
	{"the largest id", "d1:md1:ai255eee", m("a=255")},
	{"an id too large", "d1:md1:ai256e1:bi2eee", m("b=2")},
	{"an id far too large", "d1:md1:ai65537e1:bi2eee", m("b=2")},
	{"a negative id", "d1:md1:ai-1e1:bi2eee", m("b=2")},
	{"an id that is a string", "d1:md1:a1:11:bi2eee", m("b=2")},
	{"an id that is a list", "d1:md1:ali1ee1:bi2eee", m("b=2")},
	{"two names on one id", "d1:md6:ut_pexi1e11:ut_metadatai1e1:ci2eee", m("c=2")},
	{"three names on one id", "d1:md1:ai1e1:bi1e1:ci1e1:di2eee", m("d=2")},
	{"a name that is too long", "d1:md65:" + strings.Repeat("a", 65) + "i1eee", m("")},
	{"the longest name", "d1:md64:" + strings.Repeat("a", 64) + "i1eee", m(strings.Repeat("a", 64) + "=1")},
	{"m is a list", "d1:mli1eee", m("")},
	{"m is a string", "d1:m1:ae", m("")},

	{"metadata of no size", "d13:metadata_sizei0ee", Handshake{}},
	{"metadata of less", "d13:metadata_sizei-1ee", Handshake{}},
	{"metadata of 4 GiB", "d13:metadata_sizei4294967295ee", Handshake{}},
	{"the largest metadata", "d13:metadata_sizei67108864ee", Handshake{MetadataSize: MaxMetadata}},
	{"one byte more", "d13:metadata_sizei67108865ee", Handshake{}},
	{"its size as a string", "d13:metadata_size1:7e", Handshake{}},
	{"reqq -1", "d4:reqqi-1ee", Handshake{}},
	{"reqq 0", "d4:reqqi0ee", Handshake{}},
	{"reqq 2^63-1", "d4:reqqi9223372036854775807ee", Handshake{Reqq: MaxReqq}},
	{"reqq as a list", "d4:reqqlee", Handshake{}},
	{"port 0", "d1:pi0ee", Handshake{}},
	{"port 65535", "d1:pi65535ee", Handshake{Port: 65535}},
	{"port 65536", "d1:pi65536ee", Handshake{}},
	{"port -1", "d1:pi-1ee", Handshake{}},
	{"upload only 0", "d11:upload_onlyi0ee", Handshake{}},
	{"upload only -1", "d11:upload_onlyi-1ee", Handshake{}},
	{"upload only 2", "d11:upload_onlyi2ee", Handshake{UploadOnly: true}},
	{"version as a number", "d1:vi1ee", Handshake{}},
	{"the longest version", "d1:v128:" + strings.Repeat("x", 128) + "e", Handshake{V: strings.Repeat("x", 128)}},
	{"a longer one", "d1:v129:" + strings.Repeat("x", 128) + "ye", Handshake{V: strings.Repeat("x", 128)}},
	{"an IPv6 address", "d6:yourip16:\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01e", Handshake{YourIP: netip.MustParseAddr("2001:db8::1")}},
	{"IPv4 in IPv6", "d6:yourip16:" + strings.Repeat("\x00", 10) + "\xff\xff\x0a\x00\x00\x01e", Handshake{YourIP: netip.MustParseAddr("10.0.0.1")}},
	{"an address of five bytes", "d6:yourip5:12345e", Handshake{}},
	{"no address", "d6:yourip0:e", Handshake{}},
}

func TestParseHandshake(t *testing.T) {
	for _, c := range handshakes {
		h, err := ParseHandshake([]byte(c.bytes))
		if err != nil || !reflect.DeepEqual(h, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, h, err, c.want)
		}
	}
}

func TestParseHandshakeErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string
		want  error
	}{
		{"nothing", "", bencode.ErrTruncated},
		{"a list", "le", bencode.ErrShape},
		{"a number", "i1e", bencode.ErrShape},
		{"cut off", "d1:mde", bencode.ErrTruncated},
		{"a string of 2 GiB", "d1:v2147483647:x", bencode.ErrTruncated},
		{"nested 5,000 deep", "d1:m" + strings.Repeat("l", 5000), bencode.ErrDepth},
		{"nested 1 too deep", "d1:x" + strings.Repeat("l", 8) + strings.Repeat("e", 9), bencode.ErrDepth},
		{"m twice", "d1:mde1:mdee", bencode.ErrDuplicate},
		{"an extension twice", "d1:md1:ai1e1:ai2eee", bencode.ErrDuplicate},
		{"reqq 2^63", "d4:reqqi9223372036854775808ee", bencode.ErrInteger},
		{"1,025 items", "d1:xl" + strings.Repeat("0:", 1022) + "ee", bencode.ErrItems},
		{"a byte over the longest", "d1:v32768:" + strings.Repeat("x", MaxPayload-10) + "e", ErrTooLong},
	} {
		if _, err := ParseHandshake([]byte(c.bytes)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestManyExtensions: the names over the bound are left out, the first stay.
func TestManyExtensions(t *testing.T) {
	b := []byte("d1:md")
	for i := range MaxExtensions + 1 {
		b = append(b, fmt.Sprintf("3:%03di%de", i, i+1)...)
	}
	h, err := ParseHandshake(append(b, "ee"...))
	if err != nil || len(h.M) != MaxExtensions || h.M["000"] != 1 || h.M["063"] != 64 {
		t.Errorf("%v, %v", h.M, err)
	}
}

// TestHandshakeAppend: what is written is read as what it was, keys in order.
func TestHandshakeAppend(t *testing.T) {
	for _, c := range handshakes {
		b := c.want.Append([]byte("x"))[1:]
		h, err := ParseHandshake(b)
		if err != nil || !same(h, c.want) {
			t.Errorf("%s: %q is %+v, %v, want %+v", c.name, b, h, err, c.want)
		}
	}
	b := handshakes[1].want.Append(nil)
	want := "d1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei31235e1:pi6881e4:reqqi250e11:upload_onlyi1e1:v6:Client6:yourip4:\x0a\x00\x00\x01e"
	if string(b) != want {
		t.Errorf("everything said is %q", b)
	}
}

// same compares two handshakes; no M and an empty one say the same.
func same(g, h Handshake) bool {
	ms := maps.Equal(g.M, h.M)
	g.M, h.M = nil, nil
	return ms && reflect.DeepEqual(g, h)
}

func FuzzHandshake(f *testing.F) {
	for _, c := range handshakes {
		f.Add([]byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHandshake(b)
		if err != nil {
			return
		}
		if len(h.M) > MaxExtensions || len(h.V) > MaxVersion || h.Reqq < 0 || h.Reqq > MaxReqq ||
			h.MetadataSize < 0 || h.MetadataSize > MaxMetadata || h.Port < 0 || h.Port > 65535 {
			t.Fatalf("out of bounds: %+v", h)
		}
		h2, err := ParseHandshake(h.Append(nil))
		if err != nil || !same(h, h2) {
			t.Fatalf("%+v is written and read as %+v, %v", h, h2, err)
		}
	})
}

func BenchmarkParseHandshake(b *testing.B) {
	payload := []byte(handshakes[1].bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHandshake(payload); err != nil {
			b.Fatal(err)
		}
	}
}
