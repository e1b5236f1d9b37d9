package extension

import (
	"fmt"
	"math"

	"bipfs/wire/bencode"
)

// Sizes of metadata, which is an info dictionary (BEP 9).
const (
	MetadataPieceLength = 16 << 10 // bytes of every piece of metadata but the last
	MaxMetadata         = 64 << 20 // bytes; as long as the longest .torrent
)

// metadataLimits leave room for keys of other clients.
var metadataLimits = bencode.Limits{Depth: 4, Items: 64, Trailing: true}

// MetadataType is what a ut_metadata message is.
type MetadataType uint8

// The messages of BEP 9.
const (
	MetadataRequest MetadataType = 0
	MetadataData    MetadataType = 1
	MetadataReject  MetadataType = 2
)

// String is the type's name in BEP 9.
func (t MetadataType) String() string {
	switch t {
	case MetadataRequest:
		return "request"
	case MetadataData:
		return "data"
	case MetadataReject:
		return "reject"
	}
	return fmt.Sprintf("unknown-%d", uint8(t))
}

// Metadata is a message of ut_metadata (BEP 9).
type Metadata struct {
	Type      MetadataType
	Piece     int    // of the metadata; 0..2^31−1, so not always one that there is
	TotalSize int64  // data only: bytes of all the metadata; 1..MaxMetadata, or 0 if not said
	Data      []byte // data only: the piece
}

// MetadataPieces is the number of pieces of metadata that is size bytes long.
func MetadataPieces(size int64) int {
	return int((size + MetadataPieceLength - 1) / MetadataPieceLength)
}

// MetadataSpan is the bytes [start, end) of a piece of metadata that is size
// bytes long. Both are 0 if there is no such piece.
func MetadataSpan(size int64, piece int) (start, end int64) {
	if piece < 0 || piece >= MetadataPieces(size) {
		return 0, 0
	}
	start = int64(piece) * MetadataPieceLength
	return start, min(start+MetadataPieceLength, size)
}

// ParseMetadata parses the payload of a ut_metadata message. Data is a part of
// b, not a copy.
//
// ErrUnknownType is to be ignored; every other error is a peer that is not to
// be asked again. A data message that says the total size carries exactly the
// piece that this size makes it (else ErrLength); one that does not, 1 to
// MetadataPieceLength bytes. The caller compares Piece and TotalSize with what
// it asked for: this function knows neither. Bytes after a request or a reject
// are ignored.
func ParseMetadata(b []byte) (Metadata, error) {
	n, err := dictionary(b, metadataLimits)
	if err != nil {
		return Metadata{}, err
	}
	kind, piece, total := int64(-1), int64(-1), int64(0)
	for key, v := range bencode.Dictionary(b) {
		field := &kind
		switch string(key) {
		case "msg_type":
		case "piece":
			field = &piece
		case "total_size":
			field = &total
		default:
			continue
		}
		var ok bool
		if *field, ok = bencode.Integer(v); !ok {
			return Metadata{}, fmt.Errorf("%w: %s", bencode.ErrShape, key)
		}
	}
	if kind > int64(MetadataReject) {
		return Metadata{}, fmt.Errorf("%w: %d", ErrUnknownType, kind)
	}
	if kind < 0 || piece < 0 || piece > math.MaxInt32 {
		return Metadata{}, fmt.Errorf("%w: type %d, piece %d", ErrNumber, kind, piece)
	}
	m := Metadata{Type: MetadataType(kind), Piece: int(piece)}
	if m.Type != MetadataData {
		return m, nil
	}
	m.TotalSize, m.Data = total, b[n:]
	if err := m.check(); err != nil {
		return Metadata{}, err
	}
	return m, nil
}

// check holds the length of a data message's piece against its total size.
func (m Metadata) check() error {
	if m.TotalSize < 0 || m.TotalSize > MaxMetadata {
		return fmt.Errorf("%w: total size %d", ErrNumber, m.TotalSize)
	}
	start, end := MetadataSpan(m.TotalSize, m.Piece)
	if m.TotalSize == 0 { // not said, or said to be nothing
		start, end = 0, int64(min(max(len(m.Data), 1), MetadataPieceLength))
	}
	if start == end || int64(len(m.Data)) != end-start {
		return fmt.Errorf("%w: piece %d of %d bytes, total size %d", ErrLength, m.Piece, len(m.Data), m.TotalSize)
	}
	return nil
}

// Append appends the message as a payload to b.
func (m Metadata) Append(b []byte) []byte {
	b = append(b, "d8:msg_type"...)
	b = bencode.AppendInteger(b, int64(m.Type))
	b = append(b, "5:piece"...)
	b = bencode.AppendInteger(b, int64(m.Piece))
	if m.Type == MetadataData {
		b = appendNumber(b, "total_size", m.TotalSize)
	}
	b = append(b, 'e')
	return append(b, m.Data...)
}
