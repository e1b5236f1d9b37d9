package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind is what a message is. Kinds from 0 to 255 are the ids of the wire;
// what has no id there lies outside that range.
type Kind int16

// The messages of BEP 3, 5, 6 and 10.
const (
	KeepAlive     Kind = -1 // a length prefix of 0
	Choke         Kind = 0
	Unchoke       Kind = 1
	Interested    Kind = 2
	NotInterested Kind = 3
	Have          Kind = 4
	HaveBitfield  Kind = 5 // payload: the bitfield
	Request       Kind = 6
	PieceBlock    Kind = 7 // payload: the block
	Cancel        Kind = 8
	Port          Kind = 9  // BEP 5
	Suggest       Kind = 13 // BEP 6, as the next four
	HaveAll       Kind = 14
	HaveNone      Kind = 15
	Reject        Kind = 16
	AllowedFast   Kind = 17
	Extended      Kind = 20 // BEP 10; payload: bencode and more
)

// Message is the head of a message: all of it but its payload, which stays in
// the stream. Fields that the kind does not have are zero.
type Message struct {
	Kind   Kind
	ID     uint8  // extended message id (BEP 10)
	Port   uint16 // BEP 5
	Piece  Piece
	Begin  uint32
	Length uint32 // bytes of the block that is asked for, sent, rejected or cancelled

	// Payload is the number of bytes that follow the head in the stream. The
	// caller must read or discard them all before the next head.
	Payload uint32
}

// Block is the block that a request, piece, cancel or reject names.
func (m Message) Block() Block { return Block{m.Piece, m.Begin, m.Length} }

// Of is the message of kind k that names block b.
func Of(k Kind, b Block) Message {
	m := Message{Kind: k, Piece: b.Piece, Begin: b.Begin, Length: b.Length}
	if k == PieceBlock {
		m.Payload = b.Length
	}
	return m
}

// Errors of ReadHead. Each ends the connection.
var (
	ErrTooLong = errors.New("message is longer than any that this torrent can have")
	ErrLength  = errors.New("message has the wrong length for its kind")
)

// fixed is the number of bytes between the id and the payload, by kind.
func fixed(k Kind) (head uint32, payload, known bool) {
	switch k {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
		return 0, false, true
	case Have, Suggest, AllowedFast:
		return 4, false, true
	case HaveBitfield:
		return 0, true, true
	case Request, Cancel, Reject:
		return 12, false, true
	case PieceBlock:
		return 8, true, true
	case Port:
		return 2, false, true
	case Extended:
		return 1, true, true
	}
	return 0, true, false
}

// ReadHead reads the next head from r. A message of more than longest bytes
// (its length prefix, so without the prefix itself) is ErrTooLong, before
// anything of it is read. An unknown id is no error: its payload is to be
// discarded.
//
// HeadSize is the most bytes that it reads: a buffered reader of that size
// takes in no payload.
func ReadHead(r io.Reader, longest uint32) (Message, error) {
	var b [HeadSize]byte
	if _, err := io.ReadFull(r, b[:4]); err != nil {
		return Message{}, err
	}
	length := binary.BigEndian.Uint32(b[:])
	if length == 0 {
		return Message{Kind: KeepAlive}, nil
	}
	if length > longest {
		return Message{}, ErrTooLong
	}
	if err := readFull(r, b[:1]); err != nil {
		return Message{}, err
	}
	m := Message{Kind: Kind(b[0])}
	head, payload, _ := fixed(m.Kind)
	if length < 1+head || length > 1+head && !payload {
		return Message{}, ErrLength
	}
	if err := readFull(r, b[:head]); err != nil {
		return Message{}, err
	}
	m.Payload = length - 1 - head
	switch m.Kind {
	case Have, Suggest, AllowedFast:
		m.Piece = Piece(binary.BigEndian.Uint32(b[:]))
	case Request, Cancel, Reject:
		m.Piece = Piece(binary.BigEndian.Uint32(b[:]))
		m.Begin = binary.BigEndian.Uint32(b[4:])
		m.Length = binary.BigEndian.Uint32(b[8:])
	case PieceBlock:
		m.Piece = Piece(binary.BigEndian.Uint32(b[:]))
		m.Begin = binary.BigEndian.Uint32(b[4:])
		m.Length = m.Payload
	case Port:
		m.Port = binary.BigEndian.Uint16(b[:])
	case Extended:
		m.ID = b[0]
	}
	return m, nil
}

// HeadSize is the length in bytes of the longest head: prefix, id and three
// numbers.
const HeadSize = 4 + 1 + 12

// readFull is io.ReadFull for bytes that must be there: the end of the stream
// inside a message is an unexpected one.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Append appends the head of m to b. Its length prefix counts m.Payload bytes,
// which the caller sends next.
func Append(b []byte, m Message) []byte {
	if m.Kind == KeepAlive {
		return append(b, 0, 0, 0, 0)
	}
	head, _, _ := fixed(m.Kind)
	b = binary.BigEndian.AppendUint32(b, 1+head+m.Payload)
	b = append(b, byte(m.Kind))
	switch m.Kind {
	case Have, Suggest, AllowedFast:
		b = binary.BigEndian.AppendUint32(b, uint32(m.Piece))
	case Request, Cancel, Reject:
		b = binary.BigEndian.AppendUint32(b, uint32(m.Piece))
		b = binary.BigEndian.AppendUint32(b, m.Begin)
		b = binary.BigEndian.AppendUint32(b, m.Length)
	case PieceBlock:
		b = binary.BigEndian.AppendUint32(b, uint32(m.Piece))
		b = binary.BigEndian.AppendUint32(b, m.Begin)
	case Port:
		b = binary.BigEndian.AppendUint16(b, m.Port)
	case Extended:
		b = append(b, m.ID)
	}
	return b
}

var kinds = map[Kind]string{
	KeepAlive: "keep-alive", Choke: "choke", Unchoke: "unchoke", Interested: "interested",
	NotInterested: "not-interested", Have: "have", HaveBitfield: "bitfield", Request: "request",
	PieceBlock: "piece", Cancel: "cancel", Port: "port", Suggest: "suggest", HaveAll: "have-all",
	HaveNone: "have-none", Reject: "reject", AllowedFast: "allowed-fast", Extended: "extended",
}

// String is the kind's name in the BEPs.
func (k Kind) String() string {
	if s, ok := kinds[k]; ok {
		return s
	}
	return fmt.Sprintf("unknown-%d", int16(k))
}

// String is the block as piece:begin+length.
func (b Block) String() string { return fmt.Sprintf("%d:%d+%d", b.Piece, b.Begin, b.Length) }

// String is the extent as piece:begin+length.
func (e Extent) String() string { return fmt.Sprintf("%d:%d+%d", e.Piece, e.Begin, e.Length) }

// String is the message as logs and scripts write it.
func (m Message) String() string {
	switch m.Kind {
	case Have, Suggest, AllowedFast:
		return fmt.Sprintf("%v %d", m.Kind, m.Piece)
	case Request, Cancel, Reject, PieceBlock:
		return fmt.Sprintf("%v %v", m.Kind, m.Block())
	case Extended:
		return fmt.Sprintf("%v id=%d +%d", m.Kind, m.ID, m.Payload)
	case HaveBitfield:
		return fmt.Sprintf("%v +%d", m.Kind, m.Payload)
	}
	return m.Kind.String()
}
