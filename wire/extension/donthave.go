package extension

import (
	"encoding/binary"
	"fmt"

	"bipfs/wire"
)

// LTDontHave is the name of the message that a piece is gone (BEP 54).
const LTDontHave = "lt_donthave"

// ParseDontHave is the piece that the payload of an lt_donthave message names,
// any number. A payload that is not four bytes long is ErrLength.
func ParseDontHave(b []byte) (wire.Piece, error) {
	if len(b) != 4 {
		return 0, fmt.Errorf("%s of %d bytes: %w", LTDontHave, len(b), ErrLength)
	}
	return wire.Piece(binary.BigEndian.Uint32(b)), nil
}
