package utp

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// connect runs a world until both ends are connected.
func connect(t *testing.T, there, back path) *world {
	t.Helper()
	w := newWorld(t, 1, 0, there, back)
	if !w.run(time.Minute, func() bool {
		return w.ends[0].m.phase == connected && w.ends[1].m != nil && w.ends[1].m.phase == connected
	}) {
		t.Fatal("not connected")
	}
	return w
}

// TestOneLoss: a packet that is lost is sent again at once, and so is one that
// is lost twice; there is no time-out.
func TestOneLoss(t *testing.T) {
	for _, times := range []int{1, 2} {
		w := connect(t, ethernet(), ethernet())
		a, b := w.ends[0], w.ends[1]
		a.toWrite = 400_000
		victim, lost, timeouts := uint16(0), 0, 0
		w.eats = func(from int, p packet, _ []byte) bool {
			if from != 0 || p.kind != kindData {
				return false
			}
			if victim == 0 && b.read > 50_000 {
				victim = p.seq
			}
			if victim != 0 && p.seq == victim && lost < times {
				lost++
				return true
			}
			return false
		}
		began := w.now
		w.run(time.Minute, func() bool { timeouts = max(timeouts, a.m.timeouts); return b.read == 400_000 })
		if timeouts > 0 || lost != times || b.read != 400_000 {
			t.Errorf("lost %d times: %d time-outs, %d bytes in %v", lost, timeouts, b.read, w.now-began)
		}
	}
}

// TestLastLoss: the last packet of what was written has nothing behind it; it
// is found lost before the time-out.
func TestLastLoss(t *testing.T) {
	w := connect(t, ethernet(), ethernet())
	a, b := w.ends[0], w.ends[1]
	a.toWrite = 100_000
	w.run(10*time.Second, func() bool { return b.read == 100_000 })
	lost := false
	w.eats = func(from int, p packet, _ []byte) bool {
		eaten := from == 0 && p.kind == kindData && !lost
		lost = lost || eaten
		return eaten
	}
	began := w.now
	a.toWrite = 100
	w.run(10*time.Second, func() bool { return b.read == 100_100 })
	if took := w.now - began; took > 400*ms || a.m.timeouts > 0 {
		t.Errorf("took %v, %d time-outs", took, a.m.timeouts)
	}
}

// TestNoRoom: a reader that does not read is sent what there is room for, then
// a probe now and then; when it reads again all goes on.
func TestNoRoom(t *testing.T) {
	for _, updateLost := range []bool{false, true} {
		w := connect(t, ethernet(), ethernet())
		a, b := w.ends[0], w.ends[1]
		b.lazy = true
		a.toWrite = 3 << 20
		w.run(time.Minute, func() bool { return false })
		if b.m.in.size < mostBuffer-2*blockSize || b.m.in.size > mostBuffer {
			t.Errorf("%d bytes are unread", b.m.in.size)
		}
		sent := a.path.sent
		w.run(30*time.Second, func() bool { return false })
		if n := a.path.sent - sent; n > 10 || a.m.phase != connected {
			t.Errorf("%d packets to one without room; %s", n, describe(a.m))
		}
		b.lazy = false
		until := w.now + 100*ms
		w.eats = func(from int, p packet, _ []byte) bool { return updateLost && from == 1 && w.now < until }
		if !w.run(time.Minute, func() bool { return b.read == 3<<20 }) {
			t.Errorf("%d bytes; %s", b.read, describe(a.m))
		}
	}
}

// TestNoRoomForEver: who takes nothing in is left after stallTime.
func TestNoRoomForEver(t *testing.T) {
	w := connect(t, ethernet(), ethernet())
	a, b := w.ends[0], w.ends[1]
	b.lazy = true
	a.toWrite = 3 << 20
	if !w.run(4*time.Minute, func() bool { return a.m.phase == dead && b.m.phase == dead }) {
		t.Fatalf("it goes on: %s", describe(a.m))
	}
	if !errors.Is(a.m.err, ErrStalled) || !errors.Is(b.m.err, ErrReset) || a.memory.used.Load() != 0 {
		t.Errorf("ended with %v, %v; %d bytes are held", a.m.err, b.m.err, a.memory.used.Load())
	}
}

// TestDeadPeer: a peer that is gone is found, with few packets.
func TestDeadPeer(t *testing.T) {
	w := connect(t, ethernet(), ethernet())
	a := w.ends[0]
	a.toWrite = 1 << 30
	w.run(time.Second, func() bool { return false })
	a.path.stopped, w.ends[1].path.stopped = true, true
	w.run(time.Second, func() bool { return false })
	sent := a.path.sent
	if !w.run(2*time.Minute, func() bool { return a.m.phase == dead }) {
		t.Fatalf("it goes on: %s", describe(a.m))
	}
	if !errors.Is(a.m.err, ErrUnanswered) || a.path.sent-sent > 2*mostTimeouts {
		t.Errorf("ended with %v after %d packets", a.m.err, a.path.sent-sent)
	}
}

// TestNobody: a SYN that nobody answers.
func TestNobody(t *testing.T) {
	there := ethernet()
	there.stopped = true
	w := newWorld(t, 1, 0, there, ethernet())
	w.run(time.Minute, func() bool { return w.ends[0].m.phase == dead })
	if !errors.Is(w.ends[0].m.err, ErrUnanswered) || w.now > 16*time.Second || w.ends[0].path.sent != mostSynTimeouts {
		t.Errorf("%v after %v and %d packets", w.ends[0].m.err, w.now, w.ends[0].path.sent)
	}
}

