package wire

import "testing"

// TestBitfield holds each operation against a plain list of bools.
func TestBitfield(t *testing.T) {
	for n := range 70 {
		b, model := NewBitfield(n), make([]bool, n)
		for step := range 3 * n {
			p := step * 7 % n
			if step%3 == 2 {
				b.Clear(Piece(p))
				model[p] = false
			} else {
				b.Set(Piece(p))
				model[p] = true
			}
			count := 0
			for i, has := range model {
				if b.Has(Piece(i)) != has {
					t.Fatalf("%d pieces, step %d: Has(%d) is %v", n, step, i, !has)
				}
				if has {
					count++
				}
			}
			if b.Count() != count || !b.Fits(n) {
				t.Fatalf("%d pieces, step %d: %x has %d, want %d", n, step, []byte(b), b.Count(), count)
			}
		}
		if full := FullBitfield(n); full.Count() != n || !full.Fits(n) || full.Has(Piece(n)) {
			t.Errorf("all of %d pieces are %x", n, []byte(full))
		}
	}
}

func TestBitfieldFits(t *testing.T) {
	for _, c := range []struct {
		name string
		b    Bitfield
		n    int
		fits bool
	}{
		{"none of none", nil, 0, true},
		{"a byte of none", Bitfield{0}, 0, false},
		{"eight", Bitfield{0xff}, 8, true},
		{"nothing of eight", Bitfield{}, 8, false},
		{"spare bits zero", Bitfield{0xff, 0x80}, 9, true},
		{"the first spare bit", Bitfield{0xff, 0xc0}, 9, false},
		{"the last spare bit", Bitfield{0xff, 0x81}, 9, false},
		{"the only spare bit", Bitfield{0x01}, 7, false},
		{"a byte short", Bitfield{0xff}, 9, false},
		{"a byte long", Bitfield{0xff, 0, 0}, 9, false},
	} {
		if c.b.Fits(c.n) != c.fits {
			t.Errorf("%s: Fits is %v", c.name, !c.fits)
		}
	}
}

// TestBitfieldOrder: the high bit of the first byte is piece 0 (BEP 3).
func TestBitfieldOrder(t *testing.T) {
	b := NewBitfield(10)
	b.Set(0)
	b.Set(9)
	if b[0] != 0x80 || b[1] != 0x40 {
		t.Errorf("pieces 0 and 9 are %x", []byte(b))
	}
	if b.Has(10) || b.Has(16) || b.Has(1<<32-1) {
		t.Error("pieces past the end are in the set")
	}
	c := b.Clone()
	c.Set(1)
	if b.Has(1) {
		t.Error("a clone shares memory")
	}
}
