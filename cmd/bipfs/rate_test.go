package main

import "testing"

func TestParseRate(t *testing.T) {
	for s, want := range map[string]Rate{
		"5MB/s": 5_000_000, "5MB": 5_000_000, "1.5MiB/S": 1572864, "0": 0, "off": 0, "OFF": 0, "1KB/s": 1000, "1000": 1000,
	} {
		got, err := ParseRate(s)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%s is written %v: %v", s, got, err)
		}
	}
	for _, s := range []string{"", "/s", "999", "999B/s", "5M/s", "-1", "5MB/h", "on", "5MB/s/s", "99999999999999999999"} {
		if got, err := ParseRate(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}
