package engine

import (
	"strings"
	"testing"

	"bipfs/wire"
)

func TestChooseName(t *testing.T) {
	hash := wire.Digest{0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4}
	long := strings.Repeat("é", 127) // 254 bytes
	for _, c := range []struct {
		want  string
		taken []string
		name  string
	}{
		{"film", nil, "film"},
		{"film", []string{"film"}, "film [deadbeef]"},
		{"film", []string{"film", "film [deadbeef]"}, "film [deadbeef01020304]"},
		{".bipfs", nil, ".bipfs [deadbeef]"},
		{strings.Repeat("a", 40), nil, strings.Repeat("a", 40) + " [deadbeef]"},
		{strings.Repeat("A", 32), nil, strings.Repeat("A", 32) + " [deadbeef]"},
		{strings.Repeat("0", 64), nil, strings.Repeat("0", 64) + " [deadbeef]"},
		{strings.Repeat("0", 39), nil, strings.Repeat("0", 39)},
		{long, []string{long}, strings.Repeat("é", 122) + " [deadbeef]"},
	} {
		taken := map[string]bool{}
		for _, n := range c.taken {
			taken[n] = true
		}
		got := chooseName(c.want, hash.String(), func(n string) bool { return taken[n] })
		if got != c.name {
			t.Errorf("%q beside %q is shown as %q, not %q", c.want, c.taken, got, c.name)
		}
		if len(got) > maxName {
			t.Errorf("%q has %d bytes", got, len(got))
		}
	}
}
