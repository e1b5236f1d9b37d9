package discovery

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// book is a Ledger in memory, which outlives Trackers.
type book struct {
	kept  map[string]Kept
	pages int
	owed  bool
	full  bool
}

func newBook() *book { return &book{kept: map[string]Kept{}} }

func (b *book) Kept(tracker string) Kept { return b.kept[tracker] }

func (b *book) Keep(tracker string, k Kept) error {
	if b.full {
		return errors.New("no space")
	}
	b.kept[tracker] = k
	b.pages++
	return nil
}

func (b *book) Owe(completed bool) { b.owed = completed }

// away is a Way over which nothing can be reached.
var away = Way{HTTP: HTTP{&http.Client{Transport: unreachable{}}}}

type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
}

// private makes Trackers of a private torrent.
func (b *book) private(c *Config) { c.Ledger, c.Private = b, true }

const hasty = "d8:intervali1800e12:min intervali100e5:peers6:\x01\x02\x03\x04\x1a\xe1e"

// TestPrivateOneAtATime: one that is silent or refuses us holds the round up,
// and no tracker is asked beside it; the next tier only when the first failed.
func TestPrivateOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": "silent", "b": "", "c": answers})
		during(w.trackers("a|b|c", newBook().private), 31*time.Minute)
		want(t, w.log()[:3], "0 a started\n30 b started\n30 c started")
		n := 0
		for _, line := range w.log() {
			if strings.HasSuffix(line, " c") || strings.HasSuffix(line, " c started") {
				n++
			}
		}
		if n != 2 {
			t.Errorf("the tracker that answers was asked %d times in 31 minutes: %v", n, w.log())
		}
	})
}

// TestPrivateRestart: over the end of a process, with `stopped` and without,
// the least interval is kept, and no other tracker is asked meanwhile.
func TestPrivateRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(map[string]string{"a": hasty, "b": hasty}), newBook()
		during(w.trackers("a|b", b.private), 10*time.Second) // killed
		tr := w.trackers("a|b", b.private)
		during(tr, 100*time.Second)
		tr.Stop(t.Context()) // at 110
		during(w.trackers("a|b", b.private), 200*time.Second)
		want(t, w.log(), `
			0 a started
			100 a started
			110 a stopped
			210 a started`)
		if k := b.kept["http://a/announce"]; k.Least != 100*time.Second || len(k.Peers) != 1 || k.Peers[0].Port() != 6881 {
			t.Errorf("kept of the tracker: %+v", k)
		}
	})
}

// TestPrivateKilledBeforeTheAnswer: the tracker may have heard what was sent.
func TestPrivateKilledBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(map[string]string{"a": hasty}), newBook()
		during(w.trackers("a", b.private), time.Second)
		time.Sleep(200 * time.Second)
		w.set("a", "silent")
		during(w.trackers("a", b.private), time.Second) // 201 to 202
		w.set("a", hasty)
		during(w.trackers("a", b.private), 200*time.Second)
		want(t, w.log(), "0 a started\n201 a started\n303 a started")
	})
}

// TestPrivateClockSetBack: nobody waits longer than the least interval.
func TestPrivateClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(map[string]string{"a": hasty}), newBook()
		b.kept["http://a/announce"] = Kept{At: time.Now().Add(1000 * time.Hour), Least: 100 * time.Second}
		during(w.trackers("a", b.private), 200*time.Second)
		want(t, w.log(), "100 a started")
	})
}

// TestPrivateSwitch: the backup of the second tier is told `stopped` when the
// first is back, and its peers are of another swarm.
func TestPrivateSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, switched := newWorld(map[string]string{"a": "", "b": hasty}), 0
		w.onAsks = func(host string) {
			if host == "b" {
				w.says["a"] = hasty
			}
		}
		during(w.trackers("a|b", newBook().private, func(c *Config) { c.Switched = func() { switched++ } }), 20*time.Minute)
		want(t, w.log(), `
			0 a started
			0 b started
			60 a started
			60 b stopped`)
		if switched != 1 {
			t.Errorf("the swarm was left %d times", switched)
		}
	})
}

// TestPrivateCompleted: said at once and once, also when the answer is lost; it
// is in the ledger before it is said.
func TestPrivateCompleted(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, b := newWorld(map[string]string{"a": hasty}), newBook()
			tr := w.trackers("a", b.private)
			w.onAsks = func(string) {
				if n := len(w.asked); lost && strings.HasSuffix(w.asked[n-1], "completed") {
					w.says["a"] = "silent"
				} else {
					w.says["a"] = hasty
				}
				if b.pages < len(w.asked) || !b.kept["http://a/announce"].At.Equal(time.Now()) {
					t.Errorf("the ledger is behind at %v", w.asked)
				}
			}
			during(tr, 20*time.Minute, func() {
				time.Sleep(10 * time.Second)
				tr.Completed()
			})
			script := "0 a started\n10 a completed"
			if lost {
				script += "\n140 a"
			}
			want(t, w.log(), script)
		})
	}
}

