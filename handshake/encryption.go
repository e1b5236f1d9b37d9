package handshake

// How a peer is greeted when encryption is preferred. What a candidate was
// found to speak is kept, so that the next dial does not pay twice:
//
//	unknown --MSE--> done: encrypted --MSE--> done: encrypted
//	   ^ |                                |
//	   | | failed                         | failed: unknown
//	   | v
//	   | BEP 3, on a new connection --> done: plain --BEP 3--> done: plain
//	   |       |                                       |
//	   +-------+ failed                                | failed: unknown
//
// It does not matter how far MSE got: some receivers speak it and hang up at
// the end (Transmission 3.00 that prefers plain streams takes the encrypted IA
// for plain). A peer that only keeps silent has half the time of a handshake
// before it is tried in plain. A connect that fails says nothing of what the
// peer speaks, and is not tried again at once.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"bipfs/handshake/mse"
	"bipfs/wire"
)

// Encryption is the policy on encrypted handshakes (package mse).
type Encryption uint8

// The policies. Both sides choose a plain stream behind an encrypted handshake
// where they may.
const (
	Prefer  Encryption = iota // dial with encryption first, accept both
	Require                   // RC4 to the end, in and out
	Off                       // plain, in and out
)

// attempts is how many share the time of a handshake where a plain one may
// follow the encrypted one.
const attempts = 2

// ErrPlain is that a peer does not encrypt where it has to.
var ErrPlain = errors.New("peer does not encrypt")

// String is the policy as the user writes it.
func (e Encryption) String() string {
	switch e {
	case Prefer:
		return "prefer"
	case Require:
		return "require"
	}
	return "off"
}

// UnmarshalText reads what String writes.
func (e *Encryption) UnmarshalText(b []byte) error {
	for _, known := range []Encryption{Prefer, Require, Off} {
		if string(b) == known.String() {
			*e = known
			return nil
		}
	}
	return fmt.Errorf("%q is not prefer, require or off", b)
}

// methods is what may come after an encrypted handshake.
func (e Encryption) methods() mse.Method {
	if e == Require {
		return mse.RC4
	}
	return mse.Plain | mse.RC4
}

// tongue is what a candidate was found to speak.
type tongue uint8

const (
	unknown tongue = iota
	plain
	encrypted
)

// reach connects to the address of c, of which is known what it speaks, and
// shakes hands, all within one deadline. It says what is known then.
func (h *Handshaker) reach(life context.Context, t *torrent, c *Conn, speaks tongue) (tongue, error) {
	ctx, cancel := context.WithTimeout(life, h.limits.Handshake)
	defer cancel()
	policy := h.config.Encryption
	if policy == Require || policy == Prefer && speaks != plain {
		limit := h.limits.Handshake
		goesPlain := policy == Prefer && speaks == unknown
		if goesPlain {
			limit /= attempts
		}
		err := h.dialEncrypted(ctx, t, c, limit)
		switch {
		case err == nil:
			return encrypted, nil
		case c.Conn == nil: // not connected
			return speaks, err
		case !goesPlain || ctx.Err() != nil:
			return unknown, err
		}
		c.Conn.Close()
		c.Conn, c.Reader, c.MSE = nil, nil, 0
	}
	err := h.dialPlain(ctx, t, c)
	switch {
	case err == nil:
		return plain, nil
	case c.Conn == nil:
		return speaks, err
	}
	return unknown, err
}

// dialPlain connects and shakes hands as BEP 3 has it.
func (h *Handshaker) dialPlain(ctx context.Context, t *torrent, c *Conn) error {
	if err := h.connect(ctx, c); err != nil {
		return err
	}
	return within(ctx, c.Conn, func() error {
		hello, _ := h.helloTo(c, t)
		if _, err := c.Write(hello); err != nil {
			return err
		}
		return h.readAnswer(t, c)
	})
}

// dialEncrypted connects and shakes hands inside MSE. The peer has limit after
// the connect.
func (h *Handshaker) dialEncrypted(ctx context.Context, t *torrent, c *Conn, limit time.Duration) error {
	if err := h.connect(ctx, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return within(ctx, c.Conn, func() error {
		hello, infohash := h.helloTo(c, t)
		s, err := mse.Initiator{
			SKey: infohash, Provide: h.config.Encryption.methods(), IA: hello,
		}.Handshake(c.Conn)
		if err != nil {
			return err
		}
		c.adopt(s)
		return h.readAnswer(t, c)
	})
}

// adopt goes on with the stream that an encrypted handshake came to.
func (c *Conn) adopt(s *mse.Session) {
	c.Conn, c.MSE = s.Conn, s.Method
	c.Reader = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(s.Early), s.Conn), max(len(s.Early), readerSize))
	c.Reader.Peek(len(s.Early)) // into the buffer, where whoever goes on looks for it
}

// unveil tells a plain handshake from an encrypted one on an accepted socket,
// as far as our policy has both, and does the encrypted one. Afterwards the
// handshake of BEP 3 is next.
func (h *Handshaker) unveil(c *Conn) error {
	if h.config.Encryption == Off {
		return nil // what is not plain ends at its first byte
	}
	opens, err := opensPlain(c.Reader)
	switch {
	case err != nil:
		return err
	case opens && h.config.Encryption == Require:
		return ErrPlain
	case opens:
		return nil
	}
	early, _ := c.Reader.Peek(c.Reader.Buffered())
	s, err := mse.Receiver{Find: h.config.Find, Accept: h.config.Encryption.methods()}.Handshake(c.Conn, early)
	if err != nil {
		return err
	}
	c.adopt(s)
	c.secret = s.SKey
	return nil
}

// opensPlain reports whether the protocol of BEP 3 is next. It looks at no more
// bytes than it takes to tell: a public key of MSE, which is as good as random,
// mostly differs in its first byte.
func opensPlain(r *bufio.Reader) (bool, error) {
	for i := range len(protocol) {
		b, err := r.Peek(i + 1)
		if err != nil {
			return false, err
		}
		if b[i] != protocol[i] {
			return false, nil
		}
	}
	return true, nil
}

// readerSize is the buffer of the reader that goes along with a connection. The
// longest head, and the protocol, fit in; it takes in next to nothing of a
// block.
const readerSize = max(wire.HeadSize, len(protocol))

// Obfuscate is what peers name a torrent by in an encrypted handshake: see
// Config.Find.
func Obfuscate(infohash [20]byte) [20]byte { return mse.Obfuscate(infohash) }
