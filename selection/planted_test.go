package selection

import (
	"fmt"
	"os"
	"testing"

	"bipfs/wire"
)

// TestPlantedBugs: the scripts notice when something that matters is broken,
// the things that a whole swarm would heal by itself included.
func TestPlantedBugs(t *testing.T) {
	type events func(Event) []Event
	type commands func(Command) []Command
	drop := func(is func(Event) bool) events {
		return func(e Event) []Event {
			if is(e) {
				return nil
			}
			return asIs(e)
		}
	}
	for _, c := range []struct {
		bug, script string
		alter       events
		cut         commands
	}{
		{"choke forgets", "choked_midway", drop(func(e Event) bool {
			r, ok := e.(Received)
			return ok && r.Message.Kind == wire.Choke
		}), issue},
		{"disconnect forgets", "peer_gone", drop(func(e Event) bool { _, ok := e.(PeerDisconnect); return ok }), issue},
		{"reject forgets", "choked_midway_fast", drop(func(e Event) bool {
			r, ok := e.(Received)
			return ok && r.Message.Kind == wire.Reject
		}), issue},
		{"silence is not noticed", "snubbed", drop(func(e Event) bool { _, ok := e.(Wake); return ok }), issue},
		{"revoke forgets", "lease_revoked", drop(func(e Event) bool { _, ok := e.(Revoke); return ok }), issue},
		{"no lease number", "late_stored", func(e Event) []Event {
			if s, ok := e.(Stored); ok {
				s.Lease = 2
				return asIs(s)
			}
			return asIs(e)
		}, issue},
		{"hash ignored", "guilty_found", func(e Event) []Event {
			if v, ok := e.(Verified); ok {
				v.OK = true
				return asIs(v)
			}
			return asIs(e)
		}, issue},
		{"an eviction is not told", "dont_have", drop(func(e Event) bool { _, ok := e.(Evicted); return ok }), issue},
		{"a peer's loss is ignored", "dont_have_told", drop(func(e Event) bool { _, ok := e.(DontHave); return ok }), issue},
		{"a proof is ignored", "leaf_hot", drop(func(e Event) bool { _, ok := e.(Proven); return ok }), issue},
		{"a bad leaf is ignored", "leaf_spoiled", drop(func(e Event) bool { _, ok := e.(Spoiled); return ok }), issue},
		{"gifts are not named", "newcomer", drop(func(e Event) bool { _, ok := e.(Allow); return ok }), issue},
		{"requests are lost", "seeding_turns", drop(func(e Event) bool {
			r, ok := e.(Received)
			return ok && r.Message.Kind == wire.Request
		}), issue},
		{"testimony lost", "guilty_found", func(e Event) []Event {
			if v, ok := e.(Verified); ok {
				v.Digests = nil
				return asIs(v)
			}
			return asIs(e)
		}, issue},
		{"silence of a fresh peer is not noticed", "fresh_alone", drop(func(e Event) bool { _, ok := e.(Wake); return ok }), issue},
		{"anybody may bring a suspect piece", "late_lie", asIs, func(c Command) []Command {
			if _, ok := c.(Only); ok {
				return nil
			}
			return issue(c)
		}},
		{"uncounted slot", "slots_1", func(e Event) []Event {
			if w, ok := e.(Written); ok {
				w.Messages++
				return asIs(w)
			}
			return asIs(e)
		}, issue},
		{"no close", "unwant_cancels", asIs, func(c Command) []Command {
			if _, ok := c.(Close); ok {
				return nil
			}
			return issue(c)
		}},
	} {
		t.Run(c.bug, func(t *testing.T) {
			want, err := os.ReadFile("testdata/" + c.script + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if runBroken(string(want), c.alter, c.cut) == string(want) {
				t.Errorf("%s goes the same way", c.script)
			}
		})
	}
}

// runBroken is runScript; a panic is an outcome.
func runBroken(text string, alter func(Event) []Event, cut func(Command) []Command) (out string) {
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprint(r)
		}
	}()
	return runScript(text, alter, cut)
}
