package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// world is the trackers of a test, by host name: a RoundTripper in false time.
// What it is asked it writes down as "second host event".
type world struct {
	mu     sync.Mutex
	begin  time.Time
	says   map[string]string // host -> body; "" is a server that is down, "silent" one that never answers
	asked  []string
	onAsks func(host string) // may change says; called with mu held
}

func newWorld(says map[string]string) *world { return &world{begin: time.Now(), says: says} }

func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	q := req.URL.Query()
	w.mu.Lock()
	w.asked = append(w.asked, strings.TrimSpace(fmt.Sprintf("%.0f %s %s", time.Since(w.begin).Seconds(), req.URL.Host, q.Get("event"))))
	if w.onAsks != nil {
		w.onAsks(req.URL.Host)
	}
	body := w.says[req.URL.Host]
	w.mu.Unlock()
	var late time.Duration
	if n, rest, ok := strings.Cut(body, " late "); ok {
		late, _ = time.ParseDuration(n)
		body = rest
	}
	switch {
	case body == "":
		return nil, errors.New("connection refused")
	case body == "silent":
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	select {
	case <-time.After(late):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

func (w *world) log() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

func (w *world) set(host, says string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says[host] = says
}

const answers = "d8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e"

// trackers are Trackers in world w; tiers are written "a b|c".
func (w *world) trackers(tiers string, more ...func(*Config)) *Trackers {
	c := Config{
		Ways:  []Way{{HTTP: HTTP{&http.Client{Transport: w}}}},
		State: func() Announce { return Announce{Port: 1, Left: 9} },
		Peers: func([]netip.AddrPort) {},
	}
	for tier := range strings.SplitSeq(tiers, "|") {
		var urls []string
		for _, host := range strings.Fields(tier) {
			urls = append(urls, "http://"+host+"/announce")
		}
		c.Tiers = append(c.Tiers, urls)
	}
	for _, f := range more {
		f(&c)
	}
	return NewTrackers(c)
}

// during runs t in false time for d.
func during(t *Trackers, d time.Duration, meanwhile ...func()) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { t.Run(ctx) })
	for _, f := range meanwhile {
		f()
	}
	running.Wait()
}

func want(t *testing.T, got []string, script string) {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	if !slices.Equal(got, lines) {
		t.Errorf("asked:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func TestOneTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": answers})
		var peers []netip.AddrPort
		tr := w.trackers("a", func(c *Config) { c.Peers = func(ps []netip.AddrPort) { peers = append(peers, ps...) } })
		during(tr, time.Hour+time.Minute, func() {
			time.Sleep(40 * time.Minute)
			tr.Completed()
		})
		tr.Stop(t.Context())
		want(t, w.log(), `
			0 a started
			1800 a
			2400 a completed
			3660 a stopped`)
		if len(peers) != 3 {
			t.Errorf("%d peers", len(peers))
		}
		// A second life begins as the first did.
		w.asked = nil
		during(tr, time.Minute)
		want(t, w.log(), `3660 a started`)
	})
}

func TestIntervals(t *testing.T) {
	for answer, want := range map[string]time.Duration{
		"d8:intervali0e5:peers0:e":                         NoInterval,
		"d8:intervali-7e5:peers0:e":                        NoInterval,
		"d8:intervali1e5:peers0:e":                         MinInterval,
		"d8:intervali1800e5:peers0:e":                      30 * time.Minute,
		"d8:intervali1800e12:min intervali3600e5:peers0:e": time.Hour,
		"d8:intervali4611686018427387904e5:peers0:e":       MaxInterval,
		"d5:peers0:e":                                      NoInterval,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(map[string]string{"a": answer})
			during(w.trackers("a"), 2*want+time.Second)
			var seconds []string
			for i := range 3 {
				seconds = append(seconds, fmt.Sprintf("%.0f a", (time.Duration(i)*want).Seconds()))
			}
			seconds[0] += " started"
			if got := w.log(); !slices.Equal(got, seconds) {
				t.Errorf("%q: %v, want %v", answer, got, seconds)
			}
		})
	}
}

