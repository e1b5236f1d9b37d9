package bencode

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

var roomy = Limits{Depth: 8, Items: 100}

// Each line is an input and what Validate says of it: the length of the value,
// or the error and where it is.
var verdicts = []struct {
	name  string
	input string
	n     int
	err   error
	at    int
}{
	{"integer", "i42e", 4, nil, 0},
	{"zero", "i0e", 3, nil, 0},
	{"negative", "i-1e", 4, nil, 0},
	{"largest integer", "i9223372036854775807e", 21, nil, 0},
	{"smallest integer", "i-9223372036854775808e", 22, nil, 0},
	{"2^63", "i9223372036854775808e", 0, ErrInteger, 0},
	{"-2^63-1", "i-9223372036854775809e", 0, ErrInteger, 0},
	{"2^64", "i18446744073709551616e", 0, ErrInteger, 0},
	{"no digits", "ie", 0, ErrInteger, 0},
	{"only a minus", "i-e", 0, ErrInteger, 0},
	{"two minuses", "i--1e", 0, ErrInteger, 0},
	{"plus", "i+5e", 0, ErrInteger, 0},
	{"minus zero", "i-0e", 0, ErrInteger, 0},
	{"leading zero", "i007e", 0, ErrInteger, 0},
	{"two zeros", "i00e", 0, ErrInteger, 0},
	{"negative leading zero", "i-01e", 0, ErrInteger, 0},
	{"not a digit", "i1.5e", 0, ErrInteger, 0},
	{"space", "i 1e", 0, ErrInteger, 0},
	{"hex", "i0x1e", 0, ErrInteger, 0},
	{"integer without end", "i42", 0, ErrTruncated, 0},
	{"only i", "i", 0, ErrTruncated, 0},
	{"integer of 100,000 digits", "i" + strings.Repeat("9", 100_000) + "e", 0, ErrInteger, 0},

	{"string", "4:spam", 6, nil, 0},
	{"empty string", "0:", 2, nil, 0},
	{"string of digits", "2:42", 4, nil, 0},
	{"string too long by one", "5:spam", 0, ErrTruncated, 0},
	{"no room for the colon", "4", 0, ErrTruncated, 0},
	{"2 GiB in 12 bytes", "2147483647:a", 0, ErrTruncated, 0},
	{"length of 2^63", "9223372036854775808:a", 0, ErrTruncated, 0},
	{"length of 2^64 + 1", "18446744073709551617:a", 0, ErrTruncated, 0},
	{"length of 100,000 digits", strings.Repeat("9", 100_000) + ":a", 0, ErrTruncated, 0},
	{"leading zeros in a length", "0005:hello", 0, ErrString, 0},
	{"two zeros as a length", "00:", 0, ErrString, 0},
	{"negative length", "-1:a", 0, ErrSyntax, 0},
	{"plus in a length", "+1:a", 0, ErrSyntax, 0},
	{"length without a colon", "1a", 0, ErrSyntax, 1},

	{"empty list", "le", 2, nil, 0},
	{"empty dictionary", "de", 2, nil, 0},
	{"nested", "ld1:ali1ei2eeee", 15, nil, 0},
	{"list without end", "li1e", 0, ErrTruncated, 4},
	{"dictionary without end", "d1:ai1e", 0, ErrTruncated, 7},
	{"key without a value", "d1:ae", 0, ErrSyntax, 4},
	{"key and nothing", "d1:a", 0, ErrTruncated, 4},
	{"integer as a key", "di1ei2ee", 0, ErrKey, 1},
	{"list as a key", "dlei2ee", 0, ErrKey, 1},
	{"end of nothing", "e", 0, ErrSyntax, 0},
	{"end too many", "lee", 0, ErrTrailing, 2},
	{"nothing", "", 0, ErrTruncated, 0},
	{"a web page", "<!DOCTYPE html>", 0, ErrSyntax, 0},
	{"gzip", "\x1f\x8b\x08", 0, ErrSyntax, 0},
	{"garbage inside", "l1:a\x00e", 0, ErrSyntax, 4},
	{"trailing newline", "i1e\n", 0, ErrTrailing, 3},
	{"two values", "i1ei2e", 0, ErrTrailing, 3},

	{"keys in order", "d1:ai1e1:bi2e2:bai3ee", 21, nil, 0},
	{"keys out of order", "d1:bi1e1:ai2ee", 14, nil, 0},
	{"a key twice", "d1:ai1e1:ai2ee", 0, ErrDuplicate, 9},
	{"a key twice, far apart", "d1:bi1e1:ai2e1:ci3e1:bi4ee", 0, ErrDuplicate, 21},
	{"the empty key twice", "d0:i1e0:i2ee", 0, ErrDuplicate, 8},
	{"a key again, out of order", "d1:bi1e1:ai2e1:ai3ee", 0, ErrDuplicate, 15},
	{"a key again, one level down", "d1:ad1:ai1eee", 13, nil, 0},
	{"a key twice, one level down", "d1:ad1:bi1e1:bi1eee", 0, ErrDuplicate, 13},
	{"a key twice, around a dictionary", "d1:bde1:ad1:bi1ee1:bi1ee", 0, ErrDuplicate, 19},
	{"a key in two sisters", "ld1:ai1eed1:ai1eee", 18, nil, 0},

	{"as deep as allowed", strings.Repeat("l", 8) + strings.Repeat("e", 8), 16, nil, 0},
	{"one deeper", strings.Repeat("l", 9) + strings.Repeat("e", 9), 0, ErrDepth, 8},
	{"one dictionary deeper", strings.Repeat("d1:a", 9), 0, ErrDepth, 32},
	{"a million lists", strings.Repeat("l", 1_000_000), 0, ErrDepth, 8},
	{"as many items as allowed", "l" + strings.Repeat("0:", 99) + "e", 200, nil, 0},
	{"one more", "l" + strings.Repeat("0:", 100) + "e", 0, ErrItems, 199},
	{"keys count too", "d" + "1:a0:" + "1:bl" + strings.Repeat("i0e", 96) + "ee", 0, ErrItems, 295},
}

