package ledger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bipfs/wire"
)

// TestScripts runs the transcripts in testdata. A line is a call; lines that
// begin with "<" are the orders that must come then, in order; "=" is a sum.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runScript(t, string(text))
		})
	}
}

type script struct {
	t      *testing.T
	l      *Ledger
	now    time.Duration
	orders []string
}

func runScript(t *testing.T, text string) {
	s := &script{t: t}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if want, ok := strings.CutPrefix(line, "< "); ok {
			if len(s.orders) == 0 || s.orders[0] != want {
				t.Fatalf("line %d: want %q, have %q", i+1, want, s.orders)
			}
			s.orders = s.orders[1:]
			continue
		}
		if len(s.orders) > 0 {
			t.Fatalf("line %d: orders before it: %q", i+1, s.orders)
		}
		if got := s.call(strings.Fields(line)); got != "" {
			t.Fatalf("line %d: %s: %s", i+1, line, got)
		}
	}
	if len(s.orders) > 0 {
		t.Fatalf("orders at the end: %q", s.orders)
	}
}

// call runs one line and says what is wrong.
func (s *script) call(f []string) string {
	arg := func(i int) int {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	seconds := func(i int) time.Duration { return time.Duration(arg(i)) * time.Second }
	switch f[0] {
	case "new":
		s.l = New(Config{Blocks: arg(1), Spares: arg(2), Reads: arg(3)})
	case "join":
		s.l.Join(arg(1))
	case "open": // torrent piece blocks deadline
		s.l.Open(Torrent(arg(1)), wire.Piece(arg(2)), arg(3), seconds(4))
	case "reprioritise":
		s.l.Reprioritise(wire.Lease(arg(1)), seconds(2))
	case "close": // lease; and frees what it had
		if s.l.Close(wire.Lease(arg(1))) > 0 {
			s.l.Freed(wire.Lease(arg(1)))
		}
	case "keep": // lease blocks
		s.l.Keep(wire.Lease(arg(1)), arg(2))
	case "freed":
		s.l.Freed(wire.Lease(arg(1)))
	case "stored":
		s.l.Stored(wire.Lease(arg(1)), arg(2), s.now)
	case "verified":
		s.l.Verified(wire.Lease(arg(1)))
	case "clean":
		s.l.Clean(arg(1))
	case "released":
		s.l.Released(arg(1))
	case "load":
		s.l.Load(arg(1))
	case "loaded":
		s.l.Loaded(arg(1))
	case "pause":
		s.l.Pause(f[1] == "on")
	case "at":
		s.now = seconds(1)
	case "=shortage", "=soft", "=hard", "=free":
		soft, hard := s.l.Excess()
		have := map[string]int{
			"=shortage": s.l.Shortage(), "=soft": soft, "=hard": hard, "=free": s.l.counts.Free,
		}
		if have[f[0]] != arg(1) {
			return fmt.Sprint("have ", have[f[0]])
		}
		return ""
	default:
		s.t.Fatalf("no such call: %v", f)
	}
	for _, o := range s.l.Ready(s.now) {
		s.orders = append(s.orders, o.String())
	}
	if err := s.l.Check(); err != nil {
		return err.Error()
	}
	return ""
}

// TestRandom checks that after every step of many random lives the sums are
// right, and that when everybody behaves in the end, everybody is served.
func TestRandom(t *testing.T) {
	for seed := range uint64(300) {
		randomLife(t, seed)
	}
}

type life struct {
	r        *rand.Rand
	l        *Ledger
	now      time.Duration
	torrents []Torrent
	queued   []wire.Lease
	open     []Order
	loading  []Order
	dirty    int
	held     int
}

func randomLife(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	v := &life{r: r, l: New(Config{Blocks: 20 + r.IntN(200), Spares: r.IntN(10), Reads: 1 + r.IntN(9)})}
	for range 1 + r.IntN(4) {
		v.torrents = append(v.torrents, v.l.Join(1+r.IntN(60)))
	}
	for step := range 400 {
		v.step(r.IntN(10))
		v.settle()
		if err := v.l.Check(); err != nil {
			t.Fatalf("seed %d step %d: %v", seed, step, err)
		}
		if at, ok := v.l.Next(); ok && at <= v.now {
			t.Fatalf("seed %d step %d: Next is %v at %v: who goes by it never moves on", seed, step, at, v.now)
		}
	}
	for range 10_000 { // everybody finishes what was begun
		if len(v.queued)+len(v.open)+len(v.loading)+v.dirty+v.held == 0 {
			break
		}
		v.step(2 + r.IntN(6))
		v.settle()
	}
	c := v.l.Counts()
	if len(v.queued) > 0 || c.Free != v.l.rest {
		t.Fatalf("seed %d: stuck with %d queued, %+v", seed, len(v.queued), c)
	}
}

// step does one random thing; things from 2 to 7 bring what is under way to
// its end.
func (v *life) step(thing int) {
	v.now += time.Duration(v.r.IntN(300)) * time.Millisecond
	switch thing {
	case 0, 1, 8:
		to := v.torrents[v.r.IntN(len(v.torrents))]
		at := v.now + time.Duration(v.r.IntN(10))*time.Second
		v.queued = append(v.queued, v.l.Open(to, wire.Piece(v.r.IntN(99)), 1+v.r.IntN(60), at))
	case 9:
		v.l.Load(1 + v.r.IntN(9))
	case 2, 3:
		if len(v.open) > 0 {
			v.end(v.r.IntN(len(v.open)))
		}
	case 4:
		if v.dirty > 0 {
			n := 1 + v.r.IntN(v.dirty)
			v.l.Clean(n)
			v.dirty, v.held = v.dirty-n, v.held+n
		}
	case 5:
		if len(v.loading) > 0 {
			v.l.Loaded(v.loading[0].N)
			v.held += v.loading[0].N
			v.loading = v.loading[1:]
		}
	case 6:
		n := max(v.l.Shortage(), min(1, v.held))
		v.l.Released(n)
		v.held -= n
	case 7:
		for _, o := range v.open {
			v.l.Stored(o.Lease, 1, v.now)
		}
	}
}

// end verifies or closes an open lease.
func (v *life) end(i int) {
	o := v.open[i]
	v.open = append(v.open[:i], v.open[i+1:]...)
	if v.r.IntN(3) == 0 {
		kept := v.r.IntN(o.N + 1)
		v.l.Keep(o.Lease, kept)
		v.held += kept
		if v.l.Close(o.Lease) > 0 {
			v.l.Freed(o.Lease)
		}
		return
	}
	if v.l.Verified(o.Lease) {
		v.dirty += o.N
	}
}

func (v *life) settle() {
	for v.obey() {
	}
}

// obey carries out what the ledger orders, if anything.
func (v *life) obey() bool {
	orders := v.l.Ready(v.now)
	for _, o := range orders {
		switch o.Kind {
		case Grant:
			v.queued = without(v.queued, o.Lease)
			v.open = append(v.open, o)
		case Revoke:
			for i := range v.open {
				if v.open[i].Lease == o.Lease {
					v.open = append(v.open[:i], v.open[i+1:]...)
					break
				}
			}
			v.l.Freed(o.Lease)
		case Admit:
			v.loading = append(v.loading, o)
		}
	}
	return len(orders) > 0
}

func without(s []wire.Lease, n wire.Lease) []wire.Lease {
	for i := range s {
		if s[i] == n {
			return append(s[:i], s[i+1:]...)
		}
	}
	panic("granted what nobody asked for")
}

// TestReplay: the same calls give the same orders.
func TestReplay(t *testing.T) {
	run := func() string {
		var b strings.Builder
		r := rand.New(rand.NewPCG(7, 7))
		v := &life{r: r, l: New(Config{Blocks: 100, Spares: 4, Reads: 8})}
		v.torrents = []Torrent{v.l.Join(30), v.l.Join(9)}
		for range 2000 {
			v.step(r.IntN(10))
			v.settle()
			fmt.Fprintln(&b, v.l.orders, v.l.Counts(), len(v.queued))
		}
		return b.String()
	}
	if first, second := run(), run(); first != second {
		t.Fatal("two runs differ")
	}
}

func BenchmarkOpenGrantVerify(b *testing.B) {
	l := New(Config{Blocks: 16384, Spares: 200, Reads: 2048})
	t := l.Join(64)
	for i := range b.N {
		n := l.Open(t, wire.Piece(i), 64, time.Duration(i))
		l.Ready(0)
		l.Stored(n, 64, 0)
		l.Verified(n)
		l.Clean(64)
		l.Released(64)
	}
}