// TestPrivateCompletedLate: it is said behind a `started` that had to wait, and
// still owed while the tracker cannot be reached.
func TestPrivateCompletedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(map[string]string{"a": hasty}), newBook()
		during(w.trackers("a", b.private), time.Second)
		tr := w.trackers("a", b.private, func(c *Config) { c.State = func() Announce { return Announce{Port: 1} } })
		during(tr, 150*time.Second, tr.Completed)
		want(t, w.log(), "0 a started\n100 a started\n100 a completed")
		if tr.c.Ways = []Way{away}; b.owed {
			t.Error("it is owed, and was said")
		}
		tr.Completed()
		during(tr, 150*time.Second)
		if !b.owed {
			t.Error("it is not owed, and could not be said")
		}
	})
}

// TestPrivateBrokenOff: an announce that is under way at the end is waited for,
// a little, so that `stopped` can follow it.
func TestPrivateBrokenOff(t *testing.T) {
	for late, script := range map[string]string{"400ms": "0 a started\n0 a stopped", "600ms": "0 a started"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(map[string]string{"a": late + " late " + hasty})
			tr := w.trackers("a", newBook().private)
			during(tr, 10*time.Millisecond)
			tr.Stop(t.Context())
			want(t, w.log(), script)
		})
	}
}

// TestPrivateSooner: peers are asked for, and a new address told, at the least
// interval.
func TestPrivateSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": hasty})
		tr := w.trackers("a", newBook().private)
		during(tr, 20*time.Minute, func() {
			time.Sleep(10 * time.Second)
			tr.More()
			time.Sleep(150 * time.Second)
			tr.Moved()
		})
		want(t, w.log(), "0 a started\n100 a\n200 a")
	})
}

// TestPrivateOneWay: one that was reached over one family is told nothing over
// the other; that other is tried when nothing can have come there.
func TestPrivateOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			ways   func(w Way) []Way
			says   string
			script string
		}{
			"both answer":        {func(w Way) []Way { return []Way{w, w} }, hasty, "0 a started\n5 a stopped"},
			"the first refuses":  {func(w Way) []Way { return []Way{w, w} }, "d14:failure reason2:noe", "0 a started"},
			"the second answers": {func(w Way) []Way { return []Way{away, w} }, hasty, "0 a started\n5 a stopped"},
		} {
			w := newWorld(map[string]string{"a": c.says})
			tr := w.trackers("a", newBook().private, func(f *Config) { f.Ways = c.ways(f.Ways[0]) })
			during(tr, 5*time.Second)
			tr.Stop(t.Context())
			t.Log(name)
			want(t, w.log(), c.script)
		}
	})
}

// TestPrivateUnreached: a tracker that cannot be reached is asked again as its
// back-off says, and costs the next process no time.
func TestPrivateUnreached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(map[string]string{"a": hasty}), newBook()
		during(w.trackers("a", b.private, func(c *Config) { c.Ways = []Way{away, away} }), 3*time.Second)
		during(w.trackers("a", b.private), time.Second)
		want(t, w.log(), "3 a started")
	})
}

// TestPrivateNotKept: what cannot be kept is not said.
func TestPrivateNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(map[string]string{"a": hasty}), newBook()
		b.full = true
		tr := w.trackers("a", b.private)
		during(tr, time.Second)
		b.full = false
		during(tr, 10*time.Second)
		if got := w.log(); len(got) != 1 || got[0] == "0 a started" {
			t.Errorf("asked: %v", got)
		}
	})
}

// TestReached: only what cannot have come to the tracker is tried another way.
func TestReached(t *testing.T) {
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: errors.New("no")}, &net.DNSError{}, &net.AddrError{}, ErrNoUDP,
	} {
		if reached(err) {
			t.Errorf("%v counts as heard", err)
		}
	}
	for _, err := range []error{
		context.DeadlineExceeded, &net.OpError{Op: "read", Err: errors.New("reset")}, &Failure{}, ErrNotTracker,
	} {
		if !reached(err) {
			t.Errorf("%v does not count as heard", err)
		}
	}
}

// TestKeeps: the bounds of what is kept of an answer.
func TestKeeps(t *testing.T) {
	for n, kept := range map[int]int{0: 0, MaxKept: MaxKept, MaxKept + 1: MaxKept} {
		k := keeps(Answer{Peers: make([]netip.AddrPort, n)}, time.Now())
		if len(k.Peers) != kept || k.Least != MinInterval {
			t.Errorf("of %d peers: %d, and %v", n, len(k.Peers), k.Least)
		}
	}
}
