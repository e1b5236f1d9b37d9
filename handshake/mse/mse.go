// Package mse is Message Stream Encryption, which clients call Protocol
// Encryption as well: a handshake before that of BitTorrent (BEP 3), after
// which nobody on the way can tell the stream from noise without effort. It
// hides; it does not protect: there is no proof of who the other side is.
//
//	initiator                                             receiver
//	    |                                                    |
//	    |-- Ya, PadA --------------------------------------->|  96 to 608 bytes
//	    |                                                    |
//	    |<--------------------------------------- Yb, PadB --|  S = 2^(ab) mod p
//	    |                                                    |
//	    |-- HASH('req1', S),                                 |  where PadA ends
//	    |   HASH('req2', SKEY) xor HASH('req3', S),          |  which torrent
//	    |   RC4(VC, crypto_provide, PadC, IA) -------------->|  IA: the handshake of BEP 3
//	    |                                                    |
//	    |<----------------- RC4(VC, crypto_select, PadD) ----|
//	    |                                                    |
//	    |<=========== the stream, plain or RC4 =============>|
//
// SKEY is the infohash: whoever does not know the torrent cannot go on. VC is
// eight zero bytes. The keys are HASH('keyA', S, SKEY) for what the initiator
// sends and HASH('keyB', S, SKEY) for the rest, HASH is SHA-1, and the first
// 1,024 bytes of each key stream are dropped.
//
// The source is the description in the wiki of Vuze, as BEPs have none.
package mse

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rc4"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
)

// Method is a set of the ways to send the stream after the handshake, as
// crypto_provide has it, or one of them, as crypto_select does.
type Method uint32

// The methods.
const (
	Plain Method = 1 // the stream is not encrypted
	RC4   Method = 2
)

// String is the method's name in logs; "none" is no handshake of this package.
func (m Method) String() string {
	switch m {
	case 0:
		return "none"
	case Plain:
		return "plain"
	case RC4:
		return "rc4"
	}
	return "several"
}

// Bounds of a handshake. With them one side of it never allocates more than
// 32 KiB in all.
const (
	MaxPad = 512     // bytes of each pad, ours and theirs
	MaxIA  = 4 << 10 // bytes of their initial payload; those of clients have one or two messages
)

// Why a handshake fails, beside the errors of the socket.
var (
	ErrKey     = errors.New("public key out of range")
	ErrSync    = errors.New("encrypted handshake is out of step")
	ErrVC      = errors.New("verification constant is wrong")
	ErrTooLong = errors.New("part of an encrypted handshake is too long")
	ErrMethod  = errors.New("no encryption method in common")
	ErrUnknown = errors.New("encrypted handshake for a torrent that is not here")
)

// Session is what a handshake came to.
type Session struct {
	// Conn is the stream from here on: the socket itself when it is plain, a
	// *Conn when it is RC4.
	Conn net.Conn
	// Early is the start of the other side's stream that has come already, the
	// receiver's IA in front. It is decrypted and comes before what Conn reads.
	Early  []byte
	Method Method
	SKey   [20]byte // the infohash
}

// vc is the verification constant.
var vc [8]byte

// discard is how many bytes of a key stream are dropped.
const discard = 1024

// exchange is one handshake.
type exchange struct {
	socket  net.Conn
	r       *bufio.Reader
	rand    io.Reader
	private key
	secret  [publicSize]byte // S
	in, out *rc4.Cipher
}

// readAhead is the buffer of a handshake, in bytes: a key with its pad, and
// more. Nothing that comes behind the handshake is lost in it.
const readAhead = 1 << 10

// newExchange begins with bytes that were read from the socket already.
func newExchange(socket net.Conn, early []byte, random io.Reader) *exchange {
	if random == nil {
		random = rand.Reader
	}
	in := io.Reader(socket)
	if len(early) > 0 {
		in = io.MultiReader(bytes.NewReader(early), socket)
	}
	return &exchange{socket: socket, r: bufio.NewReaderSize(in, readAhead), rand: random}
}

