package figure

import "testing"

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 5 << 20: "5.0 MiB",
		1 << 30: "1.0 GiB", 5 << 40: "5.0 TiB", 1 << 62: "4.0 EiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, not %q", n, got, want)
		}
	}
}

// TestShare: 100 % is all of it, and less is less.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		here, all int64
		percent   int64
		want      string
	}{
		{0, 0, 0, "-"}, {0, 1000, 0, "0 %"}, {-3, 7, 0, "0 %"}, {1, 3, 33, "33 %"}, {999, 1000, 99, "99 %"},
		{1000, 1000, 100, "100 %"}, {1<<62 - 1, 1 << 62, 99, "99 %"}, {1 << 61, 1 << 62, 50, "50 %"}, {1 << 62, 1<<63 - 1, 50, "50 %"},
	} {
		if got := Share(c.here, c.all); got != c.want || Percent(c.here, c.all) != c.percent {
			t.Errorf("%d of %d: %q, not %q", c.here, c.all, got, c.want)
		}
	}
}
