package metainfo

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNotATorrent(t *testing.T) {
	whole := []byte(dictionary("announce", "http://t/announce", "info", single(1)))
	for _, c := range []struct{ what, file, want string }{
		{"empty", "", "not a torrent: the file is empty"},
		{"HTML", "\r\n <!DOCTYPE html><title>404</title>", "not a torrent: an HTML page"},
		{"HTML without a doctype", "<HTML><body>", "not a torrent: an HTML page"},
		{"HTML behind a byte order mark", "\xEF\xBB\xBF<html>", "not a torrent: an HTML page"},
		{"XML", "<?xml version='1.0'?><rss>", "not a torrent: an XML or HTML document"},
		{"gzip", "\x1f\x8b\x08\x00", "not a torrent: it is gzip-compressed; unpack it first"},
		{"zip", "PK\x03\x04", "not a torrent: it is a zip archive; unpack it first"},
		{"a magnet link", "magnet:?xt=urn:btih:x", "not a torrent: a text with a magnet link; give the link itself"},
		{"a list", "le", "not a torrent: it does not begin with a bencoded dictionary"},
		{"text", "hello", "not a torrent: it does not begin with a bencoded dictionary"},
		{"text that begins with d", "door", "broken torrent: not bencode, at byte 1"},
		{"no info", "d8:announce1:xe", "not a torrent: it has no `info`"},
		{"info a string", "d4:info1:xe", "broken torrent: its `info` is not a dictionary"},
		{"info twice", string(dictionary("info", single(1), "info", single(2))), "broken torrent: dictionary key appears twice, at byte"},
		{"cut short", string(whole[:len(whole)-1]), "broken torrent: it is cut short"},
		{"cut shorter", string(whole[:20]), "broken torrent: it is cut short"},
		{"1,000,000 lists that are open", strings.Repeat("l", 1_000_000), "not a torrent"},
		{"and in a dictionary", "d1:a" + strings.Repeat("l", 1_000_000), "broken torrent: lists and dictionaries are nested too deep"},
	} {
		_, err := Parse([]byte(c.file))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	for n := range len(whole) {
		if _, err := Parse(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are a torrent", n, len(whole))
		}
	}
}

func TestTrailingBytes(t *testing.T) {
	whole := dictionary("info", single(1))
	for _, more := range []written{"", "\n", "de", "junk"} {
		if m, err := Parse([]byte(whole + more)); err != nil || m.Info.Raw[0] != 'd' {
			t.Errorf("%q behind a torrent: %v", more, err)
		}
	}
}

// The infohash is that of the bytes as they came.
func TestUnsortedKeys(t *testing.T) {
	const raw = "d6:pieces20:012345678901234567894:name1:n6:lengthi1e12:piece lengthi16384ee"
	m, err := Parse([]byte("d4:info" + raw + "8:announce10:udp://t:1/e"))
	if err != nil || string(m.Info.Raw) != raw || len(m.Trackers) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	checkInfo(t, m.Info)
}

func TestTrackers(t *testing.T) {
	const a, b, c, d = "http://a/announce", "udp://b:6969", "https://c/announce?k=v", "http://d:80/x"
	for _, x := range []struct {
		what string
		file []any
		want [][]string
	}{
		{"none", nil, nil},
		{"one", []any{"announce", a}, [][]string{{a}}},
		{"a list counts alone", []any{"announce", a, "announce-list", list(list(b, c), list(d))}, [][]string{{b, c}, {d}}},
		{"a list with nothing in it does not", []any{"announce", a, "announce-list", list(list())}, [][]string{{a}}},
		{"nor one with nothing usable", []any{"announce", a, "announce-list", list(list("wss://x", ""), list(7))}, [][]string{{a}}},
		{"nor a string", []any{"announce", a, "announce-list", "x"}, [][]string{{a}}},
		{"a flat list", []any{"announce-list", list(a, b)}, [][]string{{a}, {b}}},
		{"twice", []any{"announce-list", list(list(a, a), list(a, b))}, [][]string{{a}, {b}}},
		{"spaces around it", []any{"announce", " " + a + "\n"}, [][]string{{a}}},
		{"other schemes", []any{"announce-list", list(list("file:///etc/passwd", "gopher://x/", "wss://x", "dht://x", "//x/", "x"), list(a))}, [][]string{{a}}},
		{"no host", []any{"announce-list", list(list("http:///announce", "http:", "udp://:80"), list(a))}, [][]string{{a}}},
		{"a line feed inside", []any{"announce", "http://a/\r\nHost: b"}, nil},
		{"a space inside", []any{"announce", "http://a/b c"}, nil},
		{"as long as can be", []any{"announce", "http://a/" + strings.Repeat("x", maxURL-9)}, [][]string{{"http://a/" + strings.Repeat("x", maxURL-9)}}},
		{"too long", []any{"announce", "http://a/" + strings.Repeat("x", maxURL-8)}, nil},
		{"a number", []any{"announce", 1}, nil},
	} {
		m, err := Parse([]byte(dictionary(append(x.file, "info", single(1))...)))
		if err != nil || !reflect.DeepEqual(m.Trackers, x.want) {
			t.Errorf("%s: %q, %v", x.what, m.Trackers, err)
		}
	}
}

func TestTrackerBounds(t *testing.T) {
	url := func(k int) string { return fmt.Sprintf("http://t%d/announce", k) }
	flat := func(n int) written {
		var urls []any
		for k := range n {
			urls = append(urls, url(k))
		}
		return list(urls...)
	}
	var tiers []any
	for k := range 100_000 {
		tiers = append(tiers, list(url(k)))
	}
	for _, c := range []struct {
		what            string
		list            written
		tiers, trackers int
	}{
		{"100,000 in one tier", list(flat(100_000)), 1, MaxTrackers},
		{"100,000 tiers", list(tiers...), MaxTiers, MaxTiers},
		{"100,000 in a flat list", flat(100_000), MaxTiers, MaxTiers},
		{"as many as can be", list(flat(MaxTrackers)), 1, MaxTrackers},
		{"one more, in a tier of its own", list(flat(MaxTrackers), list("http://x/")), 1, MaxTrackers},
		{"behind 100,000 that are of no use", list(written("l"+strings.Repeat("3:x:/", 100_000)+"e"), list("http://x/")), 0, 0},
	} {
		m, err := Parse([]byte(dictionary("announce-list", c.list, "info", single(1))))
		if err != nil || len(m.Trackers) != c.tiers || len(slices.Concat(m.Trackers...)) != c.trackers {
			t.Errorf("%s: %d tiers, %d trackers, %v", c.what, len(m.Trackers), len(slices.Concat(m.Trackers...)), err)
		}
	}
	m, err := Parse([]byte(dictionary("url-list", flat(100_000), "info", single(1))))
	if err != nil || len(m.WebSeeds) != MaxWebSeeds {
		t.Errorf("%d web seeds, %v", len(m.WebSeeds), err)
	}
}

func TestOtherFields(t *testing.T) {
	day := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	for _, c := range []struct {
		key   string
		value any
		want  Torrent
	}{
		{"creation date", 1_000_000_000, Torrent{Created: day(1e9)}},
		{"creation date", int64(maxCreated), Torrent{Created: day(maxCreated)}},
		{"creation date", int64(maxCreated + 1), Torrent{}},
		{"creation date", int64(1 << 62), Torrent{}},
		{"creation date", 0, Torrent{}},
		{"creation date", -1, Torrent{}},
		{"creation date", "today", Torrent{}},
		{"comment", "see http://x/y", Torrent{Comment: "see http://x/y"}},
		{"comment", " a\nb\x1b[2J\u202e\xff ", Torrent{Comment: "a b[2J"}},
		{"comment", strings.Repeat("é", maxComment), Torrent{Comment: strings.Repeat("é", maxComment/2)}},
		{"comment", 7, Torrent{}},
		{"url-list", "http://w/", Torrent{WebSeeds: []string{"http://w/"}}},
		{"url-list", list("http://w/", "https://v/", "ftp://u/", "http://w/"), Torrent{WebSeeds: []string{"http://w/", "https://v/"}}},
		{"url-list", "", Torrent{}},
		{"url-list", dictionary(), Torrent{}},
		{"nodes", "garbage", Torrent{}},
	} {
		m, err := Parse([]byte(dictionary(c.key, c.value, "info", single(1))))
		if err != nil {
			t.Errorf("%s %v: %v", c.key, c.value, err)
			continue
		}
		m.Info = nil
		if !reflect.DeepEqual(*m, c.want) {
			t.Errorf("%s %.60v: %+v", c.key, c.value, *m)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, file := range []written{
		dictionary("info", single(1)),
		dictionary("announce", "http://a/", "info", single(1)),
		dictionary("announce", "http://a/", "announce-list", list(list("http://a/", "udp://b:1"), list("http://c/")),
			"comment", "of mine", "creation date", 1_000_000_000, "info", single(1), "url-list", list("http://w/")),
	} {
		m, err := Parse([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Encode(); string(got) != string(file) {
			t.Errorf("%s is written as %s", file, got)
		}
	}
}

// What Parse returns is its own.
func TestParseKeepsNothing(t *testing.T) {
	b := []byte(dictionary("announce", "http://a/", "comment", "c", "info", folder(file("a/b", 1)), "url-list", "http://w/"))
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	before := m.Encode()
	clear(b)
	checkInfo(t, m.Info)
	if !bytes.Equal(m.Encode(), before) {
		t.Error("the torrent changes with the input")
	}
}

// manyFiles is a torrent of so many files, a hundred to a directory.
func manyFiles(n int) []byte {
	var files strings.Builder
	for k := range n {
		fmt.Fprintf(&files, "d6:lengthi16384e4:pathl7:dir-%03d15:file-%06d.datee", k/100%1000, k)
	}
	return []byte(dictionary("info", dictionary("files", "l"+written(files.String())+"e",
		"name", "r", "piece length", 1<<20, "pieces", hashes((n+63)/64))))
}

// Of a file stay its name, the room of its Path, and 64 bytes.
func TestManyFiles(t *testing.T) {
	const n = 100_000
	b := manyFiles(n)
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	const name = len("file-000000.dat") + 1 // a string's memory is a multiple of 8 or 16
	perFile := (int(held()) - int(before) - cap(m.Info.Raw)) / n
	if perFile > 64+2*16+name+8 {
		t.Errorf("%d bytes for each file", perFile)
	}
	runtime.KeepAlive(b)
	checkInfo(t, m.Info)
}

func BenchmarkParse(b *testing.B) {
	equal := func(n int) []byte {
		files := "l" + written(strings.Repeat("d6:lengthi0e4:pathl1:aee", n)) + "e"
		return []byte(dictionary("info", dictionary("files", files, "name", "r", "piece length", 16384, "pieces", "")))
	}
	pieces := func(n int) []byte {
		return []byte(dictionary("info", dictionary("length", n, "name", "n", "piece length", 1, "pieces", string(make([]byte, 20*n)))))
	}
	for _, c := range []struct {
		what string
		file []byte
	}{
		{"100000 files", manyFiles(100_000)},
		{"2000 equal names", equal(2000)},
		{"200000 equal names", equal(200_000)},
		{"2097152 pieces", pieces(2_097_152)},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(c.file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTree(b *testing.B) {
	m, err := Parse(manyFiles(100_000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		newTree(m.Info.Name, m.Info.Files)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"alice", "bunny", "corrupt", "folder", "leaves", "lots-of-numbers", "numbers", "sintel"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte(dictionary("announce-list", list(list("http://a/")), "info", folder(file("a/b", 1)))))
	root, layer := layerOf(content(100_000), 1)
	f.Add([]byte(dictionary("info", v2(2, dictionary("n", dictionary("", dictionary("length", 100_000, "pieces root", string(root[:]))))),
		"piece layers", dictionary(string(root[:]), layer))))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		checkInfo(t, m.Info)
		again, err := Parse(m.Encode())
		if err != nil || again.Info.Hash != m.Info.Hash || !reflect.DeepEqual(again.Trackers, m.Trackers) ||
			!reflect.DeepEqual(again.WebSeeds, m.WebSeeds) || again.Comment != m.Comment || !again.Created.Equal(m.Created) {
			t.Errorf("written and read: %+v, %v, want %+v", again, err, m)
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	for _, info := range []written{
		single(1),
		folder(file("a/b", 1), file("a", 2, "attr", "x"), file("a", 2, "attr", "p"), file("a", 3)),
		folder(file("d/a", 1, "attr", "l", "symlink path", list("..", "b")), file("b", 1)),
		folder(file("../a\x00\xff", 1, "attr", "l", "symlink path", list("d", "..", "b", "x"))),
		v2(2, dictionary("a", leafFile(40_000), "d", dictionary("b", leafFile(3), "c", leafFile(0)))),
		hybrid(2, dictionary("a", leafFile(1), "b", leafFile(5)), file("a", 1), file(".pad/1", 16383, "attr", "p"), file("b", 5)),
	} {
		f.Add([]byte(info))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := ParseInfo(b); err == nil {
			checkInfo(t, i)
		}
	})
}
