package bencode

import (
	"strings"
	"testing"
)

// walk writes what a cursor finds in nested dictionaries.
func walk(c *Cursor, out *strings.Builder) {
	if !c.Enter() {
		out.Write(c.Value())
		return
	}
	out.WriteByte('{')
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		out.Write(key)
		out.WriteByte('=')
		walk(c, out)
		out.WriteByte(' ')
	}
	out.WriteByte('}')
}

func TestCursor(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"de", "{}"},
		{"i1e", "i1e"},
		{"d1:ai1e1:bd0:de1:cl1:xee1:d2:xye", "{a=i1e b={={} c=l1:xe } d=2:xy }"},
		// Anything else is less, and no panic.
		{"", ""},
		{"d", "{}"},
		{"d1:a", "{a= }"},
		{"d1:ad", "{a={} }"},
		{"di1ei2ee", "{}"},
		{"d1:alee", "{a=le }"},
		{"d1:al", "{a= }"},
		{"d5:ae", "{}"},
	} {
		var out strings.Builder
		walk(NewCursor([]byte(c.in)), &out)
		if out.String() != c.want {
			t.Errorf("%s is %s, want %s", c.in, out.String(), c.want)
		}
	}
}

// A cursor ends, and takes no longer than the input is long.
func FuzzCursor(f *testing.F) {
	f.Add([]byte("d1:ai1e1:bd0:de1:cl1:xee1:d2:xye"))
	f.Add([]byte("dddd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewCursor(b)
		steps := 0
		for depth := 0; depth >= 0 && steps <= 2*len(b)+2; steps++ {
			if _, ok := c.Key(); !ok {
				depth--
			} else if c.Enter() {
				depth++
			} else {
				c.Value()
			}
		}
		if steps > 2*len(b)+2 {
			t.Fatal("it goes on for ever")
		}
	})
}
