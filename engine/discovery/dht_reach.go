package discovery

import (
	"net/netip"
	"time"
)

// Who we are to others, as far as their answers and queries tell.

// Bounds of judging our own reachability.
const (
	reachTrial  = 10 * time.Minute // how long strangers get to query us
	reachAnswer = 20               // answers that show that we take part at all
	reachAgain  = 30 * time.Minute // after which a judgement is old
)

// reach judges whether nodes that we never spoke to can reach us. One that they
// cannot is of no use in their tables: it says so in its queries and answers
// none (BEP 43).
//
//	trial ──no stranger for reachTrial, though many answer──▶ read-only
//	  ▲  ▲                                                       │
//	  │  └──────────────────── after reachAgain ─────────────────┘
//	  └── a stranger's query shows the contrary, for reachAgain
type reach struct {
	readOnly bool
	since    time.Time // when the trial, or being read-only, began
	answers  int       // since then
	stranger time.Time // the latest query of a node that we had not spoken to
}

// judge reports whether we are read-only at now.
func (r *reach) judge(now time.Time) bool {
	met := !r.stranger.IsZero() && now.Sub(r.stranger) < reachAgain
	switch {
	case r.since.IsZero():
		r.since = now
	case r.readOnly && now.Sub(r.since) >= reachAgain:
		r.readOnly, r.since, r.answers = false, now, 0
	case !r.readOnly && !met && now.Sub(r.since) >= reachTrial && r.answers >= reachAnswer:
		r.readOnly, r.since = true, now
	}
	return r.readOnly
}

// asleep ends a trial without a judgement: strangers forget who sends nothing.
func (r *reach) asleep() { r.since, r.answers = time.Time{}, 0 }

// Bounds of the votes on our own address.
const (
	maxVoters = 24 // the latest ones
	minVotes  = 5
)

// votes are what other nodes say that our address is (BEP 42), one vote each.
type votes struct {
	by lately[netip.Addr, netip.Addr]
}

// add takes the word of voter. An address that means something only near the
// voter says nothing about us.
func (v *votes) add(voter, us netip.Addr) {
	if scope(voter) == scopeWorld && scope(us) == scopeWorld {
		v.by.put(voter, us)
	}
}

// elected is the address that more than half of at least minVotes voters gave.
func (v *votes) elected() (us netip.Addr, ok bool) {
	counts := map[netip.Addr]int{}
	for _, a := range v.by.in {
		counts[a]++
	}
	for a, n := range counts {
		if n >= minVotes && n > len(v.by.in)/2 {
			return a, true
		}
	}
	return us, false
}

// The scopes of addresses, from the widest. One is taken from a source of a
// scope at least as narrow: the world must not send us to our own doors.
const (
	scopeWorld = iota
	scopeSite
	scopeLink
	scopeMachine
)

var sharedPrefix = netip.MustParsePrefix("100.64.0.0/10") // behind a provider's NAT (RFC 6598)

func scope(ip netip.Addr) int {
	switch ip = ip.Unmap(); {
	case ip.IsLoopback():
		return scopeMachine
	case ip.IsLinkLocalUnicast():
		return scopeLink
	case ip.IsPrivate(), sharedPrefix.Contains(ip):
		return scopeSite
	}
	return scopeWorld
}
