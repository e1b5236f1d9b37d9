package bencode

import (
	"errors"
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

func TestDecodeShape(t *testing.T) {
	for _, in := range []string{"de", "d1:ai1e1:zlleli1ed1:a0:eeee"} {
		var v struct {
			A int64 `bencode:"a"`
		}
		if _, err := Decode([]byte(in), Limits{Depth: 5, Items: 50}, &v); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	for _, in := range []string{"le", "i1e", "1:a", "d1:a1:be", "d1:alee", "d1:adee"} {
		var v struct {
			A int64 `bencode:"a"`
		}
		if _, err := Decode([]byte(in), Limits{Depth: 5, Items: 50}, &v); !errors.Is(err, ErrShape) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
