package metainfo

import (
	"strings"
	"testing"
)

// TestSpelledPaths: what is shown is safe and unlike all else; what a web seed
// is asked for is as the torrent has it.
func TestSpelledPaths(t *testing.T) {
	for _, c := range []struct{ info, want string }{
		{"d6:lengthi1e4:name5:a?b#c12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe", "a?b#c"},
		{"d6:lengthi1e4:name3:a\n\x0112:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe", "a\n\x01"},
		{"d6:lengthi1e4:name2:..12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe", "SAFE"},
		{"d5:filesl" +
			"d6:lengthi1e4:pathl1:d1:feed6:lengthi1e4:pathl1:d1:feed6:lengthi0e4:pathl2:..3:a/b1:xee" +
			"d6:lengthi0e4:pathl1:\xe9e10:path.utf-8l2:\u00e9ee" +
			"d6:lengthi0e4:pathl1:\xe9e10:path.utf-8l1:\xe9ee" +
			"e4:name1:n10:name.utf-82:\u00fc12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe",
			"\u00fc d f|\u00fc d f|\u00fc SAFE SAFE x|\u00fc \u00e9|\u00fc \xe9"},
	} {
		i, err := ParseInfo([]byte(c.info))
		if err != nil {
			t.Fatal(err)
		}
		path := i.SpelledPaths()
		var got []string
		for k := range i.Files {
			elements := path(k)
			for n, e := range elements {
				if e == SafeName("..") || e == SafeName("a/b") {
					elements[n] = "SAFE"
				}
			}
			got = append(got, strings.Join(elements, " "))
		}
		if got := strings.Join(got, "|"); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
