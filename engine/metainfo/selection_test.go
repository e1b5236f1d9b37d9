package metainfo

import "testing"

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		so   string
		want string // of ten files
	}{
		{"", "0123456789"},
		{"0", "0"},
		{"0,2,4,6-8", "024678"},
		{"3-3,3", "3"},
		{"8-99", "89"},
		{"99", ""},
		{"5-4", "0123456789"}, // nothing in it is a selection
		{"-", "0123456789"},
		{"1,,-3,4-", "1"},
		{"2,99999999999999999999", "2"},
	} {
		s := (&Magnet{SelectOnly: c.so}).Selection()
		got := ""
		for i := range 10 {
			if s.Has(i) {
				got += string(rune('0' + i))
			}
		}
		if got != c.want {
			t.Errorf("%q selects %q, want %q", c.so, got, c.want)
		}
	}
}

func FuzzSelection(f *testing.F) {
	for _, s := range []string{"", "0", "1-2,4", "2147483647-2147483648", "-,--,1-", "4-3"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, so string, i int) {
		s := (&Magnet{SelectOnly: so}).Selection()
		for _, r := range s {
			if r.first < 0 || r.last < r.first {
				t.Errorf("%q: %v", so, r)
			}
		}
		if len(s) > 0 && i < 0 && s.Has(i) {
			t.Errorf("%q selects file %d", so, i)
		}
	})
}
