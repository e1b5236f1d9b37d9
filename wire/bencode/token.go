package bencode

import (
	"errors"
	"fmt"
	"math"
)

// What can be wrong with a value. Every error of Validate is an *Error around
// one of these.
var (
	ErrTruncated = errors.New("input ends before the value does") // a string longer than what is left too
	ErrSyntax    = errors.New("not bencode")
	ErrInteger   = errors.New("integer is not in its one decimal form of 64 bits") // leading zeros, -0, +1, 2^63
	ErrString    = errors.New("string length is not in its one decimal form")      // leading zeros
	ErrKey       = errors.New("dictionary key is not a string")
	ErrDuplicate = errors.New("dictionary key appears twice")
	ErrDepth     = errors.New("lists and dictionaries are nested too deep")
	ErrItems     = errors.New("too many items")
	ErrTrailing  = errors.New("bytes after the value")
	ErrTooLong   = errors.New("input is too long")

	// ErrShape is the error of Decode for valid bencode of another shape than
	// the struct's, a string where it has a number, say.
	ErrShape = errors.New("bencode of another shape")
)

// Error says where in the input what is wrong.
type Error struct {
	Offset int   // bytes from the start of the input
	Err    error // one of the errors above
}

func (e *Error) Error() string { return fmt.Sprintf("%v, at byte %d", e.Err, e.Offset) }

// Unwrap gives errors.Is the cause.
func (e *Error) Unwrap() error { return e.Err }

func wrong(offset int, err error) error { return &Error{offset, err} }

// token is the smallest thing that means something: an integer, a string, the
// opening of a list or a dictionary, or the end of either.
type token struct {
	kind       byte  // i, s, l, d, e
	integer    int64 // of kind i
	start, end int   // the bytes of a string without its length; else the whole token
}

// scan is the token that begins at b[i]. It looks at a string's length, never
// at its bytes.
func scan(b []byte, i int) (token, error) {
	if i >= len(b) {
		return token{}, wrong(len(b), ErrTruncated)
	}
	switch c := b[i]; {
	case isDigit(c):
		return scanString(b, i)
	case c == 'i':
		return scanInteger(b, i)
	case c == 'l' || c == 'd' || c == 'e':
		return token{kind: c, start: i, end: i + 1}, nil
	}
	return token{}, wrong(i, ErrSyntax)
}

// scanString reads `4:spam`. A length is given up as soon as it is more than
// what is left, so a length of a million digits costs what one of ten costs.
func scanString(b []byte, from int) (token, error) {
	i, n := from, int64(0) // ten times an int may be no int, where that has 32 bits
	for ; i < len(b) && isDigit(b[i]); i++ {
		if i > from && b[from] == '0' {
			return token{}, wrong(from, ErrString)
		}
		if n = 10*n + int64(b[i]-'0'); n > int64(len(b)-i) {
			return token{}, wrong(from, ErrTruncated)
		}
	}
	if i == len(b) {
		return token{}, wrong(from, ErrTruncated)
	}
	if b[i] != ':' {
		return token{}, wrong(i, ErrSyntax)
	}
	if i++; n > int64(len(b)-i) {
		return token{}, wrong(from, ErrTruncated)
	}
	return token{kind: 's', start: i, end: i + int(n)}, nil
}

// scanInteger reads `i-42e`. It stops at the first digit that does not fit in
// 64 bits, so a number of a million digits costs what one of twenty costs.
func scanInteger(b []byte, from int) (token, error) {
	i := from + 1
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	// A magnitude may be one larger below zero than above.
	most := uint64(math.MaxInt64)
	if negative {
		most++
	}
	first, n := i, uint64(0)
	for ; i < len(b) && isDigit(b[i]); i++ {
		digit := uint64(b[i] - '0')
		if i > first && n == 0 || n > (most-digit)/10 {
			return token{}, wrong(from, ErrInteger)
		}
		n = 10*n + digit
	}
	switch {
	case i == len(b):
		return token{}, wrong(from, ErrTruncated)
	case b[i] != 'e' || i == first || negative && n == 0:
		return token{}, wrong(from, ErrInteger)
	}
	t := token{kind: 'i', integer: int64(n), start: from, end: i + 1}
	if negative {
		t.integer = -t.integer // 2^63 is its own negative, as an int64
	}
	return t, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
