package handshake

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
)

// TestHybrid dials a hybrid by its v1 infohash, says that v2 will do, and takes
// either for an answer; asked by either, it answers with that one. Whatever was
// said, the peer is one of the torrent's.
func TestHybrid(t *testing.T) {
	twin := [20]byte{7}
	for _, c := range []struct {
		name   string
		twin   [20]byte // ours
		answer [20]byte
		peers  int
	}{
		{"v1", twin, hash, 1},
		{"v2", twin, twin, 1},
		{"another torrent", twin, [20]byte{5}, 0},
		{"v2 of no hybrid", [20]byte{}, twin, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Limits{})
				w.twin = c.twin
				l, stop := w.serve()
				said := make(chan []byte, 1)
				w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) {
					near, far := net.Pipe()
					go func() {
						hello := make([]byte, HandshakeSize)
						io.ReadFull(far, hello)
						said <- hello
						far.Write(Append(nil, Reserved, c.answer, greater))
					}()
					return near, nil
				}
				w.h.Offer(hash, Tracker, addr(1))
				w.h.Want(hash, 1)
				if w.met() != c.peers || c.peers == 1 && w.peers[0].Infohash != hash {
					t.Errorf("%d peers: %+v", len(w.peers), w.peers)
				}
				reserved := Reserved
				if c.twin == twin {
					reserved[7] |= hybridBit
				}
				if hello := <-said; !bytes.Equal(hello, Append(nil, reserved, hash, ourID)) {
					t.Errorf("it says %q", hello)
				}
				w.h.Want(hash, 0)
				w.asked(l, c.answer, lesser, c.peers)
				stop()
			})
		})
	}
}

// asked connects to the world and asks for an infohash.
func (w *world) asked(l *listener, infohash, id [20]byte, peers int) {
	far := l.connect(addr(2))
	got := make([]byte, HandshakeSize)
	go far.Write(Append(nil, Reserved, infohash, id))
	if io.ReadFull(far, got); peers > 0 && !bytes.Equal(got, Append(nil, Reserved, infohash, ourID)) {
		w.t.Errorf("it answers %q", got)
	}
	if n := w.met(); n != 2*peers || peers > 0 && w.peers[1].Infohash != hash {
		w.t.Errorf("%d peers: %+v", n, w.peers)
	}
}

// TestUpgrade: who asks for a hybrid by its v1 infohash and says that the other
// will do gets the other; a peer that was found by the other is dialled by it.
func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{})
		w.twin = [20]byte{7}
		l, stop := w.serve()
		far := l.connect(addr(2))
		reserved := Reserved
		reserved[7] |= hybridBit
		go far.Write(Append(nil, reserved, hash, lesser))
		got := make([]byte, HandshakeSize)
		if io.ReadFull(far, got); !bytes.Equal(got, Append(nil, Reserved, w.twin, ourID)) {
			t.Errorf("it answers %q", got)
		}
		if w.met() != 1 || !w.peers[0].V2 || w.peers[0].Infohash != hash {
			t.Errorf("%+v", w.peers)
		}
		said := make(chan []byte, 1)
		w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				hello := make([]byte, HandshakeSize)
				io.ReadFull(far, hello)
				said <- hello
				far.Write(Append(nil, Reserved, w.twin, greater))
			}()
			return near, nil
		}
		w.h.Offer(w.twin, DHT, addr(1))
		w.h.Want(hash, 2)
		if w.met() != 2 || !w.peers[1].V2 || w.peers[1].Infohash != hash {
			t.Errorf("%+v", w.peers)
		}
		if hello := <-said; !bytes.Equal(hello, Append(nil, reserved, w.twin, ourID)) {
			t.Errorf("it says %q", hello)
		}
		w.h.Want(hash, 0)
		stop()
	})
}