// TestIdle: an idle connection lives on, with a packet every half minute and
// next to no memory.
func TestIdle(t *testing.T) {
	w := connect(t, ethernet(), ethernet())
	a, b := w.ends[0], w.ends[1]
	a.toWrite = 1 << 20
	w.run(time.Minute, func() bool { return b.read == 1<<20 })
	w.run(time.Minute, func() bool { return false })
	sent := a.path.sent
	w.run(time.Hour, func() bool { return false })
	if n := a.path.sent - sent; n < 110 || n > 130 {
		t.Errorf("%d packets in an hour", n)
	}
	if a.memory.used.Load() != 0 || a.m.flight.ring != nil || b.m.held.ring != nil || len(a.m.out.blocks)+len(b.m.in.blocks) != 0 {
		t.Errorf("held: %d bytes, rings of %d and %d", a.memory.used.Load(), len(a.m.flight.ring), len(b.m.held.ring))
	}
	a.toWrite = 1 << 20
	if !w.run(time.Minute, func() bool { return b.read == 2<<20 }) {
		t.Errorf("does not go on: %s", describe(a.m))
	}
}

// TestMTU: the longest datagram of each path is found.
func TestMTU(t *testing.T) {
	for mtu, want := range map[int]int{1280: 1232, 1455: 1452, 1472: 1472, 1480: 1472, 9000: 8952, 65507: rungs[len(rungs)-1]} {
		p := ethernet()
		p.mtu = mtu
		w := connect(t, p, p)
		a, b := w.ends[0], w.ends[1]
		a.toWrite = 4 << 20
		w.run(time.Minute, func() bool { return b.read == 4<<20 })
		if got := a.m.mtu.size(); got != want {
			t.Errorf("a path of %d: datagrams of %d, should be %d", mtu, got, want)
		}
		if a.m.timeouts != 0 || a.path.lost > probeTries {
			t.Errorf("a path of %d: %d lost", mtu, a.path.lost)
		}
	}
}

// TestDrift: clocks that drift apart by 200 ppm, either way, hold LEDBAT neither
// back nor let it fill the queue.
func TestDrift(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of a saturated link")
	}
	for _, drift := range []float64{-200e-6, 200e-6} {
		p := ethernet()
		p.rate, p.queue, p.drift = 60_000, time.Second, drift
		r, w := rate(t, 1, p, ethernet(), 25*time.Minute)
		if q := w.ends[0].path.busy - w.now; r < 48e3 || q > 250*ms {
			t.Errorf("drift %v: %.0f kB/s, a queue of %v", drift, r/1e3, q)
		}
	}
}

// TestReset: only who knows the ids and a packet that is on its way ends a
// connection.
func TestReset(t *testing.T) {
	w := connect(t, ethernet(), ethernet())
	m := w.ends[0].m
	right := m.flight.end
	for i := range 1 << 16 {
		if ack := uint16(i); ack != right && ack != right-1 {
			m.receive(w.now, &packet{header: header{kind: kindReset, id: m.recvID, ack: ack}})
		}
	}
	if m.phase != connected {
		t.Fatal("a RESET that names no packet of ours was believed")
	}
	m.receive(w.now, &packet{header: header{kind: kindReset, id: m.recvID, ack: right}})
	if !errors.Is(m.err, ErrReset) {
		t.Errorf("%v", m.err)
	}
}

// FuzzMachine drives a machine with packets of all kinds; its books stay right
// and its memory bounded.
func FuzzMachine(f *testing.F) {
	f.Add(uint64(1), []byte("\x20\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04abcdefghijklmnopqrstuvwxyz0123456789"))
	f.Add(uint64(2), []byte("\x00\x01\x02\x03\x10\x11\x12\x13\x40\x41\x42\x43"))
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		w := &world{t: &testing.T{}, rand: rand.New(rand.NewPCG(seed, 0))}
		e := &end{w: w}
		e.memory.limit = 4 << 20
		e.m = newMachine(&e.memory, 0, seed%2 == 0, uint16(seed))
		if seed%3 == 0 {
			e.m.accept(0, &packet{header: header{kind: kindSyn, id: 7, seq: uint16(seed >> 8)}})
		} else {
			e.m.dial(0, 7)
		}
		sink := &mailer{e: &end{w: w, path: path{stopped: true}}}
		payload := make([]byte, 20_000)
		for i := 0; i+4 <= len(script); i += 4 {
			s := script[i : i+4]
			now := w.now
			switch s[0] >> 5 {
			case 0, 1, 2, 3:
				p := packet{header: header{kind: kind(s[0] & 7 % 5), id: e.m.recvID, window: uint32(s[1]) << (s[2] & 31),
					seq: e.m.next + uint16(int8(s[1]))*uint16(s[3]&7), ack: e.m.flight.first - 1 + uint16(s[2]&63), difference: uint32(s[3]) << 10}}
				p.payload = payload[:int(s[3])*int(s[1]&63)]
				if s[0]&8 != 0 {
					p.sack = script[i : i+4]
				}
				e.m.receive(now, &p)
			case 4:
				e.m.write(now, payload[:int(s[1])*64])
			case 5:
				e.m.read(payload[:int(s[1])*64])
			case 6:
				w.now += time.Duration(s[1]) * time.Duration(s[2]) * ms
				e.m.wake(w.now)
			case 7:
				if s[1] == 7 {
					e.m.close(now)
				} else if s[1] == 8 {
					e.m.closeWrite()
				}
			}
			if e.m.due(w.now) {
				e.m.flush(w.now, sink)
			}
			books(t, e.m)
		}
		if used := e.memory.used.Load(); used > 3*mostBuffer+4*blockSize {
			t.Errorf("%d bytes are held", used)
		}
		e.m.closed = true
		e.m.kill(nil)
		e.m.in.discard(&e.memory, e.m.in.size)
		if used := e.memory.used.Load(); used != 0 {
			t.Errorf("%d bytes are lost", used)
		}
	})
}
