package utp

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"
)

// A path is one direction of a virtual network.
type path struct {
	delay   time.Duration
	jitter  time.Duration // added, evenly distributed; packets overtake each other
	rate    int           // bytes a second through a queue; 0: no queue
	queue   time.Duration // the longest that a packet waits in it; then it is lost
	loss    float64
	twice   float64 // duplicated
	mtu     int     // longer datagrams are lost
	skew    time.Duration
	drift   float64 // seconds a second, of the receiver's clock
	busy    time.Duration
	sent    int
	bytes   int
	lost    int
	longest int
	stopped bool // loses everything
}

// A world is two machines and what lies between them, in false time.
type world struct {
	t     *testing.T
	now   time.Duration
	start time.Duration
	rand  *rand.Rand
	mail  mailbag
	order int
	ends  [2]*end
	rival *rival // whose packets are with end 0's; nil: none
	// over and above the path
	eats func(from int, p packet, b []byte) bool
	log  func(at time.Duration, from int, p packet)
}

// An end is one machine with a user who writes and reads patterns.
type end struct {
	w       *world
	me      int
	m       *machine
	memory  memory
	path    path // away from this end
	toWrite int  // bytes still to be written
	wrote   int
	read    int
	lazy    bool
	close   bool
}

type letter struct {
	at    time.Duration
	order int
	to    int
	b     []byte
}

type mailbag []letter

func (m mailbag) Len() int { return len(m) }
func (m mailbag) Less(i, j int) bool {
	return m[i].at < m[j].at || m[i].at == m[j].at && m[i].order < m[j].order
}
func (m mailbag) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *mailbag) Push(x any)   { *m = append(*m, x.(letter)) }
func (m *mailbag) Pop() any {
	l := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return l
}

// newWorld has one machine that is about to dial another.
func newWorld(t *testing.T, seed uint64, start time.Duration, there, back path) *world {
	w := &world{t: t, now: start, start: start, rand: rand.New(rand.NewPCG(seed, 0))}
	for i, p := range []path{there, back} {
		e := &end{w: w, me: i, path: p}
		e.memory.limit = defaultMemory
		w.ends[i] = e
	}
	a := w.ends[0]
	a.m = newMachine(&a.memory, w.now, isNear(there), uint16(w.rand.Uint32()))
	a.m.dial(a.clock(), uint16(w.rand.Uint32()))
	return w
}

func isNear(p path) bool { return p.mtu > 1500 }

// clock is the time of this end; the other end's clock is off and drifts.
func (e *end) clock() time.Duration {
	if e.me == 0 {
		return e.w.now
	}
	p := e.w.ends[0].path
	return e.w.now + p.skew + time.Duration(float64(e.w.now-e.w.start)*p.drift)
}

// back turns a time of this end's clock into one of the world's.
func (e *end) world(at time.Duration) time.Duration {
	if at == never || e.me == 0 {
		return at
	}
	p := e.w.ends[0].path
	return e.w.start + time.Duration(float64(at-p.skew-e.w.start)/(1+p.drift)) + 1
}

// packet is the output of a machine.
type mailer struct {
	e    *end
	last []byte
}

func (m *mailer) packet(n int, whole bool) []byte {
	m.post()
	m.last = make([]byte, n)
	return m.last
}

func (m *mailer) post() {
	if m.last != nil {
		m.e.send(m.last)
	}
	m.last = nil
}

func (e *end) send(b []byte) {
	w, p := e.w, &e.path
	parsed, ok := parse(b)
	if !ok {
		w.t.Fatalf("a packet of ours does not parse: %x", b[:min(len(b), 64)])
	}
	if w.log != nil {
		w.log(w.now, e.me, parsed)
	}
	p.sent++
	p.bytes += len(b)
	p.longest = max(p.longest, len(b))
	if w.eats != nil && w.eats(e.me, parsed, b) || p.stopped || len(b) > p.mtu || w.rand.Float64() < p.loss {
		p.lost++
		return
	}
	at := w.now
	if p.rate > 0 {
		p.busy = max(p.busy, w.now)
		if p.busy-w.now > p.queue {
			p.lost++
			return
		}
		p.busy += time.Duration(len(b)+28) * time.Second / time.Duration(p.rate)
		at = p.busy
	}
	copies := 1
	if w.rand.Float64() < p.twice {
		copies = 2
	}
	for range copies {
		later := time.Duration(0)
		if p.jitter > 0 {
			later = time.Duration(w.rand.Int64N(int64(p.jitter)))
		}
		w.order++
		heap.Push(&w.mail, letter{at + p.delay + later, w.order, 1 - e.me, b})
	}
}

