package bencode

import "iter"

// The functions of this file read a value in place: nothing is copied, and
// what is of another kind than was hoped for is no error but not there. They
// are for input in which one odd field must not spoil the rest (an extended
// handshake, a creation date), and expect what Validate accepted; on anything
// else they find less, but never panic.

// Integer is the integer v.
func Integer(v []byte) (n int64, ok bool) {
	t, err := scan(v, 0)
	return t.integer, err == nil && t.kind == 'i' && t.end == len(v)
}

// String is the bytes of the string v, inside v.
func String(v []byte) (s []byte, ok bool) {
	t, err := scan(v, 0)
	if err != nil || t.kind != 's' || t.end != len(v) {
		return nil, false
	}
	return v[t.start:t.end:t.end], true
}

// IsDictionary reports whether v is a dictionary.
func IsDictionary(v []byte) bool { return len(v) > 0 && v[0] == 'd' }

// IsList reports whether v is a list.
func IsList(v []byte) bool { return len(v) > 0 && v[0] == 'l' }

// Dictionary yields the entries of the dictionary v, in the order they are
// written in; none if v is something else. A nested value is walked over once
// here and once more by who looks into it: time is linear for each level.
func Dictionary(v []byte) iter.Seq2[[]byte, Raw] {
	return func(yield func([]byte, Raw) bool) {
		if !IsDictionary(v) {
			return
		}
		for i := 1; ; {
			key, err := scan(v, i)
			if err != nil || key.kind != 's' {
				return
			}
			end := skip(v, key.end)
			if end < 0 || !yield(v[key.start:key.end:key.end], v[key.end:end:end]) {
				return
			}
			i = end
		}
	}
}

// List yields the values of the list v, in order; none if v is something else.
func List(v []byte) iter.Seq[Raw] {
	return func(yield func(Raw) bool) {
		if !IsList(v) {
			return
		}
		for i := 1; i < len(v) && v[i] != 'e'; {
			end := skip(v, i)
			if end < 0 || !yield(v[i:end:end]) {
				return
			}
			i = end
		}
	}
}

// skip is where the value that begins at b[i] ends, or -1.
func skip(b []byte, i int) int {
	for depth := 0; ; {
		t, err := scan(b, i)
		if err != nil {
			return -1
		}
		switch t.kind {
		case 'l', 'd':
			depth++
		case 'e':
			depth--
		}
		if depth < 0 {
			return -1
		}
		if i = t.end; depth == 0 {
			return i
		}
	}
}
