package swarm

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A line is a connection over a distance:
//
//	socket ──▶ arrive: stamped ──▶ in ──▶ Read, when its time has come
//	socket ◀── depart, when its time has come ◀── out ◀── Write: stamped
//
// The kernel has answered the connect when the line begins; that the other side
// learns of it a round trip later is made up for: nothing is heard before that,
// and a way. Bytes keep their order, whatever the jitter.
type line struct {
	net.Conn
	s             *swarm
	delay, jitter time.Duration
	begun         time.Time

	in, out chan parcel
	rest    parcel // of in: what Read has left over
	last    time.Time
	done    chan struct{}
	once    sync.Once

	mu     sync.Mutex
	chance *rand.Rand // under mu; nil without jitter
}

type parcel struct {
	at    time.Time
	bytes []byte
}

// parcels is how many a line holds each way: the rate of a link times the delay
// is far below it.
const parcels = 4096

// newLine begins. With jitter it needs a chance.
func newLine(s *swarm, c net.Conn, delay, jitter time.Duration, chance *rand.Rand) *line {
	l := &line{Conn: c, s: s, delay: delay, jitter: jitter, begun: time.Now(), chance: chance,
		in: make(chan parcel, parcels), out: make(chan parcel, parcels), done: make(chan struct{})}
	s.wg.Go(l.arrive)
	s.wg.Go(l.depart)
	return l
}

// after is when what starts at now is at the other end, at the earliest at last.
func (l *line) after(now, last time.Time) time.Time {
	at := now.Add(l.delay)
	if l.jitter > 0 {
		l.mu.Lock()
		at = at.Add(time.Duration(l.chance.Int64N(int64(l.jitter))))
		l.mu.Unlock()
	}
	if at.Before(last) {
		return last
	}
	return at
}

func (l *line) arrive() {
	defer close(l.in)
	var last time.Time
	for {
		b := make([]byte, 4<<10)
		n, err := l.Conn.Read(b)
		if err != nil {
			return
		}
		now := time.Now()
		if connected := l.begun.Add(2 * l.delay); now.Before(connected) {
			now = connected
		}
		last = l.after(now, last)
		select {
		case l.in <- parcel{last, b[:n]}:
		case <-l.done:
			return
		}
	}
}

func (l *line) Read(b []byte) (int, error) {
	if len(l.rest.bytes) == 0 {
		var ok bool
		if l.rest, ok = <-l.in; !ok {
			return 0, io.EOF
		}
		if !l.s.sleep(l.rest.at) {
			return 0, net.ErrClosed
		}
	}
	n := copy(b, l.rest.bytes)
	l.rest.bytes = l.rest.bytes[n:]
	return n, nil
}

// Write copies b. One goroutine writes at a time.
func (l *line) Write(b []byte) (int, error) {
	l.last = l.after(time.Now(), l.last)
	select {
	case l.out <- parcel{l.last, append([]byte(nil), b...)}:
		return len(b), nil
	case <-l.done:
		return 0, net.ErrClosed
	}
}

// depart ends the line: with the socket, with the swarm, or after Close when all
// that was written before it is on its way.
func (l *line) depart() {
	defer l.Conn.Close()
	for {
		select {
		case p := <-l.out:
			if !l.send(p) {
				return
			}
			continue
		case <-l.s.ctx.Done():
			return
		case <-l.done:
		}
		for {
			select {
			case p := <-l.out:
				if !l.send(p) {
					return
				}
			default:
				return
			}
		}
	}
}

func (l *line) send(p parcel) bool {
	if !l.s.sleep(p.at) {
		return false
	}
	_, err := l.Conn.Write(p.bytes)
	if err != nil {
		l.Close() // nobody writes into a line that leads nowhere
	}
	return err == nil
}

// Close lets depart close the socket.
func (l *line) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}
