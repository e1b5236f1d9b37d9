package utp

import (
	"slices"
	"time"
)

// clock wakes the machines: one goroutine and one heap for all connections.
//
// An entry of the heap is never later than its machine wants to be woken. It is
// often earlier, for time-outs move on with each acknowledgement; then it is
// entered again when it comes up. So a packet seldom touches the heap.
func (s *Socket) clock() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []*Conn
	for {
		due = s.due(due[:0])
		for _, c := range due {
			c.mu.Lock()
			c.machine.wake(s.now())
			if c.young && c.machine.phase == dead {
				s.grown(c)
			}
			c.wake()
			c.mu.Unlock()
		}
		if len(due) > 0 {
			s.flush(due...)
			continue
		}
		s.mu.Lock()
		s.asleep = never
		if len(s.heap) > 0 {
			s.asleep = s.heap[0].at
		}
		wait := min(s.asleep-s.now(), time.Hour)
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.bell:
		case <-s.done:
			return
		}
	}
}

// mostDue is how many connections are woken before what they have to say is
// sent.
const mostDue = 64

// due takes the connections off the heap whose time has come.
func (s *Socket) due(list []*Conn) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asleep = 0 // awake: nobody need ring
	now := s.now()
	for len(s.heap) > 0 && s.heap[0].at <= now && len(list) < mostDue {
		c := s.heap[0]
		s.unheap(c)
		list = append(list, c)
	}
	return list
}

// schedule sees to it that the clock wakes c in time, or forgets c if it is
// dead. The lock of c is held.
func (s *Socket) schedule(c *Conn) {
	at := c.wakeAt()
	gone := c.machine.phase == dead && !c.machine.farewell
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case gone:
		if c.place >= 0 {
			s.unheap(c)
		}
		if id := (key{c.addr, c.machine.recvID}); s.conns[id] == c {
			delete(s.conns, id)
		}
		if i := slices.Index(s.halfOpen, c); i >= 0 {
			s.halfOpen = slices.Delete(s.halfOpen, i, i+1)
		}
	case c.place < 0:
		c.at, c.place = at, len(s.heap)
		s.heap = append(s.heap, c)
		s.up(c.place)
	case at < c.at:
		c.at = at
		s.up(c.place)
	}
	if len(s.heap) > 0 && s.heap[0].at < s.asleep {
		s.asleep = 0
		select {
		case s.bell <- struct{}{}:
		default:
		}
	}
}

// unheap takes c off the heap.
func (s *Socket) unheap(c *Conn) {
	i, last := c.place, len(s.heap)-1
	s.swap(i, last)
	s.heap[last] = nil
	s.heap = s.heap[:last]
	c.place = -1
	if i < last {
		s.down(i)
		s.up(i)
	}
}

func (s *Socket) swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.heap[i].place, s.heap[j].place = i, j
}

func (s *Socket) up(i int) {
	for i > 0 && s.heap[i].at < s.heap[(i-1)/2].at {
		s.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (s *Socket) down(i int) {
	for {
		least := i
		for j := 2*i + 1; j <= 2*i+2 && j < len(s.heap); j++ {
			if s.heap[j].at < s.heap[least].at {
				least = j
			}
		}
		if least == i {
			return
		}
		s.swap(i, least)
		i = least
	}
}
