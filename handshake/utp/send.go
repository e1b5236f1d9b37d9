package utp

import "time"

// flush sends what may and must be sent now, in this order: what was lost, what
// is new, the FIN, and an acknowledgement, unless a packet of data has carried
// it. It is called whenever something has happened, also if nothing is due: it
// sees whether the window is full.
func (c *machine) flush(now time.Duration, to output) {
	if c.phase == dead {
		if c.farewell {
			c.farewell = false
			c.bye(now, to)
		}
		return
	}
	if c.phase != synReceived { // a payload goes to nobody whose address is not proven
		c.resend(now, to)
		c.sendNew(now, to)
		c.full = !c.fits(c.mtu.payload())
	}
	if c.ackDue(now) {
		c.sendState(now, to)
	}
}

// due reports whether flush may have something to send; false is sure.
func (c *machine) due(now time.Duration) bool {
	if c.phase == dead {
		return c.farewell
	}
	if c.ackDue(now) {
		return true
	}
	if c.phase == synReceived {
		return false
	}
	return c.lostPackets > 0 && c.fits(0) || c.mayCut() || c.finDue()
}

// fits reports whether n more bytes may be on their way. One packet always may.
func (c *machine) fits(n int) bool {
	return c.onWay == 0 || c.onWay+n <= c.ledbat.bytes()
}

func (c *machine) finDue() bool {
	return c.finWanted && !c.finSent && c.phase == connected && c.cut == c.out.size && c.flight.len() < mostFlight
}

// mayCut reports whether a new packet of data may be made.
func (c *machine) mayCut() bool {
	left := c.out.size - c.cut
	if left == 0 || c.phase != connected || c.finSent || c.flight.len() >= mostFlight {
		return false
	}
	n := min(left, c.mtu.payload())
	if !c.fits(n) {
		return false
	}
	// The peer's window bounds what it holds: all that is not acknowledged.
	room := c.peerWindow - c.cut
	return room >= n || c.flight.len() == 0 && room > 0
}

// resend sends again what was lost.
func (c *machine) resend(now time.Duration, to output) {
	if c.lostPackets == 0 {
		return
	}
	at := 0
	for seq := c.flight.first; seq != c.flight.end && c.lostPackets > 0; seq++ {
		t := c.flight.at(seq)
		if t.lost {
			if !c.fits(t.size) {
				return
			}
			t.lost = false
			c.lostPackets--
			c.onWay += t.size
			c.transmit(now, to, seq, at)
		}
		at += t.size
	}
}

// sendNew cuts packets of what was written, as far as both windows allow.
func (c *machine) sendNew(now time.Duration, to output) {
	for c.mayCut() {
		room := c.peerWindow - c.cut
		n := min(c.out.size-c.cut, c.mtu.payload(), room)
		c.sendData(now, to, n)
	}
	if c.finDue() {
		c.finSent = true
		c.enter(now, transmission{kind: kindFin})
		c.resend(now, to)
	}
}

// sendData cuts one packet of n bytes and sends it.
func (c *machine) sendData(now time.Duration, to output, n int) {
	at := c.cut
	c.cut += n
	c.onWay += n
	full := n == c.mtu.payload()
	t := c.begin(now, transmission{kind: kindData, size: n})
	// Only a full packet is padded: a probe costs little beside it. A lone
	// packet is no probe either, for nothing behind it would show its loss.
	if full && c.flight.len() > 1 && c.mtu.probe(now) > 0 {
		t.probe = true
		c.mtu.sent()
	}
	c.transmit(now, to, c.flight.end-1, at)
}

// enter puts a packet that has no payload into the flight; resend sends it.
func (c *machine) enter(now time.Duration, t transmission) {
	t.lost = true
	c.lostPackets++
	c.begin(now, t)
}

func (c *machine) begin(now time.Duration, t transmission) *transmission {
	if c.flight.len() == 0 {
		c.timeoutAt = now + c.trip.timeout(c.timeouts)
		c.persistAt, c.persisted = never, 0
	}
	return c.flight.push(t)
}

// transmit sends packet seq, whose payload begins at position at of out.
func (c *machine) transmit(now time.Duration, to output, seq uint16, at int) {
	t := c.flight.at(seq)
	c.number++
	t.number, t.at = c.number, now
	t.times = min(t.times, 100) + 1
	h := c.header(now, t.kind, seq)
	if t.kind == kindSyn {
		h.id = c.recvID
	}
	size, pad := headerSize+t.size, 0
	if t.kind == kindSyn && c.mtu.near {
		b := to.packet(headerSize+longestSize, false)
		h.put(b, extensionBits)
		putLongest(b[headerSize:])
		c.carried(now)
		return
	}
	if t.probe {
		if pad = padding(c.mtu.probeSize() - size); pad == 0 {
			t.probe = false
		}
	}
	b := to.packet(size+pad, pad > 0)
	extension := byte(0)
	if pad > 0 {
		extension = extensionBits
		putPadding(b[headerSize : headerSize+pad])
	}
	h.put(b, extension)
	c.out.copy(b[headerSize+pad:], at)
	c.carried(now)
	if !c.tailSent {
		c.probeAt = now + c.trip.probe(c.flight.len() == 1)
	}
}

// header is that of a packet sent now, with the acknowledgement that each
// packet carries.
func (c *machine) header(now time.Duration, k kind, seq uint16) header {
	room := c.advertise()
	return header{
		kind: k, id: c.sendID, timestamp: micros(now), difference: c.difference,
		window: uint32(room), seq: seq, ack: c.next - 1,
	}
}

// carried notes that a packet went out. It acknowledged what came in order; what
// came ahead only a STATE can.
func (c *machine) carried(now time.Duration) {
	c.lastSent = now
	c.unacked, c.ackAt = 0, never
	if c.held.count == 0 && c.phase == connected {
		c.ackNow = false
	}
}

// sendState sends an acknowledgement, selective if packets are missing.
func (c *machine) sendState(now time.Duration, to output) {
	h := c.header(now, kindState, c.flight.end)
	sack := c.held.sackSize(c.next)
	size := headerSize
	tell := c.tell && c.phase == synReceived
	if sack > 0 {
		size += 2 + sack
	} else if tell {
		size += longestSize
	}
	b := to.packet(size, false)
	extension := byte(0)
	if sack == 0 && tell {
		extension = extensionBits
		putLongest(b[headerSize:])
	}
	if sack > 0 {
		extension = extensionSAK
		b[headerSize], b[headerSize+1] = 0, byte(sack)
		c.held.putSack(b[headerSize+2:], c.next)
	}
	h.put(b, extension)
	c.carried(now)
	c.ackNow = false
}

// bye is a RESET to the peer, sent by a connection that ends before its time.
func (c *machine) bye(now time.Duration, to output) {
	h := c.header(now, kindReset, c.flight.end)
	h.put(to.packet(headerSize, false), 0)
}
