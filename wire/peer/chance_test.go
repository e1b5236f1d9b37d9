package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// owner is a loop that counts its slots: it sends only what it has one for.
type owner struct {
	*world
	slots Slots
	free  Slots
}

func (o *owner) Written(ctx context.Context, p wire.Peer, n Written) error {
	o.mu.Lock()
	o.free.Messages += n.Messages
	o.free.Extended += n.Extended
	o.free.Loaded += n.Loaded
	f, s := o.free, o.slots
	o.mu.Unlock()
	if f.Messages > s.Messages || f.Extended > s.Extended || f.Loaded > s.Loaded {
		o.t.Errorf("more slots came back than there are: %+v of %+v", f, s)
	}
	return o.pass(ctx, "written")
}

// spend takes a slot out of n if there is one.
func (o *owner) spend(n *int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// act does one thing, by chance, as loop, engine, disk cache or peer.
func (o *owner) act(r *rand.Rand) {
	b := block(r.Uint32N(3), r.Uint32N(3))
	switch r.IntN(12) {
	case 0, 1, 2:
		if o.spend(&o.free.Messages) {
			o.conn.Send(request(b))
		}
	case 3:
		if o.spend(&o.free.Messages) {
			o.conn.Send(Outgoing{Message: wire.Of(wire.Cancel, b)})
		}
	case 4:
		if o.spend(&o.free.Extended) {
			o.conn.Extend(Outgoing{Message: wire.Message{Kind: wire.Extended}, Payload: make([]byte, r.IntN(100))})
		}
	case 5, 6:
		if o.spend(&o.free.Loaded) {
			o.conn.Deliver(b, o.lend(b))
		}
	case 7, 8:
		o.send0(pieceBlock(b))
	case 9:
		o.send0(message(wire.Of(wire.Reject, b)))
	case 10:
		o.send0(message(wire.Message{Kind: wire.Kind(r.IntN(5))}, make([]byte, r.IntN(2)*4)...))
	case 11:
		time.Sleep(time.Duration(r.IntN(20)) * time.Second)
	}
}

// TestAnyLife lives a life of chance from each seed: few slots, a peer that
// reads at times, an end at any moment and of any kind. Nothing may be left,
// no slot be lost or come twice, no lane overflow.
func TestAnyLife(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { anyLife(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func anyLife(t *testing.T, r *rand.Rand) {
	w := newWorld(t, Config{})
	o := &owner{world: w, slots: Slots{1 + r.IntN(4), 1 + r.IntN(2), 1 + r.IntN(12)}}
	o.free = o.slots
	w.conn = New(Config{Peer: 7, Conn: w.conn.conn, Disk: w, Torrent: o, Slots: o.slots, Fast: r.IntN(2) == 0})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	acts := r.IntN(60)
	end := r.IntN(3)
	buf := make([]byte, 1+r.IntN(40_000))
	done := make(chan struct{})
	go func() { // the peer reads, with pauses
		defer close(done)
		for {
			if _, err := w.remote.Read(buf); err != nil {
				return
			}
			time.Sleep(time.Duration(len(buf)%7) * time.Second)
		}
	}()
	go func() { w.ended <- w.conn.Run(ctx) }()
	for range acts {
		o.act(r)
	}
	if end == 0 {
		settled(t, o)
	}
	switch end {
	case 0:
		w.conn.Close(nil)
	case 1:
		cancel()
	case 2:
		w.remote.Close()
	}
	if err := <-w.ended; err == nil {
		t.Error("no reason")
	}
	w.counted()
	w.remote.Close()
	<-done
}

// settled checks, if the connection still stands when all has been written,
// that each slot has come back.
func settled(t *testing.T, o *owner) {
	time.Sleep(80 * time.Second)
	synctest.Wait()
	if o.conn.life.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.free != o.slots {
		t.Errorf("slots %+v of %+v came back", o.free, o.slots)
	}
}
