package integration

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A streamRelay passes TCP connections on to a server over a line with a delay
// and, towards the client, a rate. Connecting takes a round trip, too: the line
// takes nothing before.
type streamRelay struct {
	addr      string
	delivered atomic.Int64 // bytes that came to clients

	server string
	delay  time.Duration // each way
	rate   int64         // bytes a second to each client
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn
}

// relayStreams starts a relay; it ends with the test.
func relayStreams(t testing.TB, server string, delay time.Duration, rate int64) *streamRelay {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &streamRelay{addr: l.Addr().String(), server: server, delay: delay, rate: rate}
	r.wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			r.pass(near)
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		for _, c := range r.conns {
			c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

// pass connects one client with the server.
func (r *streamRelay) pass(near net.Conn) {
	far, err := net.Dial("tcp4", r.server)
	if err != nil {
		near.Close()
		return
	}
	r.mu.Lock()
	r.conns = append(r.conns, near, far)
	r.mu.Unlock()
	connected := time.Now().Add(2 * r.delay)
	r.wg.Go(func() { r.copy(far, near, connected, 0, nil) })
	r.wg.Go(func() { r.copy(near, far, connected, r.rate, &r.delivered) })
}

// copy takes bytes from one to the other, in order, each after the delay and not
// faster than the rate; free is when the line takes the next. What is under way is bounded: else the server would be
// rid of 16 MiB at once.
func (r *streamRelay) copy(to, from net.Conn, free time.Time, rate int64, count *atomic.Int64) {
	const unit, underWay = 4 << 10, 64
	line := make(chan delayed, underWay)
	r.wg.Go(func() {
		for d := range line {
			time.Sleep(time.Until(d.at))
			n, _ := to.Write(d.b)
			if count != nil {
				count.Add(int64(n))
			}
		}
		to.Close()
	})
	defer close(line)
	for {
		b := make([]byte, unit)
		n, err := from.Read(b)
		if n > 0 {
			if now := time.Now(); free.Before(now) {
				free = now
			}
			if rate > 0 {
				free = free.Add(time.Duration(int64(n) * int64(time.Second) / rate))
			}
			line <- delayed{free.Add(r.delay), b[:n]}
		}
		if err != nil {
			return
		}
	}
}
