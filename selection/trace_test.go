package selection

import (
	"reflect"
	"testing"
	"time"
)

var lines = []string{
	"0s geometry length=5 piece=3 have=80",
	"0s geometry length=5 piece=3",
	"0s geometry length=13 piece=4 v2 tails=0:0+1,2:0+3 have=80",
	"1s connect 1 slots=2 loads=3 fast incoming addr=::1",
	"1s connect 1 slots=2 loads=0",
	"1s connect 1 slots=2 loads=0 ranges fast addr=::%webseed-1",
	"1s disconnect 4294967295",
	"1s received 1 choke",
	"1s received 1 keep-alive",
	"1s received 1 have 7",
	"1s received 1 bitfield ff00",
	"1s received 1 request 1:2+3",
	"1s received 1 piece 1:2+3",
	"1s received 1 extended",
	"1s received 1 unknown-99",
	"1s limits 1 reqq=250",
	"1s limits 1 reqq=0 dont-have=3",
	"1s dont-have 1 7",
	"1s allow 1 7 8 9",
	"1.5ms stored 1 0:16384+16384 lease=18446744073709551615",
	"1.5ms stored 1 0:16384+16384",
	"1s written 1 messages=1 loads=2",
	"1s unloaded 1 0:16384+16384",
	"1s starved 1 0:16384+16384",
	"1s granted 1 lease=2 room=3",
	"1s room lease=1 n=4",
	"1s revoke lease=1",
	"1s verified 1 lease=1 ok",
	"1s verified 1 lease=1 digests=01,,0203",
	"1s evicted 3",
	"1s want 1 0:0+1 deadline=-1s class=read-ahead",
	"1s unwant 1",
	"1s upload on",
	"1s upload",
	"1s wake",
	"1s aside",
	"1s limited",
	"1s limited down background up",
	"1s limited up",
	"1s credit down=1 background=2 up=3",
	"1s credit background=4611686018427387903",
}

// TestTrace: a line is the event, and the event is the line.
func TestTrace(t *testing.T) {
	for _, s := range lines {
		now, e, err := ParseLine(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if got := Line(now, e); got != s {
			t.Errorf("%s became %s", s, got)
		}
	}
	for _, s := range []string{
		"", "1s", "wake", "1s nonsense", "1s wake up", "1s stored 1", "1s received 1 nonsense", "1s received 1 bitfield f",
		"1s want 1 0:0+1", "1s want 1 0:0+1 deadline=1s class=soon", "1s connect 1 addr=x", "1s connect -1",
		"1s verified 1 digests=00000000000000000000000000000000000000000000",
	} {
		if _, e, err := ParseLine(s); err == nil {
			t.Errorf("%q is %v", s, e)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, s := range lines {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		now, e, err := ParseLine(s)
		if err != nil {
			return
		}
		again, e2, err := ParseLine(Line(now, e))
		if err != nil || again != now || Line(now, e) != Line(again, e2) || reflect.TypeOf(e) != reflect.TypeOf(e2) {
			t.Errorf("%q: %v became %v, %v", s, e, e2, err)
		}
	})
}

// FuzzPeer: whatever a peer says, the machine neither panics nor sends without
// a slot, and a connection that breaks the rules is dropped.
func FuzzPeer(f *testing.F) {
	for _, s := range lines {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Add("received 1 have-all\nreceived 1 unchoke\ndont-have 1 0\nevicted 3\ndont-have 1 3\ndont-have 1 9", true)
	f.Add("received 1 have-all\nreceived 1 unchoke\nreceived 1 reject 0:0+16384\nreceived 1 choke\nreceived 1 unchoke", true)
	f.Fuzz(func(t *testing.T, script string, fast bool) {
		m := New(Config{Upload: true})
		m.Step(0, Geometry{Geometry: geometryOf(5, 3), Have: []byte{0x10}})
		m.Step(0, PeerConnect{Peer: 1, Slots: 4, Loads: 2, Fast: fast})
		for i := range 5 {
			m.Step(0, wantOf(m, i))
		}
		now := time.Duration(0)
		var lease int
		for _, s := range splitLines(script) {
			e, err := ParseEvent(s)
			if err != nil {
				continue
			}
			switch e := e.(type) {
			case Received:
				if e.Peer != 1 {
					continue
				}
			case DontHave:
				if e.Peer != 1 {
					continue
				}
			case Evicted:
			default:
				continue
			}
			now += 100 * time.Millisecond
			m.Step(now, e)
			answer(m, now, &lease)
		}
	})
}
