package selection

import (
	"slices"
	"testing"
	"time"

	"bipfs/wire"
)

// stage plays the disk cache and the writers for a machine, and lets a test say when
// peer 1 answers.
type stage struct {
	m      *Machine
	now    time.Duration
	leases map[wire.Piece]wire.Lease
	stored map[wire.Piece]int
	asked  []wire.Block // of peer 1
}

func (c *stage) step(e Event) {
	c.m.Step(c.now, e)
	for cs := slices.Clone(c.m.Ready()); len(cs) > 0; cs = slices.Clone(c.m.Ready()) {
		for _, cmd := range cs {
			switch cmd := cmd.(type) {
			case Send:
				if cmd.Peer == 1 {
					c.sent(cmd.Message)
				}
				c.m.Step(c.now, Written{Peer: cmd.Peer, Messages: 1})
			case Open:
				lease := wire.Lease(len(c.leases) + 1)
				c.leases[cmd.Piece] = lease
				c.m.Step(c.now, Granted{cmd.Piece, lease, c.m.geo.Blocks(cmd.Piece)})
			}
		}
	}
}

func (c *stage) sent(w wire.Message) {
	switch b := w.Block(); w.Kind {
	case wire.Request:
		c.asked = append(c.asked, b)
	case wire.Cancel:
		c.asked = slices.DeleteFunc(c.asked, func(a wire.Block) bool { return a == b })
		c.m.Step(c.now, Received{Peer: 1, Message: wire.Of(wire.Reject, b)})
	}
}

func (c *stage) says(p wire.Peer, kinds ...wire.Kind) {
	for _, k := range kinds {
		c.step(Received{Peer: p, Message: wire.Message{Kind: k}})
	}
}

// bring has peer 1 answer what it was asked for first.
func (c *stage) bring() {
	b := c.asked[0]
	c.asked = c.asked[1:]
	lease := c.leases[b.Piece]
	c.step(Stored{1, b, lease})
	if c.stored[b.Piece]++; c.stored[b.Piece] == c.m.geo.Blocks(b.Piece) {
		c.step(Verified{Piece: b.Piece, Lease: lease, OK: true})
	}
}

// pass lets time pass, with nothing but what the machine itself is due for.
func (c *stage) pass(d time.Duration) {
	until := c.now + d
	for at, ok := c.m.Next(); ok && at <= until; at, ok = c.m.Next() {
		c.now = max(c.now, at)
		c.step(Wake{})
	}
	c.now = until
}

// TestLateThenBurst: a peer that lets each first answer wait for as long as it may, and
// then sends at once all that it was asked for, is measured to be far away and very fast.
// What another one owes, which is silent, overtakes what is queued there all the same.
func TestLateThenBurst(t *testing.T) {
	const pieces, blocks = 4000, 4
	c := stage{m: New(Config{}), leases: map[wire.Piece]wire.Lease{}, stored: map[wire.Piece]int{}}
	c.step(Geometry{Geometry: geometryOf(pieces, blocks)})
	c.step(PeerConnect{Peer: 1, Slots: 1000, Fast: true})
	c.step(Limits{Peer: 1, Reqq: mostDepth})
	c.says(1, wire.HaveAll, wire.Unchoke)
	for i := range pieces - 1 {
		c.step(Want{wire.Reader(i + 1), c.m.geo.Whole(wire.Piece(i)), 100 * time.Second, ReadAhead})
	}
	p := c.m.index[1]
	for range 10 {
		c.pass(p.patience() - time.Millisecond)
		c.bring()
		c.says(1, wire.Choke)
		for _, b := range c.asked {
			c.step(Received{Peer: 1, Message: wire.Of(wire.Reject, b)})
		}
		c.asked = nil
		c.says(1, wire.Unchoke) // so that the next one is a first one
	}
	for range 6 {
		c.pass(150 * time.Millisecond)
		for range 600 {
			c.now += 20 * time.Microsecond
			c.bring()
		}
	}
	if n := p.sending(); n < len(p.asked) {
		t.Errorf("%d of the requests may be on their way, at %d B/s in %v", n, p.rate.guess(), p.rate.roundTrip())
	}
	c.step(PeerConnect{Peer: 2, Slots: 1000, Fast: true})
	c.says(2, wire.HaveAll, wire.Unchoke)
	c.step(Want{pieces, c.m.geo.Whole(pieces - 1), c.now, Now})
	c.pass(time.Second)
	if !c.m.index[2].stalled {
		t.Error("nothing was to overtake")
	}
}