func TestTiers(t *testing.T) {
	for name, c := range map[string]struct {
		tiers, up string
		want      string // hosts asked in the first round, and in the second (after 1,800 s)
	}{
		"the next tier only when all of one failed": {"a b|c", "c", "[a|b] [a|b] c, [a|b] [a|b] c"},
		"the first to answer ends the round":        {"a|b|c", "a b c", "a, a"},
		"who answered comes first":                  {"a b c|d", "b", "[a|c]* b, b"},
		"none":                                      {"|", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(map[string]string{})
				for _, host := range strings.Fields(c.up) {
					w.says[host] = answers
				}
				during(w.trackers(c.tiers), 45*time.Minute)
				var rounds [2][]string
				for _, line := range w.log() {
					var second, host string
					fmt.Sscan(line, &second, &host)
					if second == "0" {
						rounds[0] = append(rounds[0], host)
					} else {
						rounds[1] = append(rounds[1], host)
					}
				}
				got := strings.Trim(strings.Join(rounds[0], " ")+", "+strings.Join(rounds[1], " "), ", ")
				if !matches(got, c.want) {
					t.Errorf("asked %q, want %q", got, c.want)
				}
			})
		})
	}
}

// matches compares what was asked with a pattern: "[a|b]" is either, a
// trailing "*" means any number of them.
func matches(got, pattern string) bool {
	g, p := strings.Fields(got), strings.Fields(pattern)
	for len(p) > 0 {
		one := strings.TrimSuffix(p[0], "*")
		any := strings.Split(strings.Trim(one, "[]"), "|")
		hit := len(g) > 0 && slices.Contains(any, g[0])
		switch {
		case hit && one != p[0]:
			g = g[1:]
		case hit:
			g, p = g[1:], p[1:]
		case one != p[0]:
			p = p[1:]
		default:
			return false
		}
	}
	return len(g) == 0
}

// TestBackOff: a dead tracker is asked after 5 s, then after twice as long each
// time, never faster, and in the end twice an hour.
func TestBackOff(t *testing.T) {
	for _, says := range []string{"", "d14:failure reason2:noe", "<html>", "silent"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(map[string]string{"a": says})
			during(w.trackers("a"), 24*time.Hour)
			var last, lastGap float64
			for i, line := range w.log() {
				var at float64
				fmt.Sscan(line, &at)
				gap := at - last
				if says == "silent" {
					gap -= AnnounceTime.Seconds()
				}
				least := min(MinBackOff<<min(max(i-1, 0), 20), MaxBackOff).Seconds()
				if i > 0 && (gap < 0.75*least-1 || gap > least+1) {
					t.Errorf("%q: retry %d after %v s, want about %v", says, i, gap, least)
				}
				if !strings.HasSuffix(line, "a started") {
					t.Errorf("%q: %q; `started` has not been told yet", says, line)
				}
				last, lastGap = at, gap
			}
			if n := len(w.log()); n < 50 || n > 80 || lastGap < 0.7*MaxBackOff.Seconds() {
				t.Errorf("%q: asked %d times a day, last after %v s", says, n, lastGap)
			}
		})
	}
}

// TestBackOffEach: a dead tracker beside a live one is not asked more often
// than its back-off and the rounds allow, and is forgiven when it answers.
func TestBackOffEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": "", "b": answers})
		tr := w.trackers("a|b")
		during(tr, 2*time.Hour, func() {
			time.Sleep(time.Minute)
			tr.More()
			time.Sleep(50 * time.Minute)
			w.set("a", answers)
		})
		want(t, w.log(), `
			0 a started
			0 b started
			60 a started
			60 b
			1860 a started
			1860 b
			3660 a started
			5460 a`)
		for _, s := range tr.Status() {
			if s.Error != "" || !s.Retry.IsZero() || s.Peers != 1 {
				t.Errorf("status %+v", s)
			}
		}
	})
}

// TestSilent: a tracker that says nothing holds the next one up for Patience.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": "silent", "b": "8s late " + answers, "c": "7s late " + answers})
		tr := w.trackers("a|b|c")
		during(tr, time.Minute)
		want(t, w.log(), `
			0 a started
			5 b started
			10 c started`)
		w.asked = nil
		tr.Stop(t.Context())
		want(t, w.log(), `60 b stopped`) // c was told no more when b had answered; a never answered
	})
}

