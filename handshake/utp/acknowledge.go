package utp

import "time"

// acknowledge takes in what p says of our packets: the first n of the flight
// came in order, and the mask names more behind them (BEP 29: bit 0 is packet
// ack_nr + 2, the lowest bit of a byte first).
//
// A packet counts as lost when three that were sent later have arrived. Later
// is told by the number of the transmission, so that a packet that is lost a
// second time is found like one that is lost once.
func (c *machine) acknowledge(now time.Duration, p *packet, n int) {
	var news acknowledged
	for range n {
		t := c.flight.at(c.flight.first)
		if !t.arrived {
			c.settle(now, t, &news)
		}
		c.out.discard(c.memory, t.size)
		c.cut -= t.size
		c.flight.pop()
	}
	for i := 0; i < len(p.sack)*8; i++ {
		if p.sack[i/8]>>(i%8)&1 == 0 {
			continue
		}
		ahead := int(p.ack + 2 + uint16(i) - c.flight.first)
		if ahead >= c.flight.len() {
			break
		}
		if t := c.flight.at(c.flight.first + uint16(ahead)); !t.arrived {
			c.settle(now, t, &news)
		}
	}
	moved := n > 0 || news.packets > 0
	c.repeats(p, moved)
	c.peerWindow = window(p.window)
	if news.rtt > 0 {
		c.trip.add(news.rtt)
		c.ledbat.delay.tripped(now, news.rtt)
	}
	// 0 is what a peer says that has not heard from us yet.
	if p.difference != 0 && moved {
		c.ledbat.delay.went(now, p.difference)
	}
	if news.bytes > 0 {
		c.ledbat.acknowledged(now, news.bytes, c.mtu.payload(), c.full, c.trip.mean)
	}
	if p.sack != nil || c.duplicates == reordered {
		c.findLost(now)
	}
	c.progress(now, moved)
}

// acknowledged is what one packet told us.
type acknowledged struct {
	packets, bytes int
	rtt            time.Duration // of the last packet that arrived; 0: unknown
	sent           time.Duration // when that one was sent
}

// settle notes that a packet arrived.
func (c *machine) settle(now time.Duration, t *transmission, news *acknowledged) {
	t.arrived = true
	if t.lost { // it was only late
		t.lost = false
		c.lostPackets--
	} else {
		c.onWay -= t.size
	}
	news.packets++
	news.bytes += t.size
	if t.probe {
		t.probe = false
		c.mtu.arrived()
		c.ledbat.window = max(c.ledbat.window, float64(leastWindow*c.mtu.payload()))
	}
	took := now - t.at
	switch {
	case t.times == 1:
		if t.at >= news.sent {
			news.rtt, news.sent = max(took, 1), t.at
		}
	case took < c.trip.mean*3/4:
		// So soon it is the first transmission that arrived: this says nothing
		// of what was sent between the two.
		return
	}
	if int32(t.number-c.arrived) > 0 {
		c.arrived = t.number
	}
}

// repeats counts acknowledgements that say the same again: who does not speak
// of single packets tells of a loss by these.
func (c *machine) repeats(p *packet, moved bool) {
	switch {
	case moved || c.flight.len() == 0:
		c.duplicates = 0
	case p.kind == kindState && p.sack == nil && window(p.window) == c.peerWindow:
		if c.duplicates++; c.duplicates == reordered {
			if n := c.flight.at(c.flight.first).number + reordered; int32(n-c.arrived) > 0 {
				c.arrived = n
			}
		}
	}
}

// findLost looks for packets that were overtaken.
func (c *machine) findLost(now time.Duration) {
	congested := false
	for seq := c.flight.first; seq != c.flight.end; seq++ {
		t := c.flight.at(seq)
		if t.arrived || t.lost || int32(c.arrived-t.number) < reordered {
			continue
		}
		congested = c.lose(now, t) || congested
	}
	if congested {
		c.recovery = c.number
		c.ledbat.lost(c.mtu.payload())
		c.timeoutAt = now + c.trip.timeout(c.timeouts)
	}
}

// lose takes a packet for lost. It reports whether that is a sign of congestion
// that was not answered yet.
func (c *machine) lose(now time.Duration, t *transmission) bool {
	t.lost = true
	c.lostPackets++
	c.onWay -= t.size
	if t.probe {
		t.probe = false
		c.mtu.failed(now)
		return false
	}
	return int32(t.number-c.recovery) > 0
}

// progress sets the timers after an acknowledgement.
func (c *machine) progress(now time.Duration, moved bool) {
	if moved {
		c.timeouts, c.stalled, c.tailSent = 0, 0, false
		if c.flight.len() > 0 {
			c.timeoutAt = now + c.trip.timeout(0)
			c.probeAt = now + c.trip.probe(c.flight.len() == 1)
		}
	} else if c.peerWindow < c.mtu.payload() {
		// It has no room and says so: alive, and no reason to give up soon.
		c.timeouts = min(c.timeouts, mostTimeouts-2)
	}
	c.persist(now)
}

// persist sets the timer for a peer that has no room for what is written.
func (c *machine) persist(now time.Duration) {
	if c.out.size == 0 || c.peerWindow > 0 {
		c.persistAt, c.persisted = never, 0
		return
	}
	if c.stalled == 0 {
		c.stalled = max(now, 1)
	}
	if c.flight.len() == 0 && c.persistAt == never {
		c.persistAt = now + c.trip.timeout(c.persisted)
	}
}
