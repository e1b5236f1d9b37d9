package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Kind is what a message is. Kinds from 0 to 255 are the ids of the wire;
// what has no id there lies outside that range.
type Kind int16

// The messages of BEP 3, 5, 6, 10 and 52.
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
	HashRequest   Kind = 21 // BEP 52, as the next two; payload: a HashRange
	Hashes        Kind = 22 // payload: a HashRange and the hashes
	HashReject    Kind = 23 // payload: a HashRange
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

// shape is the number of bytes of numbers between the id and the payload of a
// kind, and whether there is a payload.
func shape(k Kind) (numbers uint32, payload bool) {
	switch k {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
		return 0, false
	case Have, Suggest, AllowedFast:
		return 4, false
	case HaveBitfield, HashRequest, Hashes, HashReject:
		return 0, true
	case Request, Cancel, Reject:
		return 12, false
	case PieceBlock:
		return 8, true
	case Port:
		return 2, false
	case Extended:
		return 1, true
	}
	return 0, true
}

// head parses the head that b begins with. n is its length as far as b tells:
// if n is more than len(b), m is not there yet, and whoever has n bytes asks
// again. n never asks for a byte that is not of the head.
func head(b []byte, longest uint32) (m Message, n int, err error) {
	if len(b) < 4 {
		return m, 4, nil
	}
	length := binary.BigEndian.Uint32(b)
	if length == 0 {
		return Message{Kind: KeepAlive}, 4, nil
	}
	if length > longest {
		return m, 4, ErrTooLong
	}
	if len(b) < 5 {
		return m, 5, nil
	}
	m.Kind = Kind(b[4])
	numbers, payload := shape(m.Kind)
	if length < 1+numbers || length > 1+numbers && !payload {
		return Message{}, 5, ErrLength
	}
	if isHash(m.Kind) && !hashPayload(m.Kind, length-1) {
		return Message{}, 5, ErrLength
	}
	if n = 5 + int(numbers); len(b) < n {
		return m, n, nil
	}
	b = b[5:]
	m.Payload = length - 1 - numbers
	switch m.Kind {
	case Have, Suggest, AllowedFast:
		m.Piece = Piece(binary.BigEndian.Uint32(b))
	case Request, Cancel, Reject:
		m.Piece = Piece(binary.BigEndian.Uint32(b))
		m.Begin = binary.BigEndian.Uint32(b[4:])
		m.Length = binary.BigEndian.Uint32(b[8:])
	case PieceBlock:
		m.Piece = Piece(binary.BigEndian.Uint32(b))
		m.Begin = binary.BigEndian.Uint32(b[4:])
		m.Length = m.Payload
	case Port:
		m.Port = binary.BigEndian.Uint16(b)
	case Extended:
		m.ID = b[0]
	}
	return m, n, nil
}

// ReadHead reads the next head from r, and nothing behind it. A message of
// more than longest bytes (its length prefix, so without the prefix itself) is
// ErrTooLong, one that is too short or too long for its kind ErrLength; the
// end of the stream is io.EOF between two messages and io.ErrUnexpectedEOF
// inside a head. An unknown id is no error: its payload is to be discarded.
//
// From a *bufio.Reader of HeadSize or more it allocates nothing, and an error
// of the stream takes nothing out of it: after a deadline in the middle of a
// head the call can be repeated.
func ReadHead(r io.Reader, longest uint32) (Message, error) {
	if buffered, ok := r.(*bufio.Reader); ok && buffered.Size() >= HeadSize {
		return peekHead(buffered, longest)
	}
	var b [HeadSize]byte // escapes into r
	for have := 0; ; {
		m, n, err := head(b[:have], longest)
		if err != nil {
			return Message{}, err
		}
		if n == have {
			return m, nil
		}
		if _, err := io.ReadFull(r, b[have:n]); err != nil {
			return Message{}, inside(have, err)
		}
		have = n
	}
}

// peekHead is ReadHead for a reader that holds a whole head.
func peekHead(r *bufio.Reader, longest uint32) (Message, error) {
	for need := 4; ; {
		b, err := r.Peek(need)
		if err != nil {
			return Message{}, inside(len(b), err)
		}
		m, n, err := head(b, longest)
		if err != nil {
			return Message{}, err
		}
		if n == need {
			_, err = r.Discard(n)
			return m, err
		}
		need = n
	}
}

// inside is err as it is after some bytes of a head: the end of the stream is
// no end there.
func inside(have int, err error) error {
	if err == io.EOF && have > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// HeadSize is the length in bytes of the longest head: prefix, id and three
// numbers. It is the right size for the buffered reader of a connection: of a
// block, whose head has 13 bytes, at most 4 go through the buffer, and the rest
// from the socket into the block.
const HeadSize = 4 + 1 + 12

// Append appends the head of m to b. Its length prefix counts m.Payload bytes,
// which the caller sends next. A kind without an id on the wire, and a payload
// that the kind cannot have, are bugs of the caller and panic.
func Append(b []byte, m Message) []byte {
	if m.Kind == KeepAlive {
		return append(b, 0, 0, 0, 0)
	}
	numbers, payload := shape(m.Kind)
	if m.Kind < 0 || m.Kind > math.MaxUint8 || m.Payload > 0 && !payload || isHash(m.Kind) && !hashPayload(m.Kind, m.Payload) {
		panic(fmt.Sprintf("wire: no such message: %d with %d bytes of payload", int16(m.Kind), m.Payload))
	}
	b = binary.BigEndian.AppendUint32(b, 1+numbers+m.Payload)
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

// names are the kinds' names in the BEPs, by id.
var names = [...]string{
	Choke: "choke", Unchoke: "unchoke", Interested: "interested", NotInterested: "not-interested",
	Have: "have", HaveBitfield: "bitfield", Request: "request", PieceBlock: "piece",
	Cancel: "cancel", Port: "port", Suggest: "suggest", HaveAll: "have-all",
	HaveNone: "have-none", Reject: "reject", AllowedFast: "allowed-fast", Extended: "extended",
	HashRequest: "hash-request", Hashes: "hashes", HashReject: "hash-reject",
}

// String is the kind's name in the BEPs.
func (k Kind) String() string {
	switch {
	case k == KeepAlive:
		return "keep-alive"
	case k >= 0 && int(k) < len(names) && names[k] != "":
		return names[k]
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
	case HaveBitfield, HashRequest, Hashes, HashReject:
		return fmt.Sprintf("%v +%d", m.Kind, m.Payload)
	}
	return m.Kind.String()
}
