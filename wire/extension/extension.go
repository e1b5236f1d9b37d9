// Package extension is the payloads of the extension protocol (BEP 10): its
// handshake, ut_metadata (BEP 9), ut_pex (BEP 11), lt_donthave (BEP 54) and
// ut_holepunch (BEP 55); and the allowed-fast set of BEP 6.
//
//	extended message   id 0            a Handshake: one dictionary
//	                   id of the       a Metadata: one dictionary, and after it,
//	                   peer's choice   in the same payload, a piece of the metadata
//
// Parsing is pure, and bounded before it begins: nothing is allocated for what
// a number in the message claims. What a peer says about itself and gets wrong
// is as if it had not been said; what it does not say in bencode is an error.
package extension

import (
	"errors"
	"fmt"

	"bipfs/wire/bencode"
)

// MaxPayload is the longest payload in bytes of an extended message that is
// parsed here: a piece of metadata with its dictionary, twice over.
const MaxPayload = 32 << 10

// HandshakeID is the id of the handshake in extended messages (BEP 10). All
// other ids are what the receiver of the message chose in its handshake.
const HandshakeID = 0

// Names of extensions, the keys of Handshake.M.
const UTMetadata = "ut_metadata" // BEP 9

// Errors of the parsers, beside those of bencode.Validate.
var (
	ErrTooLong     = errors.New("extended message is too long")
	ErrNumber      = errors.New("number out of its range")
	ErrUnknownType = errors.New("unknown type of ut_metadata message") // to be ignored (BEP 9)
	ErrLength      = errors.New("extended message has the wrong length")
)

// dictionary checks that b begins with a dictionary within the limits, and
// returns its length.
func dictionary(b []byte, l bencode.Limits) (int, error) {
	if len(b) > MaxPayload {
		return 0, fmt.Errorf("%w: %d bytes", ErrTooLong, len(b))
	}
	n, err := bencode.Validate(b, l)
	if err != nil {
		return 0, err
	}
	if !bencode.IsDictionary(b) {
		return 0, fmt.Errorf("%w: not a dictionary", bencode.ErrShape)
	}
	return n, nil
}

// within is the integer v if it is in [least, most], else 0.
func within(v bencode.Raw, least, most int64) int64 {
	if n, ok := bencode.Integer(v); ok && least <= n && n <= most {
		return n
	}
	return 0
}
