package bencode

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDecodeThenEncode(t *testing.T) {
	type file struct {
		Length int64    `bencode:"length"`
		Path   []string `bencode:"path"`
	}
	var v struct {
		Announce string           `bencode:"announce,omitempty"`
		Files    []file           `bencode:"files"`
		Info     Raw              `bencode:"info"`
		Pieces   []byte           `bencode:"pieces"`
		M        map[string]int64 `bencode:"m"`
		Private  bool             `bencode:"private"`
		Comment  *string          `bencode:"comment"`
	}
	const in = "d5:filesld6:lengthi7e4:pathl1:a1:beee4:infod1:zi1e1:ade1:ble1:ci-9ee1:md1:xi3ee6:pieces2:\x00\xff7:privatei1ee"
	n, err := Decode([]byte(in+"rest"), Limits{Depth: 5, Items: 50, Trailing: true}, &v)
	if n != len(in) || err != nil {
		t.Fatalf("n=%d err=%v", n, err)
	}
	if string(v.Info) != "d1:zi1e1:ade1:ble1:ci-9ee" {
		t.Errorf("info is %q", v.Info)
	}
	out, err := Encode(v)
	if err != nil || string(out) != in {
		t.Fatalf("encoded again: %q, %v", out, err)
	}
}

// TestDecodeValidates: nothing invalid gets as far as the decoder. The one with
// a million lists would end the process there, the string of 2 GiB allocate it.
func TestDecodeValidates(t *testing.T) {
	for _, v := range verdicts {
		var into struct {
			A Raw `bencode:"a"`
		}
		n, err := Decode([]byte(v.input), roomy, &into)
		if v.err == nil && err == nil && n == v.n || v.err != nil && n == 0 && errors.Is(err, v.err) {
			continue
		}
		if v.err == nil && v.input[0] != 'd' && errors.Is(err, ErrShape) {
			continue
		}
		t.Errorf("%s: n=%d err=%v", v.name, n, err)
	}
}

func TestDecodeShape(t *testing.T) {
	for in, want := range map[string]error{
		"de": nil, "d1:ai1e1:zlleli1ed1:a0:eeee": nil,
		"le": ErrShape, "i1e": ErrShape, "1:a": ErrShape, "d1:a1:be": ErrShape, "d1:alee": ErrShape, "d1:adee": ErrShape,
	} {
		var v struct {
			A int64 `bencode:"a"`
		}
		if _, err := Decode([]byte(in), Limits{Depth: 5, Items: 50}, &v); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", in, err, want)
		}
	}
}

// TestEncodeRaw: a Raw that is not one value would shift all that follows it.
func TestEncodeRaw(t *testing.T) {
	for raw, ok := range map[string]bool{
		"i1e": true, "de": true, "": false, "i1ei2e": false, "d": false, "garbage": false, "i01e": false,
	} {
		b, err := Encode(struct {
			Info Raw    `bencode:"info"`
			Name string `bencode:"name"`
		}{Raw(raw), "x"})
		if ok != (err == nil) || ok && string(b) != "d4:info"+raw+"4:name1:xe" {
			t.Errorf("%q: %q, %v", raw, b, err)
		}
	}
	if b, err := Encode([]string{"b", "a"}); string(b) != "l1:b1:ae" || err != nil {
		t.Errorf("a list: %q, %v", b, err)
	}
}

// TestTypes: what the decoder would cut down, misread or panic on is refused
// for its type, whatever the input.
func TestTypes(t *testing.T) {
	type bytes []byte
	type loop struct {
		Next *loop `bencode:"next"`
	}
	for _, v := range []any{
		nil, 1, struct{}{}, new(int64), new(map[string]int64), new(any),
		new(struct {
			A int `bencode:"a"` // 32 bits on some machines
		}),
		new(struct {
			A int8 `bencode:"a"`
		}),
		new(struct {
			A uint64 `bencode:"a"` // fails on a negative number
		}),
		new(struct {
			A [2]int64 `bencode:"a"`
		}),
		new(struct {
			A [20]byte `bencode:"a"`
		}),
		new(struct {
			A any `bencode:"a"`
		}),
		new(struct {
			A bytes `bencode:"a"`
		}),
		new(struct {
			A map[int64]string `bencode:"a"`
		}),
		new(struct {
			A []struct {
				B float64 `bencode:"b"`
			} `bencode:"a"`
		}),
		new(struct{ A int64 }),
		new(struct {
			A int64 `bencode:"-"`
		}),
		new(struct {
			A int64 `bencode:",omitempty"`
		}),
		new(struct {
			A int64 `bencode:"lt:a"`
		}),
		new(loop),
	} {
		func() {
			defer func() {
				if s := fmt.Sprint(recover()); !strings.HasPrefix(s, "bencode: ") {
					t.Errorf("decode into %v: %s", reflect.TypeOf(v), s)
				}
			}()
			Decode([]byte("de"), roomy, v)
		}()
	}
}

// TestDecodeHidden: fields that are not exported are no fields here.
func TestDecodeHidden(t *testing.T) {
	var v struct {
		A int64 `bencode:"a"`
		b int8
	}
	if _, err := Decode([]byte("d1:ai1e1:bi2ee"), roomy, &v); err != nil || v.A != 1 || v.b != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}
