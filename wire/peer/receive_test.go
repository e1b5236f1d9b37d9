package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"bipfs/wire"
)

// sockets are the two ends of a TCP connection.
func sockets(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestReceiver: what is read is what was sent, in one call with what lies behind, if
// that is wanted; before each wait somebody hears of it.
func TestReceiver(t *testing.T) {
	near, far := sockets(t)
	waits := make(chan struct{}, 100)
	var r receiver
	if !r.init(near, func() error { waits <- struct{}{}; return nil }) {
		t.Fatal("it is no socket")
	}
	sent := make([]byte, 3*wire.HeadSize)
	for i := range sent {
		sent[i] = byte(i)
	}
	go func() {
		<-waits // it found nothing
		far.Write(sent)
	}()
	long := make([]byte, wire.HeadSize+1)
	n, behind, err := r.read(long)
	for err == nil && n < len(long) { // TCP may bring less
		var more int
		more, behind, err = r.read(long[n:])
		n += more
	}
	if err != nil || !bytes.Equal(append(long, behind...), sent[:len(long)+len(behind)]) || len(behind) > wire.HeadSize {
		t.Fatalf("%x, behind it %x, %v", long, behind, err)
	}
	rest := append([]byte(nil), behind...)
	short := make([]byte, 3) // no longer than a head: nothing comes with it
	for len(long)+len(rest) < len(sent) {
		n, behind, err := r.read(short)
		if err != nil || len(behind) > 0 {
			t.Fatalf("%d, %x, %v", n, behind, err)
		}
		rest = append(rest, short[:n]...)
	}
	if !bytes.Equal(rest, sent[len(long):]) {
		t.Errorf("then %x", rest)
	}
	near.SetReadDeadline(time.Now())
	if _, _, err := r.read(long); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	near.SetReadDeadline(time.Time{})
	far.Close()
	if _, _, err := r.read(long); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	near.Close()
	if _, _, err := r.read(long); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after it: %v", err)
	}
}

// TestReceiverStops: who hears of a wait may end it.
func TestReceiverStops(t *testing.T) {
	near, _ := sockets(t)
	var r receiver
	stop := errors.New("stop")
	r.init(near, func() error { return stop })
	if _, _, err := r.read(make([]byte, 100)); err != stop {
		t.Error(err)
	}
	if client, _ := net.Pipe(); r.init(client, nil) {
		t.Error("a pipe is taken for a socket")
	}
}

// together is a loop that counts.
type together struct {
	still
	told chan []Arrival
}

func (g *together) Arrived(_ context.Context, _ wire.Peer, all []Arrival) error {
	g.told <- append([]Arrival(nil), all...)
	return nil
}

// TestTogether: blocks that come together are told together, and all of them before
// the connection waits, hands on anything else, or ends.
func TestTogether(t *testing.T) {
	near, far := sockets(t)
	g := &together{still: still{new(wire.Buf)}, told: make(chan []Arrival, 1000)}
	c := New(Config{Peer: 1, Conn: near, Disk: g, Torrent: g, Fast: true, Slots: Slots{Messages: 100}})
	ended := make(chan struct{})
	go func() { // joined below
		defer close(ended)
		c.Run(t.Context())
	}()
	const n = 3*MostArrivals + 1
	var stream []byte
	for i := range n {
		b := block(0, uint32(i))
		c.Send(Outgoing{Message: wire.Of(wire.Request, b)})
		stream = wire.Append(stream, wire.Of(wire.PieceBlock, b))
		stream = append(stream, make([]byte, b.Length)...)
	}
	asked := make([]byte, n*17)
	if _, err := io.ReadFull(far, asked); err != nil {
		t.Fatal(err)
	}
	far.Write(stream) // and nothing more: the last are told before the next come
	var come []Arrival
	for len(come) < n {
		select {
		case all := <-g.told:
			if len(all) > MostArrivals {
				t.Errorf("%d together", len(all))
			}
			come = append(come, all...)
		case <-time.After(30 * time.Second):
			t.Fatalf("told of %d of %d", len(come), n)
		}
	}
	for i, a := range come {
		if a != (Arrival{block(0, uint32(i)), 1}) {
			t.Errorf("%d: %v", i, a)
		}
	}
	// A block, and the end at once.
	c.Send(Outgoing{Message: wire.Of(wire.Request, block(0, 0))})
	io.ReadFull(far, asked[:17])
	far.Write(stream[:13+wire.BlockSize])
	far.Close()
	<-ended
	if all := <-g.told; len(all) != 1 || all[0].Block != block(0, 0) {
		t.Errorf("at the end: %v", all)
	}
}
