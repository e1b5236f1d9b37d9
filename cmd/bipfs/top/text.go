package top

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"bipfs/cmd/bipfs/figure"
)

// longestCluster is the most bytes of one character with its marks: more of them
// would grow over the lines above.
const longestCluster = 16

// plain is a text as a terminal may be sent it: nothing that it would obey, and
// nothing of which terminals differ how wide it is. The others become question
// marks.
func plain(s string) string {
	ascii := true
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		case unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		ascii = ascii && r < utf8.RuneSelf
		return r
	}, s)
	if ascii {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		cluster, width := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
		s = s[len(cluster):]
		if len(cluster) > longestCluster || !steady(cluster, width) {
			cluster = "?"
		}
		b.WriteString(cluster)
	}
	return b.String()
}

// steady reports whether a character is as wide by itself as it is between others,
// by both ways in which terminals count.
func steady(cluster string, width int) bool {
	between := " " + cluster + " "
	return width > 0 && ansi.StringWidth(between) == width+2 && ansi.StringWidthWc(between) == width+2
}

// cell is a text in a column: cut to its width, or filled up to it, on the left if
// it is a number.
func cell(s string, width int, number bool) string {
	s = cut(s, width)
	space := strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
	if number {
		return space + s
	}
	return s + space
}

// cut is the text, plain, in at most so many columns.
func cut(s string, width int) string {
	return ansi.Truncate(plain(s), max(0, width), "…")
}

// ink is what a frame may be drawn with.
type ink int

const (
	none    ink = iota // letters
	mono               // and bold, faint, and white on black
	colours            // and colours
)

// style is how a span looks: a parameter of SGR.
type style string

const (
	usual   style = ""
	bold    style = "1"
	faint   style = "2"
	chosen  style = "7"
	wrong   style = "31"
	good    style = "32"
	pending style = "33"
	ahead   style = "36"
)

// span is a run of text of one look, and line one line of a frame.
type (
	span struct {
		text string
		style
	}
	line []span
)

// render is the line as the terminal gets it, in at most width columns. Nothing
// else makes what is sent: the only orders to the terminal in it are these.
func (l line) render(width int, i ink) string {
	var b strings.Builder
	for _, s := range l {
		text := cut(s.text, width)
		width -= ansi.StringWidth(text)
		colour := s.style > "3" && s.style < "4"
		if text == "" || s.style == usual || i == none || colour && i == mono {
			b.WriteString(text)
			continue
		}
		fmt.Fprintf(&b, "\x1b[%sm%s\x1b[m", s.style, text)
	}
	if i == none {
		return strings.TrimRight(b.String(), " ")
	}
	return b.String()
}

// speed is a rate; nothing if nothing comes.
func speed(n int64) string {
	if n <= 0 {
		return ""
	}
	return figure.Bytes(n) + "/s"
}

// count is a number of things.
func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
