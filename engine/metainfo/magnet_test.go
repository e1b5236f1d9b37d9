package metainfo

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"bipfs/wire"
)

const (
	someHash   = "c334138ef5bfc2d568ea7324e0e2a3a7ec229bdd"
	someBase32 = "YM2BHDXVX7BNK2HKOMSOBYVDU7WCFG65"
	someXT     = "xt=urn:btih:" + someHash

	someV2   = "e5a1083ee0bd925eecf3a57bf11601a47a4292e4b9175b0375fef30211f9bc94"
	someXTV2 = "xt=urn:btmh:1220" + someV2
)

func digest(s string) (h wire.Digest) {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return wire.Digest(b)
}

func sha(s string) (h wire.Hash) {
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		panic(err)
	}
	return h
}

func TestMagnetV2(t *testing.T) {
	m, err := ParseMagnet("magnet:?" + someXTV2 + "&dn=a")
	want := Magnet{V2: sha(someV2), Hash: digest(someV2[:40]), Name: "a"}
	if err != nil || !reflect.DeepEqual(*m, want) || m.ID().HasV1() {
		t.Fatalf("%+v, %v", m, err)
	}
	if s := m.String(); s != "magnet:?"+someXTV2+"&dn=a" {
		t.Error(s)
	}
	checkMagnet(t, m)
	m.Hash = digest(someHash)
	if s := m.String(); s != "magnet:?"+someXT+"&"+someXTV2+"&dn=a" || !m.ID().HasV1() {
		t.Error(s)
	}
	checkMagnet(t, m)
}

func TestParseMagnet(t *testing.T) {
	h := digest(someHash)
	for _, c := range []struct {
		what, uri string
		want      Magnet // but for the hash
	}{
		{"only the hash", someXT, Magnet{}},
		{"upper case", "XT=URN:BTIH:" + strings.ToUpper(someHash), Magnet{}},
		{"base32", "xt=urn:btih:" + someBase32, Magnet{}},
		{"base32 in lower case", "xt=urn:btih:" + strings.ToLower(someBase32), Magnet{}},
		{"hash escaped", "xt=urn%3Abtih%3A" + someHash, Magnet{}},
		{"hash last", "dn=a&" + someXT, Magnet{Name: "a"}},
		{"numbered", "xt.1=urn:btih:" + someHash + "&tr.1=http://a/&tr.22=http://b/", Magnet{Trackers: []string{"http://a/", "http://b/"}}},
		{"v2 beside it", someXTV2 + "&" + someXT, Magnet{V2: sha(someV2)}},
		{"v2 behind it, in upper case", someXT + "&XT=URN:BTMH:1220" + strings.ToUpper(someV2), Magnet{V2: sha(someV2)}},
		{"two of v2: the first", someXTV2 + "&xt=urn:btmh:1220" + strings.Repeat("1", 64) + "&" + someXT, Magnet{V2: sha(someV2)}},
		{"v2 of zeros", "xt=urn:btmh:1220" + strings.Repeat("00", 32) + "&" + someXT, Magnet{}},
		{"v2 of another sort of hash", "xt=urn:btmh:1114" + someHash + "&" + someXT, Magnet{}},
		{"other topics", "xt=urn:sha1:" + someBase32 + "&" + someXT + "&xt=urn:ed2k:1", Magnet{}},
		{"two hashes: the first", someXT + "&xt=urn:btih:" + strings.Repeat("0", 40), Magnet{}},
		{"a bad hash before", "xt=urn:btih:123&" + someXT, Magnet{}},
		{"name", someXT + "&dn=Sintel+%282010%29%20%2B", Magnet{Name: "Sintel (2010) +"}},
		{"two names: the first", someXT + "&dn=a&dn=b", Magnet{Name: "a"}},
		{"empty name", someXT + "&dn=", Magnet{}},
		{"hostile name", someXT + "&dn=..%2F..%2Fetc%00%E2%80%AE", Magnet{Name: "..%2F..%2Fetc%00%E2%80%AE"}},
		{"name in no UTF-8", someXT + "&dn=caf%E9", Magnet{Name: "caf%E9"}},
		{"trackers", someXT + "&tr=http%3A%2F%2Fa%2Fannounce%3Fx%3D1&tr=udp://b:80&tr=http%3A%2F%2Fa%2Fannounce%3Fx%3D1",
			Magnet{Trackers: []string{"http://a/announce?x=1", "udp://b:80"}}},
		{"a plus in a tracker", someXT + "&tr=http://a/+x", Magnet{Trackers: []string{"http://a/+x"}}},
		{"trackers of no use", someXT + "&tr=wss://a&tr=&tr=file:///etc/passwd&tr=http://a/%0D%0AHost:b&tr=x", Magnet{}},
		{"web seeds", someXT + "&ws=https://a/b&ws=ftp://a/", Magnet{WebSeeds: []string{"https://a/b"}}},
		{"peers", someXT + "&x.pe=1.2.3.4:5&x.pe=%5B2001%3Adb8%3A%3A1%5D:65535&x.pe=host-1.example.:80&x.pe=1.2.3.4:5",
			Magnet{Peers: []string{"1.2.3.4:5", "[2001:db8::1]:65535", "host-1.example.:80"}}},
		{"peers of no use", someXT + "&x.pe=1.2.3.4&x.pe=1.2.3.4:0&x.pe=a:65536&x.pe=a:-1&x.pe=a:+1&x.pe=:1&x.pe=[1.2.3.4]:5&x.pe=[a]:5&x.pe=a%20b:1&x.pe=[::1:5&x.pe=::1:5&x.pe=a/b:1&x.pe=", Magnet{}},
		{"length", someXT + "&xl=5490455272", Magnet{Length: 5490455272}},
		{"lengths of no use", someXT + "&xl=-1&xl=9223372036854775808&xl=x&xl=", Magnet{}},
		{"selection", someXT + "&so=0,2,4,6-8", Magnet{SelectOnly: "0,2,4,6-8"}},
		{"a selection that is none", someXT + "&so=all", Magnet{}},
		{"copied out of HTML", someXT + "&amp;dn=a&amp;tr=http://a/", Magnet{Name: "a", Trackers: []string{"http://a/"}}},
		{"spaces around it", someXT + " \n", Magnet{}},
		{"what nobody knows", someXT + "&kt=a&xs=http://x/&as=%zz&&=&x&x.=1", Magnet{}},
	} {
		m, err := ParseMagnet("magnet:?" + c.uri)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		c.want.Hash = h
		if !reflect.DeepEqual(*m, c.want) {
			t.Errorf("%s: %+v, want %+v", c.what, *m, c.want)
		}
		checkMagnet(t, m)
	}
	if m, err := ParseMagnet(" MAGNET:?" + someXT); err != nil || m.Hash != h {
		t.Errorf("upper case: %v", err)
	}
}

