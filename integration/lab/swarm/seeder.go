package swarm

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// slack is how far a link that is busy may fall behind its rate and catch up: what
// the scheduler of a loaded machine takes from it is no part of the rate.
const slack = 200 * time.Millisecond

// seeder is one Seeder at work.
type seeder struct {
	Seeder
	swarm *swarm
	id    [20]byte // peer ID
	sent  sent
	link  link
	seed  uint64

	dialled atomic.Uint64 // connections at a distance
}

// sent is Sent while it changes.
type sent struct{ bytes, requests, cancels, twice, connected atomic.Int64 }

func (s *sent) load() Sent {
	return Sent{s.bytes.Load(), s.requests.Load(), s.cancels.Load(), s.twice.Load(), s.connected.Load()}
}

func newSeeder(s *swarm, one Seeder, chance uint64, number int) *seeder {
	e := &seeder{Seeder: one, swarm: s, seed: chance + uint64(number)*1000}
	copy(e.id[:], "-LA0001-")
	random := rand.New(rand.NewPCG(e.seed, 1))
	for i := 8; i < len(e.id); i++ {
		e.id[i] = byte('a' + random.IntN(26))
	}
	e.link = link{rate: one.Rate, pauses: one.Pauses, chance: rand.New(rand.NewPCG(e.seed, 2))}
	return e
}

func (e *seeder) listen() error {
	if err := e.swarm.listen(e.Address, e.accept); err != nil {
		return err
	}
	return e.refuseUTP()
}

// accept is a connection, at its distance.
func (e *seeder) accept(c net.Conn) {
	if e.Delay == 0 && e.Jitter == 0 {
		e.meet(c)
		return
	}
	l := newLine(e.swarm, c, e.Delay, e.Jitter, rand.New(rand.NewPCG(e.seed, 10+e.dialled.Add(1))))
	defer l.Close()
	e.meet(l)
}

// silent reports whether it answers no more.
func (e *seeder) silent() bool {
	return e.Silent || e.StopAfter > 0 && e.sent.bytes.Load() >= e.StopAfter
}

// link is what all connections of a seeder share: one block after the other goes
// out at its rate.
type link struct {
	rate   int64
	pauses time.Duration

	mu     sync.Mutex
	free   time.Time // when the last block is out
	pause  time.Time // when the next pause begins
	chance *rand.Rand
}

// turn is when the link is free for the next block; now is good enough of one
// without limits. idle: nobody was waiting, so that time has been lost.
func (l *link) turn(now time.Time, idle bool) time.Time {
	if l.rate == 0 && l.pauses == 0 {
		return now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	earliest := now.Add(-slack)
	if idle {
		earliest = now
	}
	if l.free.Before(earliest) {
		l.free = earliest
	}
	if l.pauses > 0 && !now.Before(l.pause) {
		if !l.pause.IsZero() {
			l.free = now.Add(PauseTime)
		}
		l.pause = now.Add(PauseTime + time.Duration(l.chance.ExpFloat64()*float64(l.pauses)))
	}
	return l.free
}

// take puts n bytes on the link and is when they are all out.
func (l *link) take(n int) time.Time {
	if l.rate == 0 {
		return time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return l.free
}
