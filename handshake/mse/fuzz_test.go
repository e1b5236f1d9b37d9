package mse

import (
	"io"
	"net"
	"testing"
)

// FuzzReceiver meets arbitrary bytes; those behind the first one follow a right
// key exchange if the first is odd, encrypted if its next bit is set.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 1, 2})
	f.Add(append([]byte{1}, make([]byte, 700)...))
	f.Add(append([]byte{3}, body(0, 3, 0, 68)...))
	f.Add(append([]byte{3}, body(0, 2, 512, 4)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer far.Close()
			if len(in) == 0 {
				return
			}
			r, b := newRogue(far), in[1:]
			if in[0]&1 != 0 {
				r.connects()
				if in[0]&2 != 0 {
					b = r.ask(int(in[0]>>2), Obfuscate(skey), append([]byte{}, b...))
				}
			}
			go io.Copy(io.Discard, far)
			far.Write(b)
		}()
		s, err := Receiver{Find: only(skey), Accept: 3}.Handshake(near, nil)
		near.Close()
		<-ended
		if err == nil && (s.SKey != skey || s.Method != Plain && s.Method != RC4 || len(s.Early) > MaxIA+readAhead) {
			t.Errorf("%+v", s)
		}
	})
}

// FuzzInitiator is FuzzReceiver for the other side.
func FuzzInitiator(f *testing.F) {
	f.Add([]byte{0, 1, 2})
	f.Add(append([]byte{1}, make([]byte, 700)...))
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 'h', 'i'})
	f.Fuzz(func(t *testing.T, in []byte) {
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer far.Close()
			if len(in) == 0 {
				return
			}
			r, b := newRogue(far), append([]byte{}, in[1:]...)
			if in[0]&1 != 0 {
				r.answers()
				if in[0]&2 != 0 {
					r.begin(skey, "keyB", "keyA")
					r.out.XORKeyStream(b, b)
				}
			}
			go io.Copy(io.Discard, far)
			far.Write(b)
		}()
		s, err := Initiator{SKey: skey, Provide: 3, IA: hello}.Handshake(near)
		near.Close()
		<-ended
		if err == nil && (s.Method != Plain && s.Method != RC4 || len(s.Early) > readAhead) {
			t.Errorf("%+v", s)
		}
	})
}
