package main

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Size is a number of bytes given on the command line, 0 or more.
type Size int64

// units are the units of a size, largest first. An exact size is written in
// the first one that divides it.
var units = []struct {
	name  string
	bytes int64
}{
	{"EiB", 1 << 60}, {"EB", 1e18},
	{"PiB", 1 << 50}, {"PB", 1e15},
	{"TiB", 1 << 40}, {"TB", 1e12},
	{"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"KB", 1e3},
	{"B", 1}, {"", 1},
}

// longestSize bounds what is looked at, in characters.
const longestSize = 40

// ParseSize reads a size: a number, with decimals if it likes, and a unit. KB,
// MB, GB and so on are powers of 1000; KiB, MiB, GiB are powers of 1024; no
// unit is bytes. Upper and lower case are the same, a space before the unit is
// allowed, and a part of a byte is cut off. K, M and G alone are refused: half
// of the world means 1000 and the other half 1024.
func ParseSize(s string) (Size, error) {
	bad := func(why string) (Size, error) {
		return 0, fmt.Errorf("%q is not a size: %s", shortened(s), why)
	}
	if len(s) > longestSize {
		return bad("it is too long")
	}
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(s)
	}
	number, name := s[:end], strings.TrimPrefix(s[end:], " ")
	whole, part, point := strings.Cut(number, ".")
	if whole == "" || point && part == "" || strings.Contains(part, ".") {
		return bad("write a number and a unit, as in 512MiB or 1.5GB")
	}
	unit, ok := unitOf(name)
	switch {
	case !ok && len(name) == 1 && strings.Contains("kmgtpe", strings.ToLower(name)):
		letter := strings.ToUpper(name)
		return bad(fmt.Sprintf("write %sB for thousands or %siB for 1024s", letter, letter))
	case !ok:
		return bad("its unit must be one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")
	case point && unit == 1:
		return bad("bytes come whole")
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok { // cannot be: it is digits and a point
		return bad("its number cannot be read")
	}
	r.Mul(r, new(big.Rat).SetInt64(unit))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !n.IsInt64() {
		return bad(fmt.Sprintf("it is more than %d bytes", int64(math.MaxInt64)))
	}
	return Size(n.Int64()), nil
}

func unitOf(name string) (bytes int64, ok bool) {
	for _, u := range units {
		if strings.EqualFold(u.name, name) {
			return u.bytes, true
		}
	}
	return 0, false
}

// shortened is s for a line of an error.
func shortened(s string) string {
	if len(s) > longestSize {
		return s[:longestSize] + "..."
	}
	return s
}

// String is the size in the largest unit that gives it exactly; ParseSize
// reads it back.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// UnmarshalText is ParseSize, for flags.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	if err == nil {
		*s = n
	}
	return err
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