// TestAllSilent: a round ends when the last has had its time.
func TestAllSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": "silent", "b": "silent"})
		tr := w.trackers("a|b")
		during(tr, 36*time.Second)
		want(t, w.log(), "0 a started\n5 b started\n35 a started") // a's back-off has passed when b gives up
		for _, s := range tr.Status() {
			if !strings.Contains(s.Error, "no answer in time") || s.Retry.IsZero() {
				t.Errorf("status %+v", s)
			}
		}
	})
}

func TestCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// `completed` waits out a back-off, and is not said where `started` was
		// said with nothing left.
		w := newWorld(map[string]string{"a": ""})
		var left atomic.Int64
		left.Store(9)
		tr := w.trackers("a", func(c *Config) { c.State = func() Announce { return Announce{Left: left.Load()} } })
		during(tr, 2*time.Minute, func() {
			time.Sleep(time.Second)
			left.Store(0)
			tr.Completed()
			tr.Completed()
			w.set("a", answers)
		})
		got := w.log()
		if len(got) != 2 || got[0] != "0 a started" || !strings.HasSuffix(got[1], "a started") {
			t.Errorf("asked %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// It is said again until a tracker has heard it.
		w := newWorld(map[string]string{"a": answers})
		tr := w.trackers("a")
		during(tr, 10*time.Minute, func() {
			time.Sleep(time.Minute)
			w.set("a", "")
			tr.Completed()
			time.Sleep(time.Minute)
			w.set("a", answers)
		})
		got := w.log()
		for _, line := range got[1:] {
			if !strings.HasSuffix(line, "a completed") {
				t.Errorf("asked %q", line)
			}
		}
		if len(got) < 4 || len(got) > 8 {
			t.Errorf("asked %d times: %q", len(got), got)
		}
	})
}

func TestMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": answers, "b": "d8:intervali1800e12:min intervali600e5:peers0:e"})
		a, b := w.trackers("a"), w.trackers("b")
		pester := func(tr *Trackers) func() {
			return func() {
				for range 100 {
					time.Sleep(time.Second)
					tr.More()
				}
			}
		}
		during(a, 10*time.Minute, pester(a))
		want(t, w.log(), "0 a started\n60 a\n120 a")
		w.asked = nil
		during(b, 20*time.Minute, pester(b))
		want(t, w.log(), "600 b started\n1200 b")
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": answers, "b": answers, "c": ""})
		tr := w.trackers("c|a|b")
		during(tr, time.Minute)
		w.set("a", "silent")
		w.asked = nil
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		tr.Stop(ctx)
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("stopped after %v", took)
		}
		want(t, w.log(), "60 a stopped")
		w.asked = nil
		tr.Stop(ctx)
		if len(w.log()) != 0 {
			t.Errorf("stopped twice: %q", w.log())
		}
	})
}

