package mse

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// rogue is a peer that does the handshake by hand, so that it can do it wrong.
type rogue struct{ *exchange }

// unpadded is chance, in which every length of a pad is 0.
type unpadded struct{}

func (unpadded) Read(p []byte) (int, error) {
	if len(p) == 2 {
		clear(p)
		return 2, nil
	}
	return rand.Read(p)
}

// newRogue is a rogue at one end of a pipe; it reads nothing by itself.
func newRogue(socket net.Conn) rogue { return rogue{newExchange(socket, nil, unpadded{})} }

// connects exchanges public keys as the initiator.
func (r rogue) connects() {
	b, _ := r.greeting()
	r.socket.Write(b)
	r.take()
}

// answers exchanges public keys as the receiver.
func (r rogue) answers() {
	b, _ := r.greeting()
	if r.take() {
		r.socket.Write(b)
	}
}

func (r rogue) take() bool {
	theirs, err := r.readKey()
	if err == nil {
		r.secret = r.private.power(theirs)
	}
	return err == nil
}

// ask is what an initiator sends second.
func (r rogue) ask(junk int, name [20]byte, part []byte) []byte {
	r.begin(skey, "keyA", "keyB")
	sign, veiled := r.sign(), r.veil(name)
	b := append(make([]byte, junk), sign[:]...)
	b = append(b, veiled[:]...)
	r.out.XORKeyStream(part, part)
	return append(b, part...)
}

// body is VC, crypto_provide, PadC and IA.
func body(vc uint64, provide uint32, pad, ia int) []byte {
	b := binary.BigEndian.AppendUint64(nil, vc)
	b = binary.BigEndian.AppendUint32(b, provide)
	b = append(binary.BigEndian.AppendUint16(b, uint16(pad)), make([]byte, min(pad, MaxPad+1))...)
	return append(binary.BigEndian.AppendUint16(b, uint16(ia)), make([]byte, min(ia, 68))...)
}

