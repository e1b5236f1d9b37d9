package bencode

import (
	"math"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const v = "d1:ai-7e1:bl1:x0:dee1:cd1:di1eee"
	var found []string
	for key, value := range Dictionary([]byte(v)) {
		found = append(found, string(key)+" "+string(value))
		for item := range List(value) {
			found = append(found, "- "+string(item))
		}
	}
	if s := strings.Join(found, "\n"); s != "a i-7e\nb l1:x0:dee\n- 1:x\n- 0:\n- de\nc d1:di1ee" {
		t.Errorf("found\n%s", s)
	}
	for key := range Dictionary([]byte(v)) {
		if string(key) != "a" {
			t.Errorf("went on to %s", key)
		}
		break
	}
	for range List([]byte("li1ei2ee")) {
		break
	}
}

// TestReadOther: a value of another kind is not there.
func TestReadOther(t *testing.T) {
	for _, v := range []string{"i1e", "1:a", "le", "de", "", "x", "i1ei2e", "1:ab", "i1", "2:a", "dx", "lx", "di1e1:ae", "d1:a"} {
		_, isInteger := Integer([]byte(v))
		_, isString := String([]byte(v))
		if isInteger != (v == "i1e") || isString != (v == "1:a") {
			t.Errorf("%q: integer %v, string %v", v, isInteger, isString)
		}
		for item := range List([]byte(v)) {
			t.Errorf("%q has the item %q", v, item)
		}
		for key := range Dictionary([]byte(v)) {
			t.Errorf("%q has the key %q", v, key)
		}
	}
}

// TestReadInPlace: what is found is a part of the input, and appending to it
// does not write over what follows.
func TestReadInPlace(t *testing.T) {
	b := []byte("d1:a2:xy1:bi1ee")
	for _, value := range Dictionary(b) {
		s, _ := String(value)
		_ = append(s, "!!!"...)
		_ = append(value, "!!!"...)
	}
	if string(b) != "d1:a2:xy1:bi1ee" {
		t.Errorf("the input is now %q", b)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, value := range Dictionary(b) {
			Integer(value)
			String(value)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppend(t *testing.T) {
	b := AppendString([]byte("x"), "spam")
	b = AppendString(b, []byte{})
	for _, n := range []int64{0, -1, math.MaxInt64, math.MinInt64} {
		b = AppendInteger(b, n)
	}
	if string(b) != "x4:spam0:i0ei-1ei9223372036854775807ei-9223372036854775808e" {
		t.Errorf("%s", b)
	}
}
