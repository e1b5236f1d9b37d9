package bencode

import (
	"fmt"
	"strings"
	"testing"
)

// lots is room for all that the benchmarks put in.
var lots = Limits{Depth: 100, Items: 3_000_000}

// shapes are inputs of about n bytes whose form makes work: where the time of
// one grows faster than n, MB/s falls from small to large.
var shapes = []struct {
	name  string
	input func(n int) string
}{
	{"strings", func(n int) string { return "l" + strings.Repeat("0:", n/2) + "e" }},
	{"integers", func(n int) string { return "l" + strings.Repeat("i7e", n/3) + "e" }},
	{"one string", func(n int) string { return fmt.Sprintf("%d:%s", n, strings.Repeat("x", n)) }},
	{"keys in order", func(n int) string { return keys(n/12, func(i, _ int) int { return i }) }},
	{"keys backwards", func(n int) string { return keys(n/12, func(i, n int) int { return n - i }) }},
	{"keys shuffled", func(n int) string { return keys(n/12, func(i, _ int) int { return i * 7919 % 9_999_991 }) }},
	{"dictionaries out of order", func(n int) string { return "l" + strings.Repeat("d1:bde1:alee", n/12) + "e" }},
	{"nested", func(n int) string {
		return "l" + strings.Repeat(strings.Repeat("l", 99)+strings.Repeat("e", 99), n/198) + "e"
	}},
}

// keys is a dictionary of n keys.
func keys(n int, key func(i, n int) int) string {
	var b strings.Builder
	b.WriteByte('d')
	for i := range n {
		fmt.Fprintf(&b, "7:%07d0:", key(i, n))
	}
	b.WriteByte('e')
	return b.String()
}

func BenchmarkValidate(b *testing.B) {
	for _, s := range shapes {
		for _, size := range []int{64 << 10, 4 << 20} {
			input := []byte(s.input(size))
			b.Run(fmt.Sprintf("%s/%dKiB", s.name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(len(input)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Validate(input, lots); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkDecode is a .torrent of 50,000 pieces and 5,000 files, and the most
// that a key nobody asked for costs.
func BenchmarkDecode(b *testing.B) {
	type info struct {
		Files []struct {
			Length int64    `bencode:"length"`
			Path   []string `bencode:"path"`
		} `bencode:"files"`
		Pieces []byte `bencode:"pieces"`
	}
	var files strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&files, "d6:lengthi%de4:pathl6:folder12:file%08dee", i, i)
	}
	for name, input := range map[string]string{
		"torrent":     "d5:filesl" + files.String() + "e6:pieces1000000:" + strings.Repeat("x", 1_000_000) + "e",
		"unknown key": "d1:x" + shapes[0].input(2<<20) + "e",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(input)))
			b.ReportAllocs()
			for b.Loop() {
				var v info
				if _, err := Decode([]byte(input), lots, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
