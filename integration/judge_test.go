package integration

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A judge is the strict half of a private tracker: it hears all that comes to
// the trackers of one torrent, and notes what one of them might ban for.
//
//	tracker of tier 1 ─┐            ┌─ the test says: killed, stopped
//	tracker of tier 2 ─┴─ hear ──▶ judge ──▶ against: rule, and why
type judge struct {
	infohash  string // raw
	length    int64  // of the torrent
	least     time.Duration
	trackerID string // that each answer gives

	mu       sync.Mutex
	against  []string
	answers  int                 // announces under way
	constant map[string]string   // what must never change, as first heard
	last     *heard              // the last announce
	session  map[string][]*heard // announces since `started`, by event; nil: none is open
	lacked   bool                // it has said that something is left
	finished int                 // `completed`, ever
	sessions int
}

// heard is one request as a tracker hears it.
type heard struct {
	at    time.Time
	tier  int
	path  string
	query url.Values
	agent string
	from  netip.Addr
}

// number is an argument that must be a decimal number.
func (h *heard) number(name string) int64 {
	n, err := strconv.ParseInt(h.query.Get(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (j *judge) accuse(rule, format string, args ...any) {
	j.against = append(j.against, rule+": "+fmt.Sprintf(format, args...))
}

// hear takes a request when it comes; answered is to be called when its answer
// is sent.
func (j *judge) hear(h *heard) (answered func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.answers++; j.answers > 1 {
		j.accuse("parallel", "%d requests at a time", j.answers)
	}
	j.weigh(h)
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.answers--
	}
}

// weigh judges one request by all rules.
func (j *judge) weigh(h *heard) {
	switch {
	case h.path != "announce":
		j.accuse("scrape", "asked for %q", h.path)
		return
	case h.query.Get("info_hash") != j.infohash:
		j.accuse("infohash", "%x is not known here", h.query.Get("info_hash"))
		return
	case h.tier != 1:
		j.accuse("tier", "the backup is asked while the first tracker answers")
		return
	}
	j.weighSame(h)
	j.weighForm(h)
	j.weighEvent(h)
	if j.session != nil {
		j.weighFigures(h)
		j.session[h.query.Get("event")] = append(j.session[h.query.Get("event")], h)
	}
	j.lacked = j.lacked || h.number("left") > 0
	if h.query.Get("event") == "stopped" {
		j.session = nil
	}
	j.last = h
}

// weighSame judges what must be the same for ever.
func (j *judge) weighSame(h *heard) {
	now := map[string]string{"key": h.query.Get("key"), "peer_id": h.query.Get("peer_id"), "port": h.query.Get("port"),
		"agent": h.agent, "family": fmt.Sprint(h.from.Is4())}
	if j.constant == nil {
		j.constant = now
	}
	for what, was := range j.constant {
		if now[what] != was || was == "" {
			j.accuse(what, "it is %q and was %q", now[what], was)
			j.constant[what] = now[what]
		}
	}
}

// weighForm judges how the announce is put.
func (j *judge) weighForm(h *heard) {
	if h.query.Get("compact") != "1" {
		j.accuse("compact", "compact=%s", h.query.Get("compact"))
	}
	want := h.number("numwant")
	if stops := h.query.Get("event") == "stopped"; stops && want != 0 || !stops && (want < 1 || want > 200) {
		j.accuse("numwant", "%d peers are wanted at %q", want, h.query.Get("event"))
	}
	if len(h.query.Get("peer_id")) != 20 || h.number("port") < 1 || h.number("port") > 65535 {
		j.accuse("form", "peer_id %q, port %s", h.query.Get("peer_id"), h.query.Get("port"))
	}
	for name, values := range h.query {
		if len(values) > 1 {
			j.accuse("form", "%s is said %d times", name, len(values))
		}
	}
	if id := h.query.Get("trackerid"); j.session != nil && id != j.trackerID {
		j.accuse("tracker id", "%q is not what it was told", id)
	}
}

// weighEvent judges what is said when.
func (j *judge) weighEvent(h *heard) {
	event := h.query.Get("event")
	if j.last != nil && (event == "" || event == "started") {
		if since := h.at.Sub(j.last.at); since < j.least {
			j.accuse("interval", "%q comes %v after %q", event, since, j.last.query.Get("event"))
		}
	}
	switch {
	case event == "started" && j.session != nil:
		j.accuse("order", "started twice")
	case event == "started":
		j.session = map[string][]*heard{}
		j.sessions++
	case j.session == nil:
		j.accuse("order", "%q before started", event)
	case event == "completed":
		if j.finished++; j.finished > 1 || h.number("left") != 0 || !j.lacked {
			j.accuse("completed", "for the %d. time, with %d left; it lacked something: %v", j.finished, h.number("left"), j.lacked)
		}
	case event != "" && event != "stopped":
		j.accuse("order", "event %q", event)
	}
}

// weighFigures judges the counters, within a session.
func (j *judge) weighFigures(h *heard) {
	left, up, down := h.number("left"), h.number("uploaded"), h.number("downloaded")
	if left < 0 || left > j.length || up < 0 || down < 0 {
		j.accuse("figures", "left %d of %d, uploaded %d, downloaded %d", left, j.length, up, down)
	}
	if h.query.Get("event") == "started" || j.last == nil {
		return
	}
	gained, got := j.last.number("left")-left, down-j.last.number("downloaded")
	if got < 0 || up < j.last.number("uploaded") {
		j.accuse("figures", "downloaded grows by %d, uploaded by %d", got, up-j.last.number("uploaded"))
	}
	if gained > max(got, 0) {
		j.accuse("figures", "%d bytes are less left, and %d have come", gained, got)
	}
}

// killed is that the client was killed: its session ends without a word.
func (j *judge) killed() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.session = nil
}

// stopped is that the client has ended as it should have.
func (j *judge) stopped() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.session != nil {
		j.accuse("stopped", "it left without a word")
	}
	j.session = nil
}
