package extension

import (
	"errors"
	"testing"

	"bipfs/wire"
)

func TestParseDontHave(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    wire.Piece
		err     error
	}{
		{"\x00\x00\x00\x00", 0, nil},
		{"\x00\x01\x02\x03", 0x10203, nil},
		{"\xff\xff\xff\xff", 1<<32 - 1, nil},
		{"", 0, ErrLength},
		{"\x00\x00\x00", 0, ErrLength},
		{"\x00\x00\x00\x00\x00", 0, ErrLength},
	} {
		if got, err := ParseDontHave([]byte(c.payload)); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %d, %v", c.payload, got, err)
		}
	}
}
