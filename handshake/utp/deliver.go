package utp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Deliver takes in datagrams that came, in order. It may send answers, does not
// wait for anybody, and keeps nothing of the datagrams. Any goroutine may call
// it.
func (s *Socket) Deliver(datagrams []Datagram) {
	s.in.Lock()
	defer s.in.Unlock()
	now := s.now()
	for i := range datagrams {
		if p, ok := parse(datagrams[i].Payload); ok {
			s.deliver(now, datagrams[i].Addr, &p)
		}
	}
	if len(s.touched) > 0 {
		s.flush(s.touched...)
		for _, c := range s.touched {
			c.touched = false
		}
		clear(s.touched)
		s.touched = s.touched[:0]
	}
}

func (s *Socket) deliver(now time.Duration, addr netip.AddrPort, p *packet) {
	s.mu.Lock()
	c := s.find(addr, p)
	var pushed *Conn
	if c == nil && p.kind == kindSyn {
		c, pushed = s.answer(now, addr, p)
	} else if c == nil {
		s.refuse(now, addr, p) // which releases the lock
		return
	}
	s.mu.Unlock()
	if pushed != nil {
		pushed.mu.Lock()
		if pushed.machine.phase == synReceived {
			pushed.machine.kill(ErrFull)
		}
		s.schedule(pushed)
		pushed.mu.Unlock()
	}
	if c == nil {
		return
	}
	c.mu.Lock()
	c.machine.receive(now, p)
	if c.young && c.machine.phase != synReceived {
		s.grown(c)
	}
	c.wake()
	c.mu.Unlock()
	if !c.touched {
		c.touched = true
		s.touched = append(s.touched, c)
	}
}

// find is the connection that a packet is for; nil: none. The lock mu is held.
func (s *Socket) find(addr netip.AddrPort, p *packet) *Conn {
	switch p.kind {
	case kindSyn: // its id is the one that the answers carry
		if c := s.conns[key{addr, p.id + 1}]; c != nil && c.machine.sendID == p.id {
			return c
		}
		return nil
	case kindReset:
		// Who does not know a connection has only the id that our packet had.
		for _, id := range [...]uint16{p.id - 1, p.id + 1} {
			if c := s.conns[key{addr, id}]; c != nil && c.machine.sendID == p.id {
				return c
			}
		}
	}
	return s.conns[key{addr, p.id}]
}

// answer makes a connection of a SYN, if there is room: of too many half-open
// ones the oldest gives way, which is returned for the caller to end. The lock
// mu is held.
func (s *Socket) answer(now time.Duration, addr netip.AddrPort, p *packet) (c, pushed *Conn) {
	id := key{addr, p.id + 1}
	if s.closed || s.conns[id] != nil || len(s.conns) >= s.config.Conns ||
		s.listener == nil || len(s.listener.backlog) == cap(s.listener.backlog) {
		return nil, nil
	}
	same := 0
	for _, h := range s.halfOpen {
		if home(h.addr.Addr()) == home(addr.Addr()) {
			same++
		}
	}
	if same >= mostHalfOpenIP {
		return nil, nil
	}
	if len(s.halfOpen) >= mostHalfOpen {
		pushed = s.halfOpen[0]
		s.halfOpen = slices.Delete(s.halfOpen, 0, 1)
	}
	m := newMachine(&s.memory, now, near(addr.Addr()), uint16(rand.Uint32()))
	m.accept(now, p)
	c = newConn(s, addr, m)
	c.young = true
	s.conns[id] = c
	s.halfOpen = append(s.halfOpen, c)
	return c, pushed
}

// grown hands a connection whose address is proven to Accept. Its lock is held.
func (s *Socket) grown(c *Conn) {
	c.young = false
	s.mu.Lock()
	if i := slices.Index(s.halfOpen, c); i >= 0 {
		s.halfOpen = slices.Delete(s.halfOpen, i, i+1)
	}
	defer s.mu.Unlock()
	if c.machine.phase != connected {
		return
	}
	if s.listener != nil {
		select {
		case s.listener.backlog <- c:
			return
		default:
		}
	}
	c.machine.abort(ErrFull)
}

// home is what one subscriber has: an IPv4 address, or 2^64 of IPv6.
func home(ip netip.Addr) netip.Prefix {
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// refuse answers a packet of a connection that is not here with a RESET, which
// is as short as a packet can be. Not more than mostResets go out a second. The
// lock mu is held, and released.
func (s *Socket) refuse(now time.Duration, addr netip.AddrPort, p *packet) {
	if now-s.resetsAt >= time.Second {
		s.resets, s.resetsAt = 0, now
	}
	silent := s.closed || p.kind == kindReset || s.resets >= mostResets
	if !silent {
		s.resets++
	}
	s.mu.Unlock()
	if silent {
		return
	}
	h := header{kind: kindReset, id: p.id, timestamp: micros(now), difference: micros(now) - p.timestamp,
		seq: uint16(rand.Uint32()), ack: p.seq}
	s.out.Lock()
	defer s.out.Unlock()
	s.batch.addr = addr
	h.put(s.batch.packet(headerSize, false), 0)
	s.batch.send()
}
