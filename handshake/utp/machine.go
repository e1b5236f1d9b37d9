package utp

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// phase is where a connection is in its life.
//
//	dial:    synSent ──STATE──> connected ──┐
//	accept:  synReceived ─ any packet that ─┤   FIN sent and acknowledged,
//	         (STATE sent)  names our seq_nr │   FIN of the peer received
//	                                        ├──> (timeWait) ──> dead
//	         RESET, time-out, abort ────────┘────────────────> dead
//
// Each direction ends by itself: a peer that sent its FIN may still be sent
// data, until close, after which what it sends is acknowledged and dropped.
type phase uint8

const (
	synSent phase = iota
	synReceived
	connected
	dead
)

// Why connections end, beside io.EOF, net.ErrClosed and
// os.ErrDeadlineExceeded.
var (
	ErrReset      = fmt.Errorf("utp: %w", syscall.ECONNRESET)
	ErrRefused    = fmt.Errorf("utp: %w", syscall.ECONNREFUSED)
	ErrUnanswered = fmt.Errorf("utp: peer does not answer: %w", syscall.ETIMEDOUT)
	ErrStalled    = fmt.Errorf("utp: peer takes nothing in: %w", syscall.ETIMEDOUT)
	errLingered   = errors.New("utp: closed")
)

// output takes the packets that a machine sends, in order.
type output interface {
	// packet is room for one of n bytes, to be filled before the next call.
	// A whole one must not be fragmented.
	packet(n int, whole bool) []byte
}

// machine is the protocol of one connection: no socket, no clock, no lock.
// Whatever happens is told to it with the time since some epoch, which is also
// the clock of its timestamps; then flush sends what is due, and next says when
// wake has to be called.
type machine struct {
	memory *memory
	phase  phase
	err    error // of a dead one: why; nil: it was closed

	recvID, sendID uint16

	// Sending: send.go, acknowledge.go, timeout.go.
	out         stream // written and not acknowledged
	cut         int    // bytes of out that are in packets
	flight      flight // packets that are not acknowledged
	onWay       int    // bytes of flight that neither arrived nor are lost
	full        bool   // as many bytes as may be were on their way after the last flush
	lostPackets int    // packets of flight that are lost and not sent again
	number      uint32 // of the last transmission; each packet gets a new one
	arrived     uint32 // the highest transmission that is known to have arrived
	recovery    uint32 // transmissions up to it are paid for by a smaller window
	duplicates  int    // acknowledgements in a row that say nothing new
	peerWindow  int    // bytes that the peer has room for
	ledbat      ledbat
	trip        roundTrip
	mtu         mtu
	tell        bool // the answer to the SYN says how long a datagram we take
	finWanted   bool
	finSent     bool

	timeouts  int           // in a row
	timeoutAt time.Duration // while packets are in flight
	probeAt   time.Duration // of the tail of a flight
	tailSent  bool          // that probe went out, and nothing came since
	persistAt time.Duration // while the peer has no room, and nothing is in flight
	persisted int           // probes of that window in a row
	stalled   time.Duration // since when the peer takes nothing in; 0: it does
	lastSent  time.Duration
	begun     time.Duration // when the connection came to be
	endAt     time.Duration // a closed connection is dead by then
	farewell  bool          // a dead one has a RESET to send

	// Receiving: receive.go.
	in         stream
	held       held   // packets that came ahead of one that is missing
	next       uint16 // sequence number of the packet that comes next
	eof        bool   // the peer's FIN came, and all before it
	closed     bool   // nobody reads any more
	difference uint32 // to be told to the peer
	unacked    int    // packets in order that are not acknowledged
	ackNow     bool
	ackAt      time.Duration
	edge       int64 // bytes of the stream that the peer may send, as it was told
	taken      int64 // bytes of the stream that came in order
}

// newMachine is a connection in no phase yet. near is an address to which long
// datagrams may get.
func newMachine(m *memory, now time.Duration, near bool, seq uint16) *machine {
	c := &machine{memory: m, mtu: newMTU(near), begun: now, endAt: never, probeAt: never, persistAt: never, ackAt: never}
	c.ledbat = newLedbat(c.mtu.payload())
	c.flight.first, c.flight.end = seq, seq
	c.next = 1 // the SYN's ack_nr is 0
	c.lastSent = now
	return c
}

// dial sends the SYN, whose connection id is the one we receive with.
func (c *machine) dial(now time.Duration, id uint16) {
	c.phase, c.recvID, c.sendID = synSent, id, id+1
	c.enter(now, transmission{kind: kindSyn})
}

// accept answers a SYN. The STATE that does so names the sequence number of our
// first packet and does not consume it.
func (c *machine) accept(now time.Duration, syn *packet) {
	c.phase, c.recvID, c.sendID = synReceived, syn.id+1, syn.id
	c.next = syn.seq + 1
	c.peerWindow = window(syn.window)
	c.clocks(now, &syn.header)
	c.endAt = now + halfOpenTime
	c.tell = c.mtu.near && syn.longest > 0 // not otherwise: an answer is no longer than its SYN
	c.mtu.able(syn.longest)
	c.ackNow = true
}

