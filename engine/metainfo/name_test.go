package metainfo

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafeName(t *testing.T) {
	long := func(s string, n int) string { return strings.Repeat(s, n) }
	for _, c := range []struct{ what, name, want string }{
		{"plain", "Readme.txt", "Readme.txt"},
		{"spaces", " a  b ", " a  b "},
		{"dot files", ".Trash", ".Trash"},
		{"three dots", "...", "..."},
		{"trailing dots", "a..", "a.."},
		{"backslash", `..\..\a`, `..\..\a`},
		{"percent", "100%2F", "100%2F"},
		{"empty", "", "_"},
		{"dot", ".", "%2E"},
		{"dot dot", "..", "%2E%2E"},
		{"slash", "/", "%2F"},
		{"absolute", "/etc/passwd", "%2Fetc%2Fpasswd"},
		{"climb", "a/../../etc", "a%2F..%2F..%2Fetc"},
		{"NUL", "a\x00b", "a%00b"},
		{"escape and newline", "a\x1b[2Jb\r\n.txt", "a%1B[2Jb%0D%0A.txt"},
		{"delete", "a\x7f", "a%7F"},
		{"C1 control", "a\u0085b", "a%C2%85b"},
		{"Latin-1", "caf\xe9.txt", "caf%E9.txt"},
		{"unpaired surrogate", "a\xed\xa0\x80b", "a%ED%A0%80b"},
		{"overlong slash", "a\xc0\xaf..\xc0\xafetc", "a%C0%AF..%C0%AFetc"},
		{"cut short in a character", "a\xe2\x82", "a%E2%82"},
		{"the replacement character itself", "a\ufffd", "a\ufffd"},
		{"right-to-left override", "exe\u202egpj.exe", "exe%E2%80%AEgpj.exe"},
		{"isolates and marks", "\u2066a\u2069\u200e\u200f\u061c", "%E2%81%A6a%E2%81%A9%E2%80%8E%E2%80%8F%D8%9C"},
		{"zero-width space, joiner of words, byte order mark", "a\u200bb\u2060c\ufeff", "a%E2%80%8Bb%E2%81%A0c%EF%BB%BF"},
		{"line separator", "a\u2028b", "a%E2%80%A8b"},
		{"a filler that shows nothing", "\u3164", "%E3%85%A4"},
		{"soft hyphen", "a\u00adb", "a%C2%ADb"},
		{"joiner between Latin letters", "a\u200db\u200c.", "a%E2%80%8Db%E2%80%8C."},
		{"joiner in Persian", "می\u200cخواهم", "می\u200cخواهم"},
		{"joiner in an emoji", "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥", "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥"},
		{"joiner at the end", "می\u200c", "می%E2%80%8C"},
		{"joiner before what is escaped", "می\u200c\u202eم", "می%E2%80%8C%E2%80%AEم"},
		{"two joiners", "م\u200c\u200cم", "م%E2%80%8C%E2%80%8Cم"},
		{"number sign of Arabic", "\u0600١", "\u0600١"},
		{"ideographic space", "映画\u3000第1話.mkv", "映画\u3000第1話.mkv"},
		{"NFC", "\u00e9", "\u00e9"},
		{"NFD", "e\u0301", "e\u0301"},
		{"255 bytes", long("a", 251) + ".mkv", long("a", 251) + ".mkv"},
		{"256 bytes", long("a", 252) + ".mkv", long("a", 242) + "~70a6be6e.mkv"},
		{"1,024 bytes", long("a", 1024), long("a", 246) + "~8eca5546"},
		{"260 bytes of two each", long("é", 128) + ".mkv", long("é", 121) + "~bcfa63ea.mkv"},
		{"an extension that is none", long("a", 250) + ".a b c", long("a", 246) + "~951af7b4"},
		{"an extension as long as can be", long("a", 250) + "." + long("b", 15), long("a", 230) + "~ad4e5e0a." + long("b", 15)},
		{"an extension that is too long", long("a", 250) + "." + long("b", 16), long("a", 246) + "~0a773f8a"},
		{"long by its escapes", long("\x01", 100) + ".mkv", long("%01", 80) + "~ee526bc0.mkv"},
		{"cut after a joiner", long("م\u200c", 70), ""},
	} {
		got := SafeName(c.name)
		if c.want != "" && got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.what, c.name, got, c.want)
		}
		checkName(t, c.name, got)
	}
}

// checkName checks what SafeName promises of any name.
func checkName(t *testing.T, name, safe string) {
	t.Helper()
	if safe == "" || safe == "." || safe == ".." || len(safe) > MaxName {
		t.Errorf("%q becomes %q, which is no path element", name, safe)
	}
	if strings.ContainsAny(safe, "/\x00") || !utf8.ValidString(safe) {
		t.Errorf("%q becomes %q, which is not safe", name, safe)
	}
	for _, r := range safe {
		if !shows(r) && !strings.ContainsRune(joiners, r) {
			t.Errorf("%q becomes %q, with a %U that does not show", name, safe, r)
		}
	}
	if again := SafeName(safe); again != safe {
		t.Errorf("%q becomes %q, and that becomes %q", name, safe, again)
	}
}

func TestLongNamesStayDifferent(t *testing.T) {
	seen := make(map[string]string)
	for k := range 1000 {
		name := strings.Repeat("x", 300) + fmt.Sprint(k) + ".mkv"
		safe := SafeName(name)
		if !strings.HasSuffix(safe, ".mkv") || len(safe) != MaxName {
			t.Fatalf("%q", safe)
		}
		if other, ok := seen[safe]; ok {
			t.Fatalf("%s and %s are both %s", name, other, safe)
		}
		seen[safe] = name
	}
}

// A name of a whole .torrent is read no further than it is shown.
func TestHugeNameIsCheap(t *testing.T) {
	name := strings.Repeat("\x01", 10<<20)
	if got := allocated(func() { SafeName(name) }); got > 11<<20 {
		t.Errorf("%d bytes allocated for a name of 10 MiB", got)
	}
}

// allocated is the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestSeries(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		want string
	}{
		{"a.txt", 2, "a (2).txt"},
		{"a", 13, "a (13)"},
		{".hidden", 2, ".hidden (2)"},
		{"a.b (2).c d", 2, "a.b (2).c d (2)"},
		{strings.Repeat("é", 125) + ".mkv", 2, strings.Repeat("é", 121) + " (2).mkv"},
		{strings.Repeat("a", 255), 500_000, strings.Repeat("a", 246) + " (500000)"},
	} {
		got := seriesOf(c.name).name(c.n)
		if got != c.want {
			t.Errorf("number %d of %q is %q, want %q", c.n, c.name, got, c.want)
		}
		checkName(t, c.name, got)
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a/b", "caf\xe9.txt", "م\u200cم", "\u202e", strings.Repeat("\u200dم", 90) + ".mkv"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		safe := SafeName(name)
		checkName(t, name, safe)
		checkName(t, name, seriesOf(safe).name(MaxEntries))
	})
}

func BenchmarkSafeName(b *testing.B) {
	for _, c := range []struct{ what, name string }{
		{"plain", "Some.Show.S01E01.1080p.WEB.mkv"},
		{"unicode", "映画 第1話「はじまり」.mkv"},
		{"escaped", "caf\xe9\x1b.txt"},
		{"long", strings.Repeat("映", 100)},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				SafeName(c.name)
			}
		})
	}
}
