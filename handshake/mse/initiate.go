package mse

import (
	"encoding/binary"
	"io"
	"net"
)

// plainGreeting opens the handshake of BEP 3. No receiver of MSE sends it.
const plainGreeting = "\x13BitTorrent protocol"

// Initiator is the side that connected.
type Initiator struct {
	SKey    [20]byte  // the infohash
	Provide Method    // the methods that the receiver may choose from
	IA      []byte    // the start of our stream, at most 65,535 bytes, which saves a round trip
	Rand    io.Reader // of keys and pads; nil: crypto/rand
}

// Handshake shakes hands over a socket: two round trips. It has no time limit
// of its own; closing the socket ends it.
func (i Initiator) Handshake(socket net.Conn) (*Session, error) {
	x := newExchange(socket, nil, i.Rand)
	if err := x.greet(); err != nil {
		return nil, err
	}
	x.begin(i.SKey, "keyA", "keyB")
	if err := x.ask(i); err != nil {
		return nil, err
	}
	var mark [len(vc)]byte
	x.in.XORKeyStream(mark[:], vc[:])
	if err := x.synchronise(mark[:]); err != nil {
		return nil, err
	}
	head, err := x.read(4 + 2)
	if err != nil {
		return nil, err
	}
	if err := x.skip(int(binary.BigEndian.Uint16(head[4:]))); err != nil {
		return nil, err
	}
	m := Method(binary.BigEndian.Uint32(head))
	if m&i.Provide != m || m != Plain && m != RC4 {
		return nil, ErrMethod
	}
	return x.session(m, i.SKey, nil), nil
}

// greet exchanges the public keys.
func (x *exchange) greet() error {
	b, err := x.greeting()
	if err != nil {
		return err
	}
	if _, err := x.socket.Write(b); err != nil {
		return err
	}
	// A peer that talks first, and plainly, would let us wait for the rest of
	// its key.
	if b, err := x.r.Peek(len(plainGreeting)); err != nil || string(b) == plainGreeting {
		if err == nil {
			err = ErrSync
		}
		return err
	}
	theirs, err := x.readKey()
	if err != nil {
		return err
	}
	x.secret = x.private.power(theirs)
	return nil
}

// ask names the torrent and what we can do, in one write.
func (x *exchange) ask(i Initiator) error {
	sign, name := x.sign(), x.veil(Obfuscate(i.SKey))
	b := append(sign[:], name[:]...)
	from := len(b)
	b = append(b, vc[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(i.Provide))
	b, err := x.padded(b)
	if err != nil {
		return err
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(i.IA)))
	b = append(b, i.IA...)
	x.out.XORKeyStream(b[from:], b[from:])
	_, err = x.socket.Write(b)
	return err
}