// hash is SHA-1 of its parts.
func hash(parts ...[]byte) (sum [sha1.Size]byte) {
	h := sha1.New()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// Obfuscate is what the initiator names a torrent by, HASH('req2', infohash).
// Receivers keep a table of it, as it cannot be turned back.
func Obfuscate(infohash [20]byte) [20]byte { return hash([]byte("req2"), infohash[:]) }

// sign is HASH('req1', S), which ends PadA.
func (x *exchange) sign() [20]byte { return hash([]byte("req1"), x.secret[:]) }

// veil turns the obfuscated name of a torrent into what is sent, and back.
func (x *exchange) veil(name [20]byte) [20]byte {
	mask := hash([]byte("req3"), x.secret[:])
	for i := range name {
		name[i] ^= mask[i]
	}
	return name
}

// begin makes the two key streams: ours is the letter of our side.
func (x *exchange) begin(skey [20]byte, ours, theirs string) {
	x.out, x.in = x.stream(ours, skey), x.stream(theirs, skey)
}

func (x *exchange) stream(name string, skey [20]byte) *rc4.Cipher {
	k := hash([]byte(name), x.secret[:], skey[:])
	c, err := rc4.NewCipher(k[:])
	if err != nil {
		panic(err) // a key of 20 bytes is a good one
	}
	var drop [discard]byte
	c.XORKeyStream(drop[:], drop[:])
	return c
}

// greeting is our public key and a pad, and keeps the private key.
func (x *exchange) greeting() ([]byte, error) {
	var err error
	if x.private, err = newKey(x.rand); err != nil {
		return nil, err
	}
	public := x.private.power(generator)
	return x.pad(public[:])
}

// pad appends a pad of a random length.
func (x *exchange) pad(b []byte) ([]byte, error) {
	n, err := x.padLength()
	if err != nil {
		return nil, err
	}
	pad := make([]byte, n)
	_, err = io.ReadFull(x.rand, pad)
	return append(b, pad...), err
}

// padLength is from 0 to MaxPad. Two bytes make the odds uneven by less than
// one in a hundred, which tells nobody anything.
func (x *exchange) padLength() (int, error) {
	var b [2]byte
	_, err := io.ReadFull(x.rand, b[:])
	return int(binary.BigEndian.Uint16(b[:])) % (MaxPad + 1), err
}

// padded appends the length of a pad and the pad, of zeros: it goes out
// encrypted.
func (x *exchange) padded(b []byte) ([]byte, error) {
	n, err := x.padLength()
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(b, make([]byte, n)...), err
}

// readKey reads the other side's public key.
func (x *exchange) readKey() (*big.Int, error) {
	var b [publicSize]byte
	if _, err := io.ReadFull(x.r, b[:]); err != nil {
		return nil, err
	}
	return parseKey(b)
}

// synchronise reads up to the end of mark, which a pad may come before.
func (x *exchange) synchronise(mark []byte) error {
	for range MaxPad + 1 {
		b, err := x.r.Peek(len(mark))
		if err != nil {
			return err
		}
		if bytes.Equal(b, mark) {
			x.r.Discard(len(mark)) // which are in the buffer
			return nil
		}
		x.r.Discard(1)
	}
	return ErrSync
}

// read reads and decrypts n bytes, of which the caller knows that there are
// few.
func (x *exchange) read(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(x.r, b); err != nil {
		return nil, err
	}
	x.in.XORKeyStream(b, b)
	return b, nil
}

// skip reads a pad.
func (x *exchange) skip(n int) error {
	if n > MaxPad {
		return ErrTooLong
	}
	_, err := x.read(n)
	return err
}

// session is the end of a handshake. What came behind it is in the buffer.
func (x *exchange) session(m Method, skey [20]byte, ia []byte) *Session {
	left := make([]byte, x.r.Buffered())
	io.ReadFull(x.r, left) // all of it is there
	s := &Session{Conn: x.socket, Method: m, SKey: skey}
	if m == RC4 {
		x.in.XORKeyStream(left, left)
		s.Conn = &Conn{Conn: x.socket, in: x.in, out: x.out}
	}
	s.Early = append(ia, left...)
	return s
}
