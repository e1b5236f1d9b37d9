package utp

import "time"

// take takes in a packet that has a sequence number: data or a FIN.
func (c *machine) take(now time.Duration, p *packet) {
	ahead := int16(p.seq - c.next)
	switch {
	case ahead < 0 || c.eof: // again: our acknowledgement was lost
		c.ackNow = true
		return
	case int(ahead) >= mostFlight:
		return
	case c.closed && p.kind == kindData && c.finSent && c.flight.len() == 0:
		// All is said from our side, and nobody reads: as TCP does, the peer is
		// told to stop.
		c.kill(nil)
		c.farewell = true
		return
	case len(p.payload) > c.free():
		// More than it was told that there is room for. The answer says how
		// much there is now: it may be a probe of a closed window.
		c.ackNow = true
		return
	case ahead > 0:
		c.ackNow = true
		if c.held.bytes+len(p.payload) <= c.memory.allowance() {
			c.held.put(c.memory, c.next, p.seq, p.kind == kindFin, p.payload)
		}
		return
	}
	c.append(p.kind == kindFin, p.payload)
	// A packet that fills a gap, or is the last, is acknowledged at once.
	c.ackNow = c.ackNow || c.held.count > 0 || c.eof
	for c.held.count > 0 && !c.eof {
		h := c.held.at(c.next)
		if !h.here {
			break
		}
		c.append(h.fin, h.payload)
		c.held.take(c.memory, h)
	}
	if c.eof {
		c.held.drop(c.memory)
	}
	if c.unacked > 0 && c.ackAt == never {
		c.ackAt = now + ackDelay
	}
}

// append takes in the packet that comes next.
func (c *machine) append(fin bool, payload []byte) {
	c.next++
	c.unacked++
	if fin {
		c.eof = true
		return
	}
	c.taken += int64(len(payload))
	if !c.closed {
		c.in.append(c.memory, payload)
	}
}

func (c *machine) ackDue(now time.Duration) bool {
	return c.ackNow || c.unacked >= ackEvery || now >= c.ackAt
}

// free is how many bytes may come. What comes ahead of a missing packet is part
// of them; it is counted by itself too, with the whole of its buffers, for many
// short packets must not hold more than one connection may.
func (c *machine) free() int {
	return max(c.memory.allowance()-c.in.size, 0)
}

// advertise is the window that a packet carries.
func (c *machine) advertise() int {
	room := c.free()
	c.edge = c.taken + int64(room)
	return room
}

// read fills p with what came in order, and returns how much.
func (c *machine) read(p []byte) int {
	n := min(len(p), c.in.size)
	if n == 0 {
		return 0
	}
	c.in.copy(p[:n], 0)
	c.in.discard(c.memory, n)
	// A peer that was told of little room waits to be told of more. What is little
	// is a part of what there may be: that is less than mostBuffer where memory is short.
	if most := int64(c.memory.allowance()); c.edge-c.taken < most/4 && c.taken+int64(c.free())-c.edge >= most/8 {
		c.ackNow = true
	}
	return n
}

// early is a packet that came ahead of a missing one.
type early struct {
	payload []byte
	here    bool
	fin     bool
}

// held is the packets that came ahead, in a ring that grows as needed up to
// mostFlight. bytes counts the buffers that they lie in.
type held struct {
	ring  []early // its length is 0 or a power of two
	count int
	bytes int
}

func (h *held) at(seq uint16) *early { return &h.ring[int(seq)&(len(h.ring)-1)] }

// put keeps a packet which is less than mostFlight ahead of next.
func (h *held) put(m *memory, next, seq uint16, fin bool, payload []byte) {
	h.grow(next, int(seq-next)+1)
	e := h.at(seq)
	if e.here {
		return
	}
	*e = early{here: true, fin: fin}
	h.count++
	if len(payload) > 0 {
		b := m.get(len(payload))
		h.bytes += cap(b)
		e.payload = b[:copy(b, payload)]
	}
}

func (h *held) grow(next uint16, span int) {
	if span <= len(h.ring) {
		return
	}
	size := firstRing
	for size < span {
		size *= 2
	}
	old := *h
	h.ring = make([]early, size)
	for i := range old.ring {
		seq := next + uint16(i)
		if e := old.at(seq); e.here {
			*h.at(seq) = *e
		}
	}
}

// take gives back the buffer of a packet.
func (h *held) take(m *memory, e *early) {
	if e.payload != nil {
		h.bytes -= cap(e.payload)
		m.put(e.payload)
	}
	*e = early{}
	h.count--
}

func (h *held) drop(m *memory) {
	for i := range h.ring {
		if h.ring[i].here {
			h.take(m, &h.ring[i])
		}
	}
	h.ring = nil
}

// sackSize is how many bytes the mask of what came ahead of next has.
func (h *held) sackSize(next uint16) int {
	if h.count == 0 {
		return 0
	}
	last := 0
	for i := len(h.ring) - 1; i > 0; i-- {
		if h.at(next + uint16(i)).here {
			last = i
			break
		}
	}
	// Bit 0 is next + 1.
	return min((last+31)/32*4, maxSack)
}

func (h *held) putSack(mask []byte, next uint16) {
	clear(mask)
	for i := 1; i < len(h.ring) && i <= 8*len(mask); i++ {
		if h.at(next + uint16(i)).here {
			mask[(i-1)/8] |= 1 << ((i - 1) % 8)
		}
	}
}