// TestTrackerID: an id is given back to the tracker it is from, and kept until
// there is another.
func TestTrackerID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]string{"a": "d8:intervali60e5:peers0:10:tracker id2:mee"})
		var ids []string
		client := &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			ids = append(ids, req.URL.Query().Get("trackerid"))
			return w.RoundTrip(req)
		})}
		tr := w.trackers("a", func(c *Config) { c.Ways = []Way{{HTTP: HTTP{client}}} })
		during(tr, 130*time.Second, func() {
			time.Sleep(time.Second)
			w.set("a", "d8:intervali60e5:peers0:e")
		})
		if fmt.Sprint(ids) != "[ me me]" {
			t.Errorf("ids given back: %q", ids)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestNewTrackers(t *testing.T) {
	var many []string
	for i := range 100_000 {
		many = append(many, fmt.Sprintf("http://t%d.example/announce", i))
	}
	tr := NewTrackers(Config{Tiers: [][]string{{"wss://u.example/SECRET", "http://x.example/SECRET", "http://x.example/SECRET"}, nil, many}})
	all := tr.Status()
	if len(all) != MaxTrackers {
		t.Errorf("%d trackers kept", len(all))
	}
	if s := fmt.Sprint(all); strings.Contains(s, "SECRET") || !strings.Contains(s, "wss://u.example only http, https and udp") {
		t.Errorf("status: %.200s", s)
	}
	orders := make(map[string]bool)
	for seed := range uint64(20) {
		var order string
		for _, s := range NewTrackers(Config{Tiers: [][]string{{"http://a/", "http://b/", "http://c/"}, {"http://d/"}}, Seed: seed}).Status() {
			order += strings.TrimPrefix(s.Tracker, "http://")
		}
		if !strings.HasSuffix(order, "d") {
			t.Errorf("the tiers were mixed: %s", order)
		}
		orders[order] = true
	}
	if len(orders) < 4 {
		t.Errorf("20 seeds give the orders %v", orders)
	}
}

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		w := newWorld(map[string]string{"a": "d8:intervali60e5:peers0:15:warning message2:hie"})
		tr := w.trackers("a", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&b, nil)) })
		during(tr, 2*time.Hour, func() {
			time.Sleep(time.Hour)
			w.set("a", "d14:failure reason5:\x1b[31me")
		})
		if got := b.String(); strings.Count(got, "warns: hi") != 1 || strings.Count(got, "says: [31m") != 1 || strings.Count(got, "\n") != 2 {
			t.Errorf("log of a warning and of a failure, each many times:\n%s", got)
		}
	})
}

func TestBackOffBounds(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		top := min(MinBackOff<<min(n, 20), MaxBackOff)
		for range 50 {
			if d := backOff(n, chance); d > top || d < top*3/4 {
				t.Fatalf("after %d failures: %v, want %v less a quarter at most", n, d, top)
			}
		}
	}
}

// TestWays: a tracker is asked over both families; it has failed when both
// have, and one that is slow does not hold up the peers of the other.
func TestWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		four := newWorld(map[string]string{"a": "", "b": answers, "c": ""})
		six := newWorld(map[string]string{"a": "", "b": "3s late d8:intervali1800e5:peers0:6:peers618:0123456789abcdef\x1a\xe1e", "c": "silent"})
		var peers []string
		ways := []Way{{HTTP: HTTP{&http.Client{Transport: four}}}, {HTTP: HTTP{&http.Client{Transport: six}}}}
		more := []func(*Config){
			func(c *Config) { c.Ways = ways },
			func(c *Config) {
				c.Peers = func(ps []netip.AddrPort) {
					peers = append(peers, fmt.Sprintf("%.0f %d", time.Since(four.begin).Seconds(), len(ps)))
				}
			},
		}
		tr := four.trackers("a|b|c", more...)
		during(tr, time.Minute)
		tr.Stop(t.Context())
		want(t, four.log(), "0 a started\n0 b started\n60 b stopped")
		want(t, six.log(), "0 a started\n0 b started\n60 b stopped")
		want(t, peers, "0 1\n3 1")
		if s := tr.Status()[1]; s.Peers != 2 || s.Error != "" {
			t.Errorf("status: %+v", s)
		}
		if s := tr.Status()[0]; !strings.Contains(s.Error, "connection refused") {
			t.Errorf("status: %+v", s)
		}
		// One way of two that fails is no failure of the tracker's.
		four.begin, four.asked, peers = time.Now(), nil, nil
		six.set("b", "")
		tr = four.trackers("b", more...)
		during(tr, 59*time.Minute)
		want(t, four.log(), "0 b started\n1800 b")
		if s := tr.Status()[0]; s.Error != "" {
			t.Errorf("status: %+v", s)
		}
	})
}

// TestNoWay: of the errors of two ways, the one that says something is told.
func TestNoWay(t *testing.T) {
	real := errors.New("real")
	for _, nothing := range []error{&net.AddrError{}, &net.DNSError{IsNotFound: true}, syscall.ENETUNREACH, nil} {
		if err := telling(nothing, real); err != real {
			t.Errorf("%v hides the error", nothing)
		}
	}
	if err := telling(real, errors.New("other")); err != real {
		t.Error(err)
	}
	if _, err := (Way{}).announce(t.Context(), udpURL, Announce{}); !errors.Is(err, ErrNoUDP) {
		t.Error(err)
	}
}
