package top

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"bipfs/engine/control"
)

// hostile are names that a stranger gave to torrents, files, peers.
var hostile = map[string]string{
	"plain":                       "plain",
	"\x1b[2J\x1b]0;owned\x07gone": "?[2J?]0;owned?gone",
	"a\nb\rc\td\x00e\x7f":         "a?b?c?d?e?",
	"\u009b31mred":                "?31mred",
	"rtl \u202egpj.exe":           "rtl ?gpj.exe",
	"zero\u200bwidth\u2060\ufeff": "zero?width??",
	"bad \xff\xfe utf-8":          "bad ?? utf-8",
	"映画":                          "映画",
	"e\u0301te\u0301":             "e\u0301te\u0301",
	"\u0301first":                 "?first",
	"heart \u2764\ufe0f":          "heart \u2764",
	"family \U0001f468\u200d\U0001f469\u200d\U0001f467": "family \U0001f468?\U0001f469?\U0001f467",
	"tag \U000e0041":                     "tag ?",
	"z" + strings.Repeat("\u0301", 5000): "?",
}

// TestPlain: nothing that a terminal obeys is left, and the rest is as it was.
func TestPlain(t *testing.T) {
	for s, want := range hostile {
		if got := plain(s); got != want {
			t.Errorf("%.60q: %.60q, not %q", s, got, want)
		}
	}
}

// harmless fails unless a terminal obeys nothing in s but the looks of spans.
func harmless(t *testing.T, s string) {
	t.Helper()
	for _, r := range ansi.Strip(s) {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%q is sent to the terminal: %q", r, s)
		}
	}
	for i, part := range strings.Split(s, "\x1b") {
		order, _, found := strings.Cut(part, "m")
		if i > 0 && (!found || strings.Trim(order, "[0123456789") != "") {
			t.Fatalf("an order is sent to the terminal: %q", part)
		}
	}
}

// everywhere is a mount of which every text is s.
func everywhere(s string) *catalogue {
	c := newCatalogue(control.Torrent{Infohash: hash(1), Name: s, State: s, Pinned: s, Error: s, Length: 9, Pieces: 8, PieceLength: 2})
	c.status.Mountpoint = s
	c.peers[hash(1)] = []control.Peer{{Address: s, Client: s, Kind: s, Transport: s}}
	c.readers[hash(1)] = []control.Reading{{File: s, Program: s, Piece: -5, Until: 1 << 30, Offset: -7, Length: 3}}
	c.pieces[hash(1)] = control.Pieces{Pieces: 8, Here: []byte{0xf0}, Fetching: []int{-9, 1 << 30}}
	return c
}

// TestHostile: names say nothing to the terminal, wherever they are shown, and break
// no line.
func TestHostile(t *testing.T) {
	for name := range hostile {
		for _, torrent := range []string{"", hash(1)} {
			c := everywhere(name)
			s := newScreen(t, c, 60, 20, torrent)
			s.ink = colours
			for range 2 {
				harmless(t, s.text())
				fits(t, s.text(), 60, 20)
				s.look()
				c.refuses = name
			}
			s.see(look{at: s.now, err: &control.Failed{Message: name}})
			harmless(t, s.text())
		}
	}
}

// FuzzPlain: whatever a text is, the terminal obeys nothing in it, and knows how wide
// it is.
func FuzzPlain(f *testing.F) {
	for s := range hostile {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		width = max(0, min(width, 300))
		p := plain(s)
		harmless(t, p)
		if again := plain(p); again != p {
			t.Errorf("%q becomes %q, and that %q", s, p, again)
		}
		between := "| " + p + " |"
		if w, wc := ansi.StringWidth(between), ansi.StringWidthWc(between); w != wc {
			t.Errorf("%q is %d wide, or %d", p, w, wc)
		}
		for _, number := range []bool{false, true} {
			if c := "|" + cell(s, width, number) + "|"; ansi.StringWidth(c) != width+2 {
				t.Errorf("a cell of %d is %d wide: %q", width, ansi.StringWidth(c)-2, c)
			}
		}
	})
}

// TestNumbers: rates and counts, as people read them.
func TestNumbers(t *testing.T) {
	for _, o := range []struct{ got, want string }{
		{speed(0), ""}, {speed(-1), ""}, {speed(2048), "2.0 KiB/s"},
		{count(1, "peer", "peers"), "1 peer"}, {count(0, "peer", "peers"), "0 peers"},
	} {
		if o.got != o.want {
			t.Errorf("%q, not %q", o.got, o.want)
		}
	}
}

// TestMeter: what came in the last seconds counts, however the looks come.
func TestMeter(t *testing.T) {
	var m meter
	at := someTime
	for _, o := range []struct {
		after       time.Duration
		count, rate int64
	}{
		{0, 1000, 0},
		{time.Second, 3000, 2000},
		{time.Second, 3000, 1000},
		{0, 9000, 1000}, // two looks at one time: the first counts
		{time.Second, 3000, 666},
		{time.Second, 3000, 0},                // the first is forgotten
		{10 * time.Second, 13000, 1000},       // of a list that is asked for seldom
		{time.Second, 14000, 1000},            //
		{time.Second, 500, 0},                 // it began anew
		{time.Second, 1500, 1000},             //
		{time.Second / 2, 1500 + 500, 1000},   //
		{time.Millisecond, 1500 + 500, 999},   //
		{-time.Second, 1500 + 500, 999},       // a clock that was set back
		{time.Hour, 1500 + 500 + 3600*10, 10}, // the machine was asleep
	} {
		at = at.Add(o.after)
		m.see(at, o.count)
		if got := m.rate(); got != o.rate {
			t.Errorf("%d after %v: %d B/s, not %d", o.count, o.after, got, o.rate)
		}
	}
}
