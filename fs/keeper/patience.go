package keeper

import "time"

const (
	// mostDeaths within deathsWithin are taken for chance. Over it whoever reads is
	// told, and the next worker has to wait.
	mostDeaths   = 5
	deathsWithin = time.Minute
	// longestWait is between a death and the next worker.
	longestWait = 30 * time.Second
)

// soon is how long each of the first deaths is rested: within a second there is
// another worker.
var soon = [mostDeaths - 1]time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 800 * time.Millisecond}

// patience is how soon a worker follows the one that died. Time is an argument.
//
//	deaths within a minute:  1  2   3    4    5        6  7  8   …
//	rest:                    0  50  200  800  2 s      4  8  16  30 s, 30 s …
//	                                          ╰─ refuse ──────────────…
//
// A worker that served for a minute makes all good.
type patience struct {
	deaths []time.Time // the latest, mostDeaths at most
	next   time.Duration
}

// died is what follows a death now, of a worker that had served for so long: the
// rest until the next one, and whether reads are refused meanwhile.
func (p *patience) died(now time.Time, served time.Duration) (rest time.Duration, refuse bool) {
	if served >= deathsWithin {
		*p = patience{}
	}
	if p.next == 0 {
		for len(p.deaths) > 0 && now.Sub(p.deaths[0]) >= deathsWithin {
			p.deaths = p.deaths[1:]
		}
		if p.deaths = append(p.deaths, now); len(p.deaths) < mostDeaths {
			return soon[len(p.deaths)-1], false
		}
		p.next = time.Second
	}
	p.next = min(p.next*2, longestWait)
	return p.next, true
}
