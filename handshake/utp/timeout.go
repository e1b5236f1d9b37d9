package utp

import "time"

// wakeAt is when wake has to be called, unless something happens before.
func (c *machine) wakeAt() time.Duration {
	if c.phase == dead {
		return never
	}
	at := min(c.endAt, c.ackAt, c.lastSent+keepAliveTime)
	if c.flight.len() > 0 {
		at = min(at, c.timeoutAt)
		if c.phase == connected && c.lostPackets == 0 {
			at = min(at, c.probeAt)
		}
	} else {
		at = min(at, c.persistAt)
	}
	return at
}

// wake does what is due by the clock; flush follows it.
func (c *machine) wake(now time.Duration) {
	if c.phase == dead {
		return
	}
	if now >= c.endAt {
		c.expire()
		return
	}
	if c.stalled != 0 && now-c.stalled >= stallTime {
		c.kill(ErrStalled)
		c.farewell = true
		return
	}
	switch {
	case c.flight.len() > 0 && now >= c.timeoutAt:
		c.timedOut(now)
	case c.flight.len() > 0 && c.phase == connected && c.lostPackets == 0 && now >= c.probeAt:
		c.probeTail(now)
	case c.flight.len() == 0 && now >= c.persistAt:
		c.probeWindow(now)
	}
	if c.phase != dead && now-c.lastSent >= keepAliveTime {
		c.ackNow = true
		c.lastSent = now
		c.trim()
	}
}

// trim gives back what an idle connection does not need.
func (c *machine) trim() {
	if c.flight.len() == 0 {
		c.flight.drop()
	}
	if c.held.count == 0 {
		c.held.ring = nil
	}
}

// expire ends a connection whose time is over.
func (c *machine) expire() {
	switch {
	case c.phase == synReceived:
		c.kill(ErrUnanswered)
	case c.finSent && c.flight.len() == 0:
		c.kill(nil)
	default:
		c.kill(errLingered)
		c.farewell = true
	}
}

// timedOut: nothing came for so long that all on its way counts as lost.
func (c *machine) timedOut(now time.Duration) {
	c.timeouts++
	most := mostTimeouts
	if c.phase == synSent {
		most = mostSynTimeouts
	}
	if c.timeouts >= most {
		c.kill(ErrUnanswered)
		return
	}
	for seq := c.flight.first; seq != c.flight.end; seq++ {
		if t := c.flight.at(seq); !t.arrived && !t.lost {
			c.lose(now, t)
		}
	}
	if c.timeouts == 1 {
		c.ledbat.timedOut(c.mtu.payload())
	} else {
		c.ledbat.window = float64(c.mtu.payload())
	}
	c.mtu.timedOut(now, c.timeouts)
	c.recovery, c.duplicates = c.number, 0
	c.timeoutAt = now + c.trip.timeout(c.timeouts)
}

// probeTail sends the last packet of a flight again after some two round trips
// (RFC 8985 §7.2): a loss at the end of what was written has nothing behind it
// that would show it, and a time-out takes ten times as long.
func (c *machine) probeTail(now time.Duration) {
	c.probeAt, c.tailSent = never, true
	for seq := c.flight.end - 1; !before(seq, c.flight.first); seq-- {
		if t := c.flight.at(seq); !t.arrived {
			c.onWay -= t.size
			t.lost = true
			c.lostPackets++
			if t.probe {
				t.probe = false
				c.mtu.failed(now)
			}
			return
		}
	}
}

// probeWindow sends one byte to a peer that said that it has no room: the
// packet that says that it has again may have been lost.
func (c *machine) probeWindow(now time.Duration) {
	c.persistAt = never
	c.persisted++
	if c.cut < c.out.size && c.phase == connected {
		c.cut++
		c.enter(now, transmission{kind: kindData, size: 1})
	}
}
