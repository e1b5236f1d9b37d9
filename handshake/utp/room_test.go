package utp

import (
	"testing"
	"time"
)

// TestRoomIsTold: who reads all that came is sent more at once, also where memory is so
// short that the whole window is less than what is otherwise worth a word.
func TestRoomIsTold(t *testing.T) {
	w := newWorld(t, 1, 0, ethernet(), ethernet())
	for _, e := range w.ends {
		e.memory.limit = 1
	}
	a, b := w.ends[0], w.ends[1]
	a.toWrite, b.lazy = 10*leastBuffer, true
	began := time.Duration(0)
	for b.read < 9*leastBuffer {
		w.run(2*time.Second, func() bool { return a.m.peerWindow == 0 && a.m.flight.len() == 0 && a.m.phase == connected })
		began = w.now
		before := b.read
		b.lazy = false
		b.use() // the reader reads all that is there, once
		b.lazy = true
		if b.read == before {
			t.Fatal("nothing came")
		}
		if !w.run(100*time.Millisecond, func() bool { return b.m.in.size > 0 }) {
			t.Fatalf("%v after the reader has read all of %d bytes nothing has come: %s", w.now-began, b.read-before, describe(a.m))
		}
	}
}
