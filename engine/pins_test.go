package engine

import (
	"slices"
	"testing"
)

func TestPins(t *testing.T) {
	for _, c := range []struct {
		set  []bool
		want pins
	}{
		{[]bool{false, false}, ""},
		{[]bool{true, true}, pinnedAll},
		{[]bool{true, false}, "0"},
		{[]bool{false, true, true, true, false, true}, "1-3,5"},
		{[]bool{true, true, false, true}, "0-1,3"},
	} {
		p := pinsOf(c.set)
		if p != c.want {
			t.Errorf("%v: %q, want %q", c.set, p, c.want)
		}
		if got, err := parsePins(string(p)); err != nil || got != p {
			t.Errorf("%q: %q, %v", p, got, err)
		}
		if got := p.files(len(c.set)); !slices.Equal(got, c.set) {
			t.Errorf("%q: %v, want %v", p, got, c.set)
		}
	}
}

func TestParsePinsErrors(t *testing.T) {
	for _, s := range []string{",", "1,", "a", "-1", "2-1", "3,1", "0-4,4", "1--2", "99999999999", "ALL", " 1", "0-1,all"} {
		if p, err := parsePins(s); err == nil {
			t.Errorf("%q is %q", s, p)
		}
	}
}

// FuzzPins: whatever a state says, no more files are pinned than there are, and what
// is written is read again.
func FuzzPins(f *testing.F) {
	for _, s := range []string{"", "all", "0", "0-3,7", "5-4", "1-2147483647"} {
		f.Add(s, 9)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = max(1, min(n, 1000))
		p, err := parsePins(s)
		if err != nil {
			return
		}
		set := p.files(n)
		if len(set) != n {
			t.Fatalf("%d files", len(set))
		}
		again := pinsOf(set)
		if q, err := parsePins(string(again)); err != nil || !slices.Equal(q.files(n), set) {
			t.Errorf("%q is written as %q and read as %q, %v", s, again, q, err)
		}
	})
}
