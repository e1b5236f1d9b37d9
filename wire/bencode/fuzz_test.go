package bencode

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzValidate holds Validate against the recursive definition, and sends what
// is valid through everything that relies on its being so.
func FuzzValidate(f *testing.F) {
	for _, v := range verdicts {
		if len(v.input) < 1000 {
			f.Add([]byte(v.input), uint8(roomy.Depth), uint8(roomy.Items), false)
			f.Add([]byte(v.input), uint8(2), uint8(5), true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, depth, items uint8, trailing bool) {
		l := Limits{int(depth), int(items), trailing}
		n, err := Validate(b, l)

		left := l.Items
		rest, ok := reference(string(b), l.Depth, &left)
		ok = ok && (trailing || rest == "")
		if ok != (err == nil) || ok && n != len(b)-len(rest) {
			t.Fatalf("n=%d err=%v, want ok=%v with %d left", n, err, ok, len(rest))
		}
		if err != nil {
			var e *Error
			if n != 0 || !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(b) {
				t.Fatalf("n=%d, %v", n, err)
			}
			return
		}
		readAll(t, b[:n])
		decodeAll(t, b[:n], l)
	})
}

// readAll reads the valid value v in place, and puts it together again.
func readAll(t *testing.T, v []byte) {
	var again []byte
	integer, isInteger := Integer(v)
	s, isString := String(v)
	switch {
	case isInteger:
		again = AppendInteger(nil, integer)
	case isString:
		again = AppendString(nil, s)
	case IsList(v):
		again = append(again, 'l')
		for item := range List(v) {
			readAll(t, item)
			again = append(again, item...)
		}
		again = append(again, 'e')
	case IsDictionary(v):
		again = append(again, 'd')
		for key, value := range Dictionary(v) {
			readAll(t, value)
			again = AppendString(again, key)
			again = append(again, value...)
		}
		again = append(again, 'e')
	}
	if !bytes.Equal(again, v) {
		t.Fatalf("%q is read as %q", v, again)
	}
}

// everything has a field of each type that Decode knows.
type everything struct {
	A int64            `bencode:"a"`
	B string           `bencode:"b"`
	C []byte           `bencode:"c"`
	D Raw              `bencode:"d,omitempty"`
	E []string         `bencode:"e"`
	F []Raw            `bencode:"f"`
	G map[string]int64 `bencode:"g"`
	H *struct {
		A bool    `bencode:"a"`
		B []int64 `bencode:"b"`
	} `bencode:"h"`
}

// decodeAll decodes the valid value b into structs: without a panic, without an
// error other than ErrShape, and with the raw bytes as they are in b.
func decodeAll(t *testing.T, b []byte, l Limits) {
	var v everything
	if n, err := Decode(b, l, &v); err != nil && !errors.Is(err, ErrShape) {
		t.Fatalf("Decode: %d, %v", n, err)
	}
	var raw struct {
		D Raw `bencode:"d"`
	}
	_, err := Decode(b, l, &raw)
	if IsDictionary(b) != (err == nil) {
		t.Fatalf("Decode of %q: %v", b, err)
	}
	for key, value := range Dictionary(b) {
		if string(key) == "d" && !bytes.Equal(raw.D, value) {
			t.Fatalf("d is %q, want %q", raw.D, value)
		}
	}
	if out, err := Encode(v); err == nil {
		var again everything
		if _, err := Decode(out, Limits{Depth: len(out), Items: len(out)}, &again); err != nil {
			t.Fatalf("%+v is encoded as %q, which is %v", v, out, err)
		}
	}
}

// FuzzRead: on anything, valid or not, the readers end, find no more than
// there is, and do not panic.
func FuzzRead(f *testing.F) {
	for _, v := range verdicts {
		if len(v.input) < 1000 {
			f.Add([]byte(v.input))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		Integer(b)
		String(b)
		size := 0
		for item := range List(b) {
			size += len(item)
		}
		for key, value := range Dictionary(b) {
			size += len(key) + len(value)
		}
		if size > len(b) {
			t.Fatalf("%d bytes found in %d", size, len(b))
		}
	})
}