// TestHostileInitiator ends each of them with its reason.
func TestHostileInitiator(t *testing.T) {
	name := Obfuscate(skey)
	for what, c := range map[string]struct {
		send func(r rogue) []byte
		want error
	}{
		"good":                  {func(r rogue) []byte { return r.ask(0, name, body(0, 2, 0, 0)) }, nil},
		"the longest pads":      {func(r rogue) []byte { return r.ask(MaxPad, name, body(0, 2, MaxPad, 68)) }, nil},
		"PadA is too long":      {func(r rogue) []byte { return r.ask(MaxPad+1, name, body(0, 2, 0, 0)) }, ErrSync},
		"garbage for ever":      {func(r rogue) []byte { return make([]byte, 1<<20) }, ErrSync},
		"another torrent":       {func(r rogue) []byte { return r.ask(0, Obfuscate([20]byte{9}), body(0, 2, 0, 0)) }, ErrUnknown},
		"a wrong VC":            {func(r rogue) []byte { return r.ask(0, name, body(1, 2, 0, 0)) }, ErrVC},
		"PadC is too long":      {func(r rogue) []byte { return r.ask(0, name, body(0, 2, MaxPad+1, 0)) }, ErrTooLong},
		"PadC is huge":          {func(r rogue) []byte { return r.ask(0, name, body(0, 2, 65535, 0)) }, ErrTooLong},
		"IA is too long":        {func(r rogue) []byte { return r.ask(0, name, body(0, 2, 0, MaxIA+1)) }, ErrTooLong},
		"IA is huge":            {func(r rogue) []byte { return r.ask(0, name, body(0, 2, 0, 65535)) }, ErrTooLong},
		"no method":             {func(r rogue) []byte { return r.ask(0, name, body(0, 0, 0, 0)) }, ErrMethod},
		"unknown methods":       {func(r rogue) []byte { return r.ask(0, name, body(0, 0xfffffffc, 0, 0)) }, ErrMethod},
		"every method":          {func(r rogue) []byte { return r.ask(0, name, body(0, 0xffffffff, 0, 0)) }, nil},
		"gone after the keys":   {func(r rogue) []byte { return nil }, io.EOF},
		"gone inside the name":  {func(r rogue) []byte { return r.ask(0, name, nil)[:30] }, io.ErrUnexpectedEOF},
		"gone inside the body":  {func(r rogue) []byte { return r.ask(0, name, body(0, 2, 40, 0)[:30]) }, io.ErrUnexpectedEOF},
		"gone inside IA":        {func(r rogue) []byte { return r.ask(0, name, body(0, 2, 0, 69)) }, io.ErrUnexpectedEOF},
		"the mark comes halved": {func(r rogue) []byte { return r.ask(0, name, nil)[:10] }, io.EOF},
	} {
		t.Run(what, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				defer far.Close()
				r := newRogue(far)
				r.connects()
				if _, err := far.Write(c.send(r)); err == nil && c.want == nil {
					io.Copy(io.Discard, far)
				}
			}()
			_, err := Receiver{Find: only(skey), Accept: 3}.Handshake(near, nil)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestHostileReceiver ends each of them with its reason.
func TestHostileReceiver(t *testing.T) {
	reply := func(junk int, vc uint64, method uint32, pad int) func(r rogue) []byte {
		return func(r rogue) []byte {
			r.begin(skey, "keyB", "keyA")
			b := binary.BigEndian.AppendUint64(nil, vc)
			b = binary.BigEndian.AppendUint32(b, method)
			b = append(binary.BigEndian.AppendUint16(b, uint16(pad)), make([]byte, min(pad, MaxPad))...)
			r.out.XORKeyStream(b, b)
			return append(make([]byte, junk), b...)
		}
	}
	for what, c := range map[string]struct {
		send func(r rogue) []byte
		want error
	}{
		"good":              {reply(0, 0, 2, 0), nil},
		"the longest pads":  {reply(MaxPad, 0, 2, MaxPad), nil},
		"PadB is too long":  {reply(MaxPad+1, 0, 2, 0), ErrSync},
		"a wrong VC":        {func(r rogue) []byte { return append(reply(0, 1, 2, 0)(r), make([]byte, 600)...) }, ErrSync},
		"garbage for ever":  {func(r rogue) []byte { return make([]byte, 1<<20) }, ErrSync},
		"PadD is huge":      {reply(0, 0, 2, 65535), ErrTooLong},
		"nothing chosen":    {reply(0, 0, 0, 0), ErrMethod},
		"both chosen":       {reply(0, 0, 3, 0), ErrMethod},
		"not what we offer": {reply(0, 0, 1, 0), ErrMethod},
		"nor anybody":       {reply(0, 0, 4, 0), ErrMethod},
		"gone at once":      {func(r rogue) []byte { return nil }, io.EOF},
		"gone in PadD":      {func(r rogue) []byte { return reply(0, 0, 2, 9)(r)[:20] }, io.ErrUnexpectedEOF},
	} {
		t.Run(what, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				defer far.Close()
				r := newRogue(far)
				r.answers()
				read := make(chan struct{})
				go func() {
					defer close(read)
					io.Copy(io.Discard, far)
				}()
				far.Write(c.send(r))
				if c.want == nil {
					<-read
				}
			}()
			_, err := Initiator{SKey: skey, Provide: RC4}.Handshake(near)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestKeys refuses public keys of which everybody knows the secret, both ways,
// and answers the good ones at the edge.
func TestKeys(t *testing.T) {
	for what, c := range map[string]struct {
		y    *big.Int
		good bool
	}{
		"0":       {big.NewInt(0), false},
		"1":       {big.NewInt(1), false},
		"2":       {big.NewInt(2), true},
		"p-2":     {new(big.Int).Sub(prime, big.NewInt(2)), true},
		"p-1":     {new(big.Int).Sub(prime, one), false},
		"p":       {prime, false},
		"p+2":     {new(big.Int).Add(prime, big.NewInt(2)), false},
		"the end": {new(big.Int).SetBytes(bytes.Repeat([]byte{255}, publicSize)), false},
	} {
		for _, side := range []string{"initiator", "receiver"} {
			near, far := net.Pipe()
			answered := make(chan int)
			go func() {
				b := make([]byte, publicSize)
				c.y.FillBytes(b)
				if side == "receiver" {
					far.Write(b)
				}
				n, _ := io.ReadAtLeast(far, make([]byte, publicSize+MaxPad), publicSize)
				if side == "initiator" {
					far.Write(b)
				}
				far.Close()
				answered <- n
			}()
			var err error
			if side == "initiator" {
				_, err = Initiator{SKey: skey, Provide: RC4}.Handshake(near)
			} else {
				_, err = Receiver{Find: only(skey), Accept: RC4}.Handshake(near, nil)
			}
			near.Close()
			if n := <-answered; side == "receiver" && (n > 0) != c.good {
				t.Errorf("%s to the receiver: %d bytes of answer", what, n)
			}
			if errors.Is(err, ErrKey) == c.good || err == nil {
				t.Errorf("%s to the %s: %v", what, side, err)
			}
		}
	}
}

// TestNoMSE ends with receivers that do not speak it, also with one that waits
// for us after its plain handshake.
func TestNoMSE(t *testing.T) {
	for what, c := range map[string]struct {
		talk func(far net.Conn)
		want error
	}{
		"closes at once":     {func(far net.Conn) {}, io.ErrClosedPipe},
		"closes after a key": {func(far net.Conn) { far.Read(make([]byte, publicSize+MaxPad)) }, io.EOF},
		"half a key": {func(far net.Conn) {
			go io.Copy(io.Discard, far)
			far.Write(make([]byte, publicSize-1))
		}, io.ErrUnexpectedEOF},
		"talks plainly, and waits": {func(far net.Conn) {
			go io.Copy(io.Discard, far)
			far.Write(hello)
			far.Read(make([]byte, 1)) // until it is hung up
		}, ErrSync},
	} {
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer far.Close()
			c.talk(far)
		}()
		_, err := Initiator{SKey: skey, Provide: RC4}.Handshake(near)
		near.Close()
		<-ended
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSlow ends when the socket is closed, wherever a peer that sends a byte a
// second has got to, and holds no more than one that is quick.
func TestSlow(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, 95 * time.Second, 97 * time.Second, 10 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			go func() {
				b := make([]byte, 1)
				for {
					rand.Read(b)
					if _, err := far.Write(b); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			start := time.Now()
			stop := time.AfterFunc(limit, func() { near.Close() })
			_, err := Receiver{Find: only(skey), Accept: RC4}.Handshake(near, nil)
			if took := time.Since(start); took > min(limit, 700*time.Second) || err == nil {
				t.Errorf("ended after %v: %v", took, err)
			}
			stop.Stop()
			near.Close()
			far.Close()
			time.Sleep(2 * time.Second) // the sender ends
		})
	}
}
