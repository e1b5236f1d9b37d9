package handshake

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/handshake/mse"
)

// TestUnveil has a world of each policy accept what may come, and looks at when
// it hangs up and whether it answered.
func TestUnveil(t *testing.T) {
	good := Append(nil, Reserved, hash, greater)
	key := make([]byte, 96)
	rand.Read(key)
	key[0], key[1] = 0x13, 0 // begins as a plain handshake, and does not go on so
	for what, c := range map[string]struct {
		policy Encryption
		send   []byte
		at     time.Duration // when it hangs up
		answer bool
		peers  int
	}{
		"plain, preferred":               {Prefer, good, 20 * time.Second, true, 1},
		"plain, required":                {Require, good, 0, false, 0},
		"plain, required, in part":       {Require, good[:20], 0, false, 0},
		"plain, required, not to tell":   {Require, good[:19], 10 * time.Second, false, 0},
		"plain, off":                     {Off, good, 20 * time.Second, true, 1},
		"plain, another torrent":         {Prefer, Append(nil, Reserved, [20]byte{9}, greater)[:48], 0, false, 0},
		"a key, preferred":               {Prefer, key, 10 * time.Second, true, 0},
		"a key, required":                {Require, key, 10 * time.Second, true, 0},
		"a key, off":                     {Off, key[:2], 0, false, 0},
		"most of a key":                  {Prefer, key[:95], 10 * time.Second, false, 0},
		"a key and garbage":              {Prefer, append(key[:96:96], make([]byte, 600)...), 0, true, 0},
		"a key of zeros":                 {Prefer, make([]byte, 96), 0, false, 0},
		"nothing":                        {Prefer, nil, 10 * time.Second, false, 0},
		"the protocol, all but a letter": {Prefer, append([]byte(protocol)[:19:19], key...), 10 * time.Second, true, 0},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, Limits{}, ourID, c.policy)
				w.become = func(ctx context.Context, _ *Conn) error {
					time.Sleep(20 * time.Second)
					return nil
				}
				l, stop := w.serve()
				near, far := newLine(0, addr(1))
				start := time.Now()
				l.conns <- far
				near.Write(c.send)
				got, _ := io.ReadAll(near)
				if at := time.Since(start); at != c.at || w.met() != c.peers {
					t.Errorf("closed after %v with %d peers", at, w.met())
				}
				if (len(got) > 0) != c.answer {
					t.Errorf("answered %d bytes", len(got))
				}
				near.Close()
				stop()
			})
		})
	}
}

// TestSecret takes only the torrent that the encrypted handshake named for
// that of the plain one inside it.
func TestSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, Limits{}, ourID, Prefer)
		l, stop := w.serve()
		for _, inside := range [][20]byte{{9}, hash} {
			near, far := newLine(0, addr(1))
			l.conns <- far
			s, err := mse.Initiator{SKey: hash, Provide: mse.RC4, IA: Append(nil, Reserved, inside, greater)}.Handshake(near)
			if err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, HandshakeSize)
			_, err = io.ReadFull(io.MultiReader(bytes.NewReader(s.Early), s.Conn), answer)
			if (err == nil) != (inside == hash) {
				t.Errorf("%v: %v", inside, err)
			}
		}
		if n := w.met(); n != 1 {
			t.Errorf("%d peers", n)
		}
		stop()
	})
}

// TestFloodOfKeys lets an honest peer in beside strangers who send a key each,
// and then a byte a second or nothing; all of them end at the limit.
func TestFloodOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, Limits{}, ourID, Prefer)
		l, stop := w.serve()
		var strangers sync.WaitGroup
		for i := range 60 {
			near, far := newLine(0, addr(10+i))
			l.conns <- far
			strangers.Go(func() {
				start, key := time.Now(), make([]byte, 96)
				rand.Read(key)
				key[95] |= 2
				near.Write(key)
				if i%2 == 0 {
					go trickle(near)
				}
				io.Copy(io.Discard, near)
				if at := time.Since(start); at > 10*time.Second {
					t.Errorf("stranger %d: closed after %v", i, at)
				}
				near.Close()
			})
		}
		var honest calls
		h := newWorldOf(t, Limits{}, greater, Prefer)
		h.remote = honest.to(l, 0)
		h.h.Offer(hash, Tracker, addr(1))
		h.h.Want(hash, 1)
		time.Sleep(time.Second)
		if w.met() != 1 || h.met() != 1 {
			t.Errorf("%d and %d honest peers after a second", w.met(), h.met())
		}
		strangers.Wait()
		synctest.Wait()
		w.h.mu.Lock()
		if n := len(w.h.accepted); n != 0 {
			t.Errorf("%d handshakes are left", n)
		}
		w.h.mu.Unlock()
		h.h.Want(hash, 0)
		h.end()
		stop()
		time.Sleep(2 * time.Second) // the strangers end
	})
}

// trickle sends a byte a second until the line is closed.
func trickle(near net.Conn) {
	for {
		if _, err := near.Write([]byte{1}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// TestFirstBytes listens on a real socket for what the policies send first to
// whoever they dial, time and again: nothing plain with Require, nothing else
// with Off.
func TestFirstBytes(t *testing.T) {
	for _, policy := range []Encryption{Require, Off} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w := newWorldOf(t, Limits{First: time.Millisecond, Longest: time.Millisecond}, ourID, policy)
		w.remote = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", a.String())
		}
		w.h.Offer(hash, Tracker, netip.MustParseAddrPort(l.Addr().String()))
		w.h.Want(hash, 1)
		for range 20 {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, len(protocol))
			_, err = io.ReadFull(c, first)
			if err != nil || (string(first) == protocol) != (policy == Off) {
				t.Errorf("%v: the first bytes are %q, %v", policy, first, err)
			}
			c.Close()
		}
		w.h.Want(hash, 0)
		w.end()
		l.Close()
	}
}

// TestEncryptionText reads what it writes, and nothing else.
func TestEncryptionText(t *testing.T) {
	for _, e := range []Encryption{Prefer, Require, Off} {
		var got Encryption
		if err := got.UnmarshalText([]byte(e.String())); err != nil || got != e {
			t.Errorf("%v: %v, %v", e, got, err)
		}
	}
	var e Encryption
	for _, s := range []string{"", "on", "Prefer", "prefer "} {
		if err := e.UnmarshalText([]byte(s)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q is read", s)
		}
	}
}

// FuzzUnveil accepts arbitrary bytes with encryption preferred and required.
func FuzzUnveil(f *testing.F) {
	f.Add(false, Append(nil, Reserved, hash, greater))
	f.Add(true, Append(nil, Reserved, hash, greater))
	f.Add(false, bytes.Repeat([]byte{0x13}, 800))
	f.Add(true, []byte("\x13BitTorrent"))
	f.Fuzz(func(t *testing.T, require bool, in []byte) {
		policy := Prefer
		if require {
			policy = Require
		}
		w := newWorldOf(t, Limits{}, ourID, policy)
		w.become = func(ctx context.Context, c *Conn) error { return nil }
		near, far := net.Pipe()
		w.h.accept(end1{near, addr(1)})
		go io.Copy(io.Discard, far)
		far.Write(in)
		far.Close()
		w.h.wait(t)
		w.end()
		if good := !require && len(in) >= HandshakeSize && bytes.Equal(in[:20], []byte(protocol)) &&
			[20]byte(in[28:48]) == hash && [20]byte(in[48:68]) != ourID; (len(w.peers) == 1) != good {
			t.Errorf("%d peers of %q", len(w.peers), in)
		}
	})
}