func TestParseMagnetErrors(t *testing.T) {
	for _, c := range []struct{ what, uri, want string }{
		{"empty", "", "not a magnet link: it does not begin with magnet:?"},
		{"a URL", "http://x/?xt=urn:btih:" + someHash, "not a magnet link: it does not begin with magnet:?"},
		{"no question mark", "magnet:" + someXT, "not a magnet link: it does not begin with magnet:?"},
		{"nothing in it", "magnet:?", "broken magnet link: it has no infohash"},
		{"no hash", "magnet:?dn=a", "broken magnet link: it has no infohash"},
		{"39 digits", "magnet:?xt=urn:btih:" + someHash[:39], "broken magnet link: its infohash is neither"},
		{"no digits", "magnet:?xt=urn:btih:" + strings.Repeat("z", 40), "broken magnet link: its infohash is neither"},
		{"base32 of wrong digits", "magnet:?xt=urn:btih:" + strings.Repeat("1", 32), "broken magnet link: its infohash is neither"},
		{"v2 of zeros", "magnet:?xt=urn:btmh:1220" + strings.Repeat("00", 32), "broken magnet link: its v2 infohash is not"},
		{"v2 of 63 digits", "magnet:?" + someXTV2[:len(someXTV2)-1], "broken magnet link: its v2 infohash is not"},
		{"v2 of 65 digits", "magnet:?" + someXTV2 + "0", "broken magnet link: its v2 infohash is not"},
		{"v2 of no digits", "magnet:?xt=urn:btmh:1220" + strings.Repeat("z", 64), "broken magnet link: its v2 infohash is not"},
		{"v2 of SHA-1", "magnet:?xt=urn:btmh:1114" + someHash, "broken magnet link: its v2 infohash is not"},
		{"v2 of nothing", "magnet:?xt=urn:btmh:", "broken magnet link: its v2 infohash is not"},
		{"broken escape in the hash", "magnet:?xt=urn:btih%3", "broken magnet link: parameter xt: invalid URL escape \"%3\""},
		{"broken escape in the name", "magnet:?" + someXT + "&dn=100%zz", "broken magnet link: parameter dn: invalid URL escape \"%zz\""},
		{"too long", "magnet:?" + someXT + "&dn=" + strings.Repeat("a", MaxMagnet), "not a magnet link: longer than 64 KiB"},
	} {
		_, err := ParseMagnet(c.uri)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func TestMagnetBounds(t *testing.T) {
	uri := "magnet:?" + someXT
	for k := range 1000 {
		uri += fmt.Sprintf("&tr=http://t%d/&ws=http://w%d/&x.pe=h%d:1", k, k, k)
	}
	m, err := ParseMagnet(uri)
	if err != nil || len(m.Trackers) != MaxTrackers || len(m.WebSeeds) != MaxWebSeeds || len(m.Peers) != MaxPeers {
		t.Errorf("%d trackers, %d web seeds, %d peers, %v", len(m.Trackers), len(m.WebSeeds), len(m.Peers), err)
	}
	at := uri + strings.Repeat("&", MaxMagnet-len(uri))
	if _, err := ParseMagnet(at); err != nil {
		t.Errorf("a link of %d bytes: %v", len(at), err)
	}
	if _, err := ParseMagnet(at + "&"); err == nil {
		t.Errorf("a link of %d bytes is accepted", len(at)+1)
	}
}

func TestMagnetString(t *testing.T) {
	m := &Magnet{
		Hash: digest(someHash), Name: "a b&c+%41", Length: 7, SelectOnly: "0-3",
		Trackers: []string{"http://a/?x=1&y=2"}, WebSeeds: []string{"https://w/a+b"}, Peers: []string{"[::1]:80"},
	}
	const want = "magnet:?xt=urn:btih:" + someHash + "&dn=a%20b%26c%2B%2541&xl=7&tr=http%3A%2F%2Fa%2F%3Fx%3D1%26y%3D2" +
		"&ws=https%3A%2F%2Fw%2Fa%2Bb&x.pe=%5B%3A%3A1%5D%3A80&so=0-3"
	if got := m.String(); got != want {
		t.Errorf("%s", got)
	}
	checkMagnet(t, m)
}

// checkMagnet checks what is true of every Magnet.
func checkMagnet(t *testing.T, m *Magnet) {
	t.Helper()
	if m.Name != "" {
		checkName(t, m.Name, m.Name)
	}
	if len(m.Trackers) > MaxTrackers || len(m.WebSeeds) > MaxWebSeeds || len(m.Peers) > MaxPeers || m.Length < 0 {
		t.Errorf("over the bounds: %+v", m)
	}
	uri := m.String()
	if len(uri) > MaxMagnet {
		return // every byte may have become three
	}
	again, err := ParseMagnet(uri)
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("%+v is written as %s, and read as %+v, %v", m, uri, again, err)
	}
}

func TestParseHash(t *testing.T) {
	for _, c := range []struct {
		s  string
		ok bool
	}{
		{someHash, true}, {strings.ToUpper(someHash), true}, {someBase32, true}, {strings.ToLower(someBase32), true},
		{"", false}, {someHash + "0", false}, {someHash[1:], false}, {"g" + someHash[1:], false}, {" " + someHash[1:], false},
		{someBase32[1:], false}, {someBase32 + "A", false}, {"1" + someBase32[1:], false}, {someBase32[:31] + "=", false},
		{someBase32[:30] + "\r\n", false}, {strings.Repeat("ſ", 16), false}, {someHash + someHash[:24], false},
	} {
		h, ok := ParseHash(c.s)
		if ok != c.ok || ok && h != digest(someHash) || !ok && h != (wire.Digest{}) {
			t.Errorf("%q: %x, %v", c.s, h, ok)
		}
	}
}

func FuzzParseMagnet(f *testing.F) {
	for _, s := range []string{
		someXT, "xt=urn:btih:" + someBase32, "xt=urn:btmh:1220", someXTV2, someXT + "&" + someXTV2, someXT + "&dn=a+b%00&tr.1=http://a/&x.pe=[::1]:80&so=0-3&xl=9&ws=http://w/",
	} {
		f.Add("magnet:?" + s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if m, err := ParseMagnet(uri); err == nil {
			checkMagnet(t, m)
		}
	})
}
