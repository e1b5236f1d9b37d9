package bencode

import (
	"bytes"
	"math"
	"slices"
)

// Limits is what Validate puts up with. There are no defaults: a zero Limits
// accepts nothing.
type Limits struct {
	Depth    int  // most lists and dictionaries inside one another; 0 accepts none
	Items    int  // most integers, strings (keys too), lists and dictionaries together
	Trailing bool // bytes may follow the value (ut_metadata's payload, BEP 9)
}

// MaxLength is the longest input in bytes, whatever the limits say: the decoder
// behind Decode knows no longer strings, and offsets fit in 32 bits.
const MaxLength = math.MaxInt32

// frame is a list or a dictionary that is still open.
//
//	list         any value, until e
//	dictionary   [key] ── a string ──▶ [value] ── any value ──▶ [key] … e
type frame struct {
	dict     bool
	value    bool // a key was read, its value comes next
	unsorted bool // some key is not above the one before it
	keys     int  // where the dictionary's own keys begin in validator.keys
}

// span is the bytes [start, end) of a key.
type span struct{ start, end uint32 }

// validator is one pass over the input: a loop with a stack of its own, since
// the input chooses how deep it is nested and a goroutine's stack that
// overflows ends the process.
type validator struct {
	b      []byte
	limits Limits
	items  int
	frames []frame
	keys   []span // of all open dictionaries, the outermost one's first
}

// Validate checks that b begins with one value in strict bencode within the
// limits, and returns the value's length n in bytes. Errors are *Error.
//
// It is stricter than many clients and laxer than BEP 3 in one place.
// Integers and string lengths have one form and fit in an int64; a key that
// appears twice in a dictionary is an error, since two readers of the same
// torrent could choose different ones. Keys out of order are accepted: there
// are such torrents in the field, and an infohash is taken over the raw bytes
// in any case.
//
// Time is linear in len(b) while keys are in order, n log n in those of a
// dictionary where they are not. Memory is 8 bytes for each key of the
// dictionaries that are open at once, so less than 8 × limits.Items (append's
// slack aside).
func Validate(b []byte, l Limits) (n int, err error) {
	if len(b) > MaxLength {
		return 0, wrong(MaxLength, ErrTooLong)
	}
	// Room enough for what peers and trackers send.
	v := validator{b: b, limits: l, frames: make([]frame, 0, 16), keys: make([]span, 0, 64)}
	for n == 0 || len(v.frames) > 0 {
		t, err := scan(b, n)
		if err == nil {
			err = v.take(t, n)
		}
		if err != nil {
			return 0, err
		}
		n = t.end
	}
	if n < len(b) && !l.Trailing {
		return 0, wrong(n, ErrTrailing)
	}
	return n, nil
}

// take puts the token, which begins at byte at, in its place.
func (v *validator) take(t token, at int) error {
	var top *frame
	if len(v.frames) > 0 {
		top = &v.frames[len(v.frames)-1]
	}
	if t.kind == 'e' {
		if top == nil || top.value {
			return wrong(at, ErrSyntax)
		}
		return v.pop(top)
	}
	if v.items++; v.items > v.limits.Items {
		return wrong(at, ErrItems)
	}
	if top != nil && top.dict {
		if !top.value {
			if t.kind != 's' {
				return wrong(at, ErrKey)
			}
			return v.key(top, t)
		}
		top.value = false
	}
	if t.kind == 'l' || t.kind == 'd' {
		if len(v.frames) >= v.limits.Depth {
			return wrong(at, ErrDepth)
		}
		v.frames = append(v.frames, frame{dict: t.kind == 'd', keys: len(v.keys)})
	}
	return nil
}

// key notes a key of the innermost dictionary. While keys ascend, comparing
// each with the one before it finds every duplicate; once they do not, all of
// them are compared at the dictionary's end.
func (v *validator) key(top *frame, t token) error {
	if n := len(v.keys); n > top.keys && !top.unsorted {
		last := v.keys[n-1]
		switch bytes.Compare(v.b[last.start:last.end], v.b[t.start:t.end]) {
		case 0:
			return wrong(t.start, ErrDuplicate)
		case 1:
			top.unsorted = true
		}
	}
	v.keys = append(v.keys, span{uint32(t.start), uint32(t.end)})
	top.value = true
	return nil
}

// pop closes the innermost list or dictionary.
func (v *validator) pop(top *frame) error {
	keys := v.keys[top.keys:]
	if top.unsorted {
		compare := func(x, y span) int { return bytes.Compare(v.b[x.start:x.end], v.b[y.start:y.end]) }
		slices.SortFunc(keys, compare)
		for i := 1; i < len(keys); i++ {
			if compare(keys[i-1], keys[i]) == 0 {
				return wrong(int(max(keys[i-1].start, keys[i].start)), ErrDuplicate)
			}
		}
	}
	v.keys = v.keys[:top.keys]
	v.frames = v.frames[:len(v.frames)-1]
	return nil
}
