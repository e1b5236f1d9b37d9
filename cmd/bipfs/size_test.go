package main

import (
	"math"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]Size{
		"0": 0, "1": 1, "1 ": 1, "00": 0, "007": 7, "4096": 4096, "0B": 0, "12B": 12, "12 B": 12,
		"1KB": 1000, "1MB": 1e6, "1GB": 1e9, "1TB": 1e12, "1PB": 1e15, "1EB": 1e18,
		"1KiB": 1 << 10, "1MiB": 1 << 20, "1GiB": 1 << 30, "1TiB": 1 << 40, "1PiB": 1 << 50, "1EiB": 1 << 60,
		"1kb": 1000, "1kib": 1024, "1mB": 1e6, "256 MiB": 256 << 20,
		"1.5GiB": 3 << 29, "0.5KB": 500, "0.5KiB": 512, "1.0KB": 1000, "2.25MiB": 9 << 18,
		"0.0001KB": 0, "1.9999KB": 1999, "0.1KiB": 102, "1.000000000000000000001TiB": 1 << 40,
		"9223372036854775807": math.MaxInt64, "9223372036854775807B": math.MaxInt64, "7.99EiB": 9211842821808707338,
		"9.223372036854775807EB": math.MaxInt64, "9007199254740993KB": 9007199254740993000,
	} {
		if got, err := ParseSize(s); got != want || err != nil {
			t.Errorf("%q is %d, %v; want %d", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "write a number", " ": "write a number", "B": "write a number", ".": "write a number", ".5KB": "write a number",
		"5.": "write a number", "5.KB": "write a number", "1.2.3KB": "write a number", "-1": "write a number", "+1": "write a number",
		" 1": "write a number", "KB1": "write a number",
		"1K": "write KB for thousands or KiB for 1024s", "1m": "write MB for thousands", "1.5 G": "write GB for thousands",
		"1Q": "its unit", "1KBB": "its unit", "1  KB": "its unit", "1KB ": "its unit", "1e5": "its unit", "0x10": "its unit", "1_000": "its unit",
		"1,5GB": "its unit", "1Ki": "its unit", "1MiB\n": "its unit", "1 / 3": "its unit", "٣KB": "write a number",
		"1.5": "bytes come whole", "1.0B": "bytes come whole",
		"9223372036854775808": "more than", "8EiB": "more than", "10EB": "more than", "9.223372036854775808EB": "more than",
		"99999999999999999999999999999999999999": "more than",
		strings.Repeat("9", 41):                  "too long", strings.Repeat("x", 1<<20): "too long",
	} {
		if got, err := ParseSize(s); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.50q is %d, %.300v; want %q", s, got, err, want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[Size]string{
		0: "0B", 1: "1B", 999: "999B", 1000: "1KB", 1024: "1KiB", 1025: "1025B", 1e6: "1MB", 256 << 20: "256MiB", 3 << 29: "1536MiB",
		1e9: "1GB", 1 << 30: "1GiB", 1 << 60: "1EiB", math.MaxInt64: "9223372036854775807B",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d is %s, want %s", size, got, want)
		}
	}
}

func TestSizeText(t *testing.T) {
	s := Size(7)
	if err := s.UnmarshalText([]byte("1.5x")); err == nil || s != 7 {
		t.Errorf("a bad text: %d, %v", s, err)
	}
	if err := s.UnmarshalText([]byte("64KiB")); err != nil || s != 64<<10 {
		t.Errorf("a good text: %d, %v", s, err)
	}
	if b, err := s.MarshalText(); string(b) != "64KiB" || err != nil {
		t.Errorf("its text: %s, %v", b, err)
	}
}

// FuzzParseSize: what is accepted is not negative, and survives being written
// and read again.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"0", "1.5GiB", "9223372036854775807", "8EiB", "1K", "0.0001 kb", "-1", "1e9", "..", "1/3KB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("%q is %d", s, n)
		}
		if again, err := ParseSize(n.String()); again != n || err != nil {
			t.Fatalf("%q is %d, written %s, read again %d, %v", s, n, n, again, err)
		}
	})
}