func TestValidate(t *testing.T) {
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			n, err := Validate([]byte(v.input), roomy)
			if n != v.n || !errors.Is(err, v.err) {
				t.Fatalf("n=%d err=%v, want n=%d err=%v", n, err, v.n, v.err)
			}
			var e *Error
			if errors.As(err, &e) && e.Offset != v.at {
				t.Errorf("wrong at byte %d, want %d", e.Offset, v.at)
			}
		})
	}
}

// TestMaxLength maps memory that nobody may read: an input that is too long is
// refused for its length alone.
func TestMaxLength(t *testing.T) {
	length := int64(MaxLength + 1)
	if length > math.MaxInt {
		t.Skip("no slice is that long here")
	}
	b, err := syscall.Mmap(-1, 0, int(length), syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		t.Skip(err)
	}
	defer syscall.Munmap(b)
	if n, err := Validate(b, roomy); n != 0 || !errors.Is(err, ErrTooLong) {
		t.Errorf("n=%d err=%v", n, err)
	}
}

// TestMemory: all that a pass allocates, growing included, is a few times the
// input at worst, whatever the input says.
func TestMemory(t *testing.T) {
	allocated := func(input []byte, l Limits) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Validate(input, l)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for _, s := range shapes {
		input := []byte(s.input(1 << 20))
		if n := allocated(input, lots); n > 5*uint64(len(input)) {
			t.Errorf("%s: %d bytes for %d", s.name, n, len(input))
		}
	}
	for _, v := range verdicts {
		if n := allocated([]byte(v.input), roomy); n > 8<<10 {
			t.Errorf("%s: %d bytes", v.name, n)
		}
	}
}
