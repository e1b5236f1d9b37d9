package mse

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
)

// Receiver is the side that was connected to.
type Receiver struct {
	// Find is the infohash that Obfuscate makes name of. It is asked once, and
	// should be a look-up in a table.
	Find func(name [20]byte) (infohash [20]byte, known bool)
	// Accept is the methods that may be chosen. Of two in common it is Plain.
	Accept Method
	Rand   io.Reader // of keys and pads; nil: crypto/rand
}

// Handshake shakes hands over a socket of which the bytes early were read
// already. It has no time limit of its own; closing the socket ends it.
// Nothing is computed before a whole public key is here, and nothing is sent
// to one that is out of range.
func (r Receiver) Handshake(socket net.Conn, early []byte) (*Session, error) {
	x := newExchange(socket, early, r.Rand)
	if err := x.answer(); err != nil {
		return nil, err
	}
	sign := x.sign()
	if err := x.synchronise(sign[:]); err != nil {
		return nil, err
	}
	var name [20]byte
	if _, err := io.ReadFull(x.r, name[:]); err != nil {
		return nil, err
	}
	skey, known := r.Find(x.veil(name))
	if !known {
		return nil, ErrUnknown
	}
	x.begin(skey, "keyB", "keyA")
	provided, ia, err := x.request()
	if err != nil {
		return nil, err
	}
	m := choose(provided & r.Accept)
	if m == 0 {
		return nil, ErrMethod
	}
	if err := x.accept(m); err != nil {
		return nil, err
	}
	return x.session(m, skey, ia), nil
}

// choose is the cheapest method of a set; 0: there is none.
func choose(m Method) Method {
	switch {
	case m&Plain != 0:
		return Plain
	case m&RC4 != 0:
		return RC4
	}
	return 0
}

// answer exchanges the public keys: ours is made once theirs is here.
func (x *exchange) answer() error {
	theirs, err := x.readKey()
	if err != nil {
		return err
	}
	b, err := x.greeting()
	if err != nil {
		return err
	}
	if _, err := x.socket.Write(b); err != nil {
		return err
	}
	x.secret = x.private.power(theirs)
	return nil
}

// request reads what the initiator provides and its IA.
func (x *exchange) request() (provided Method, ia []byte, err error) {
	head, err := x.read(len(vc) + 4 + 2)
	if err != nil {
		return 0, nil, err
	}
	if !bytes.Equal(head[:len(vc)], vc[:]) {
		return 0, nil, ErrVC
	}
	rest := head[len(vc):]
	if err := x.skip(int(binary.BigEndian.Uint16(rest[4:]))); err != nil {
		return 0, nil, err
	}
	length, err := x.read(2)
	if err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(length))
	if n > MaxIA {
		return 0, nil, ErrTooLong
	}
	ia, err = x.read(n)
	return Method(binary.BigEndian.Uint32(rest)), ia, err
}

// accept says which method it is.
func (x *exchange) accept(m Method) error {
	b := binary.BigEndian.AppendUint32(vc[:len(vc):len(vc)], uint32(m))
	b, err := x.padded(b)
	if err != nil {
		return err
	}
	x.out.XORKeyStream(b, b)
	_, err = x.socket.Write(b)
	return err
}
