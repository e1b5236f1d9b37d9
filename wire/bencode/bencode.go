// Package bencode is the project's only door to bencode (BEP 3). Everything
// that comes from a file, a peer or a tracker passes Validate before anything
// else looks at it.
//
//	bytes ──▶ Validate ──▶ Decode                  into a fixed struct
//	             │
//	             └──▶ Dictionary, List, Integer, String   in place, odd fields left out
//
// The decoder behind Decode, zeebo/bencode, is a good reader of friendly
// input. On hostile input it allocates what a string says it is long, recurses
// as deep as the input is nested, and takes integers in many forms; Validate
// lets none of that through. What it does to our own mistakes (it cuts a
// number down to an int8 in silence, and panics on arrays), the check of the
// struct's type catches.
package bencode

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/zeebo/bencode"
)

// Raw is the bytes of one value, as they are in the input. An infohash is
// taken over a Raw, never over a value that was encoded again.
type Raw = bencode.RawMessage

// Decode validates b as Validate does, and decodes its first value into the
// struct that v points to. Errors are *Error, or ErrShape when the value is
// valid but of another shape than the struct; then *v may be half filled. Keys
// that the struct does not have are left out, but each item under one costs
// some 50 bytes while Decode runs: l.Items bounds that.
//
// The struct is made of int64, bool, string, []byte, Raw and of structs,
// pointers, slices and maps by string of these, and each of its exported
// fields has a tag `bencode:"its key"` (or ,omitempty after the key, for
// Encode); anything else is a mistake of the caller's and panics. A field whose kind is another than the input's fails
// the whole: a field that must not be able to do that is a Raw, for Integer,
// String, List and Dictionary to look at.
func Decode(b []byte, l Limits, v any) (n int, err error) {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("bencode: decode into %v, which is no pointer to a struct", t))
	}
	checkType(t, 0)
	if n, err = Validate(b, l); err != nil {
		return 0, err
	}
	if err := bencode.DecodeBytes(b[:n], v); err != nil {
		return 0, fmt.Errorf("%w: %v", ErrShape, err)
	}
	return n, nil
}

// Encode is v in bencode, keys in order. The types of v are those of Decode;
// any of them, not only a struct, may be the outermost. A Raw inside v that is
// not exactly one value is an error.
func Encode(v any) ([]byte, error) {
	checkType(reflect.TypeOf(v), 0)
	b, err := bencode.EncodeBytes(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrShape, err)
	}
	// An empty Raw, or one with too much in it, shifts all that follows it.
	if _, err := Validate(b, Limits{Depth: len(b), Items: len(b)}); err != nil {
		return nil, err
	}
	return b, nil
}

// deepest is how deep the types of our structs may be nested.
const deepest = 16

// checkType panics unless zeebo/bencode reads and writes values of type t
// without loss and without a panic.
func checkType(t reflect.Type, depth int) {
	switch {
	case t == nil || depth > deepest:
	case t == reflect.TypeFor[Raw]() || t == reflect.TypeFor[[]byte]():
		return
	case t.Kind() == reflect.Int64 || t.Kind() == reflect.Bool || t.Kind() == reflect.String:
		return
	case t.Kind() == reflect.Pointer,
		t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8, // a named []byte is written as a list
		t.Kind() == reflect.Map && t.Key() == reflect.TypeFor[string]():
		checkType(t.Elem(), depth+1)
		return
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				checkTag(t, f)
				checkType(f.Type, depth+1)
			}
		}
		return
	}
	panic(fmt.Sprintf("bencode: %v, or a type this deep, is not read and written faithfully", t))
}

// checkTag panics unless field f of t names its key in a way that
// zeebo/bencode heeds: a field without a tag has its Go name as key there, one
// tagged "-" is filled from a key "-", and a tag with a colon in it is ignored.
func checkTag(t reflect.Type, f reflect.StructField) {
	key, _, _ := strings.Cut(f.Tag.Get("bencode"), ",")
	heeded := func(r rune) bool {
		return strings.ContainsRune(" $-_.", r) || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if f.Anonymous || key == "" || key == "-" || strings.ContainsFunc(key, func(r rune) bool { return !heeded(r) }) {
		panic(fmt.Sprintf("bencode: field %s of %v has no usable key", f.Name, t))
	}
}