// receive takes in a packet of the peer's, whose ids fit.
func (c *machine) receive(now time.Duration, p *packet) {
	switch {
	case c.phase == dead:
		return
	case p.kind == kindReset:
		c.reset(p)
		return
	case c.phase == synSent:
		c.answered(now, p)
		return
	case p.kind == kindSyn:
		// Sent again, because our answer was lost.
		c.ackNow = c.ackNow || p.seq+1 == c.next
		return
	}
	ahead := int16(p.ack - (c.flight.first - 1))
	if int(ahead) > c.flight.len() {
		return // it acknowledges what was never sent
	}
	if c.phase == synReceived {
		if ahead < 0 {
			return
		}
		c.phase, c.endAt = connected, never
	}
	c.clocks(now, &p.header)
	if ahead >= 0 {
		c.acknowledge(now, p, int(ahead))
	}
	if p.kind == kindData || p.kind == kindFin {
		c.take(now, p)
	}
	c.end(now)
}

// answered is a packet that comes after our SYN.
func (c *machine) answered(now time.Duration, p *packet) {
	if p.kind != kindState || p.ack != c.flight.first {
		return
	}
	c.phase = connected
	// Its sequence number is that of the first packet of data to come.
	c.next = p.seq
	c.mtu.able(p.longest)
	c.clocks(now, &p.header)
	c.acknowledge(now, p, 1)
	// Who accepts believes in our address when this comes, even if it is the
	// other side that speaks first.
	c.ackNow = true
}

// reset is a RESET. Its ids fit; that it names a packet which may be on its way
// is asked of it besides, so that one who cannot see our packets has to try
// long.
func (c *machine) reset(p *packet) {
	if ahead := int16(p.ack - (c.flight.first - 1)); ahead < 0 || int(ahead) > c.flight.len()+1 {
		return
	}
	switch {
	case c.phase == synSent:
		c.kill(ErrRefused)
	case c.closed && c.finSent && c.cut == 0:
		c.kill(nil)
	default:
		c.kill(ErrReset)
	}
}

// clocks takes in the two times of a header.
func (c *machine) clocks(now time.Duration, h *header) {
	c.difference = micros(now) - h.timestamp
	c.ledbat.delay.came(now, c.difference)
}

func micros(now time.Duration) uint32 { return uint32(now / time.Microsecond) }

// window is the room of a header. What nobody has is taken for less.
func window(w uint32) int { return int(min(w, 1<<30)) }

// write takes in as much of p as there is room for, and returns how much.
func (c *machine) write(now time.Duration, p []byte) int {
	n := min(len(p), c.room())
	if n <= 0 || c.finWanted || c.phase == dead {
		return 0
	}
	if c.flight.len() == 0 && now-c.lastSent > idleTime {
		c.ledbat.idle(c.mtu.payload())
	}
	c.out.append(c.memory, p[:n])
	c.persist(now)
	return n
}

// room is how much write would take. A fast connection has room for two windows
// of its own: what is on its way, and what goes next.
func (c *machine) room() int {
	most := min(max(2*c.ledbat.bytes(), 2*leastBuffer), c.memory.allowance())
	return max(most-c.out.size, 0)
}

// closeWrite ends our direction: a FIN follows what was written.
func (c *machine) closeWrite() { c.finWanted = true }

// close is closeWrite, and nobody reads any more. What was written is delivered
// as far as that goes in lingerTime.
func (c *machine) close(now time.Duration) {
	if c.closed {
		return
	}
	c.closed, c.finWanted = true, true
	c.in.discard(c.memory, c.in.size)
	c.held.drop(c.memory)
	if c.phase == synSent || c.phase == synReceived {
		c.kill(nil)
		return
	}
	c.endAt = min(c.endAt, now+lingerTime)
	c.end(now)
}

// end looks whether all is said.
func (c *machine) end(now time.Duration) {
	if c.phase != connected || !c.closed || !c.finSent || c.flight.len() > 0 {
		return
	}
	// Until the peer's FIN comes, what it sends instead is answered with a RESET.
	if c.eof {
		c.endAt = min(c.endAt, now+timeWait)
	}
}

// kill ends the connection at once and gives all memory back.
func (c *machine) kill(err error) {
	if c.phase == dead {
		return
	}
	c.phase, c.err = dead, err
	c.out.discard(c.memory, c.out.size)
	c.cut, c.onWay, c.lostPackets = 0, 0, 0
	c.flight.drop()
	c.held.drop(c.memory)
	// What came in order stays: who reads gets it before the error.
	if c.closed {
		c.in.discard(c.memory, c.in.size)
	}
}

// abort is kill, and the peer is told.
func (c *machine) abort(err error) {
	c.farewell = c.phase == connected
	c.kill(err)
}