// pattern is byte i of what each end writes.
func pattern(i int) byte { return byte(i>>8)*31 + byte(i)*7 }

// patterns is the pattern, long enough to be cut anywhere in its period.
const period = 1 << 16

var patterns = func() (b [2 * period]byte) {
	for i := range b {
		b[i] = pattern(i)
	}
	return b
}()

// use is what the users do, as often as they can.
func (e *end) use() {
	now := e.clock()
	for e.toWrite > 0 && e.m.phase == connected {
		n := e.m.write(now, patterns[e.wrote%period:][:min(e.toWrite, 16<<10)])
		if n == 0 {
			break
		}
		e.wrote += n
		if e.toWrite -= n; e.toWrite == 0 && e.close {
			e.m.closeWrite()
		}
	}
	if e.lazy {
		return
	}
	var b [16 << 10]byte
	for {
		n := e.m.read(b[:])
		if !bytes.Equal(b[:n], patterns[e.read%period:][:n]) {
			e.w.t.Fatalf("from byte %d on something is wrong", e.read)
		}
		e.read += n
		if n == 0 {
			return
		}
	}
}

// step goes on to the next event; false: there is none before limit.
func (w *world) step(limit time.Duration) bool {
	for _, e := range w.ends {
		if e.m == nil {
			continue
		}
		e.use()
		due := e.m.due(e.clock())
		m := &mailer{e: e}
		e.m.flush(e.clock(), m)
		if m.last != nil && !due {
			w.t.Fatal("a packet went out that was not due")
		}
		m.post()
		e.check()
	}
	at := never
	if len(w.mail) > 0 {
		at = w.mail[0].at
	}
	for _, e := range w.ends {
		if e.m != nil {
			at = min(at, e.world(e.m.wakeAt()))
		}
	}
	if at > limit {
		return false
	}
	w.now = max(w.now, at)
	for len(w.mail) > 0 && w.mail[0].at <= w.now {
		l := heap.Pop(&w.mail).(letter)
		if l.to == 2 {
			w.rival.hear(l.b != nil)
			continue
		}
		w.ends[l.to].receive(l.b)
	}
	for _, e := range w.ends {
		if e.m != nil && e.clock() >= e.m.wakeAt() {
			e.m.wake(e.clock())
		}
	}
	return true
}

func (e *end) receive(b []byte) {
	p, ok := parse(b)
	if !ok {
		return
	}
	if e.m == nil {
		if p.kind != kindSyn {
			return
		}
		e.m = newMachine(&e.memory, e.clock(), isNear(e.w.ends[0].path), uint16(e.w.rand.Uint32()))
		e.m.accept(e.clock(), &p)
	}
	if p.kind != kindSyn && p.id != e.m.recvID && !(p.kind == kindReset && p.id == e.m.sendID) {
		e.w.t.Fatalf("packet of kind %d with id %d for %d/%d", p.kind, p.id, e.m.recvID, e.m.sendID)
	}
	e.m.receive(e.clock(), &p)
}

func (e *end) check() { books(e.w.t, e.m) }

// books looks at the books of a machine.
func books(t testing.TB, m *machine) {
	t.Helper()
	onWay, lost, cut := 0, 0, 0
	for seq := m.flight.first; seq != m.flight.end; seq++ {
		f := m.flight.at(seq)
		cut += f.size
		if f.lost {
			lost++
		} else if !f.arrived {
			onWay += f.size
		}
	}
	if onWay != m.onWay || lost != m.lostPackets || cut != m.cut {
		t.Fatalf("books: on their way %d, counted %d; lost %d, %d; cut %d, %d", m.onWay, onWay, m.lostPackets, lost, m.cut, cut)
	}
	if m.flight.len() > mostFlight || m.in.size > 2*mostBuffer || m.out.size > mostBuffer || m.held.bytes > mostBuffer+blockSize {
		t.Fatalf("too much: %d packets, in %d, out %d, ahead %d", m.flight.len(), m.in.size, m.out.size, m.held.bytes)
	}
}

// run goes on until done, for at most so long.
func (w *world) run(most time.Duration, done func() bool) bool {
	limit := w.now + most
	for !done() {
		if !w.step(limit) {
			w.now = limit
			return done()
		}
	}
	return true
}
