package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRun: scripts of reads, and how far ahead is fetched after each. A line is
// `read OFF N`, in KiB, `wait MS` of the reader's own time, `slow MS` of waiting
// for us, or `halve`; what follows `->` is the window in KiB.
func TestRun(t *testing.T) {
	const most = 64 << 20
	for name, l := range map[string]struct {
		class  func(r *run) class
		script string
	}{
		"the head of a file": {nil, `
			read 0 128 -> 0
			read 128 256 -> 0
			read 384 512 -> 0`},
		"on in order, the kernel doubles its requests": {nil, `
			read 0 128 -> 0
			read 128 256 -> 0
			read 384 512 -> 0
			read 896 1024 -> 0
			read 1920 1024 -> 896
			read 2944 1024 -> 1920
			read 3968 1024 -> 8192
			read 4992 1024 -> 8192`},
		"on in order, the kernel asks for 128 KiB": {nil, `
			read 0 64 -> 0
			read 64 128 -> 0
			read 192 128 -> 64
			read 320 128 -> 192
			read 448 128 -> 320`},
		"out of order": {nil, `
			read 0 1024 -> 0
			read 2048 1024 -> 0
			read 1024 1024 -> 0
			read 4096 1024 -> 1024
			read 3072 1024 -> 1024
			read 5120 1024 -> 8192`},
		"doubled when used up": {nil, `
			read 0 61440 -> 8192
			read 61440 8191 -> 8192
			read 69631 1 -> 16384
			read 69632 65536 -> 32768
			read 135168 65536 -> 32768`},
		"to a quarter of what was read": {nil, `
			read 0 32768 -> 8192
			read 32768 8192 -> 10240
			read 40960 10239 -> 10240
			read 51199 1 -> 12800
			read 51200 51200 -> 25600`},
		"halved, then read on": {nil, `
			read 0 65536 -> 8192
			read 65536 8192 -> 16384
			halve
			read 73728 1 -> 8192
			read 73729 8191 -> 16384`},
		"what waits for us does not count": {nil, `
			read 0 65536 -> 8192
			slow 20000
			read 65536 8192 -> 16384
			slow 20000
			read 73728 16384 -> 22528`},
		"at random":      {func(r *run) class { return r.class(1, false, mostJumps) }, "read 500 64 -> 0\nread 564 64 -> 0\nread 628 64 -> 0"},
		"after one jump": {func(r *run) class { return r.class(1, false, mostJumps-1) }, "read 500 64 -> 0\nread 564 64 -> 0\nread 628 64 -> 64"},
		"at random, and then on": {func(r *run) class { return r.class(1, false, mostJumps) }, `
			read 500 1024 -> 0
			read 1524 1024 -> 0
			read 2548 1024 -> 0
			read 3572 1024 -> 8192`},
		"a scanner": {func(r *run) class { return r.class(1, true, 0) }, `
			read 0 1024 -> 0
			read 1024 8192 -> 0
			read 9216 7167 -> 0
			read 16383 1 -> 8192`},
		"file after file": {func(r *run) class { return r.class(2, false, 0) }, "read 0 10 -> 1024\nread 10 10 -> 1024\nread 20 4096 -> 8192"},
	} {
		t.Run(name, func(t *testing.T) {
			var r run
			now := time.Hour
			of := l.class
			if of == nil {
				of = func(r *run) class { return r.class(1, false, 0) }
			}
			for line := range strings.Lines(strings.TrimSpace(l.script)) {
				line = strings.TrimSpace(line)
				var off, n, want int64
				switch {
				case scan(line, "read %d %d -> %d", &off, &n, &want):
					r.begin(now)
					r.move(off<<10, n<<10)
					if got := r.look(of(&r), most, 256<<10); got>>10 != want {
						t.Fatalf("%s: the window is %d", line, got>>10)
					}
					r.end(now)
				case scan(line, "wait %d", &n):
					now += time.Duration(n) * time.Millisecond
				case scan(line, "slow %d", &n):
					r.begin(now)
					now += time.Duration(n) * time.Millisecond
					r.end(now)
				case line == "halve":
					r.halve()
				default:
					t.Fatal(line)
				}
			}
		})
	}
}

func scan(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

// TestWindowOfPace: a window is 30 s of what its reader consumes, and 8 MiB at
// least.
func TestWindowOfPace(t *testing.T) {
	for pace, want := range map[int64]int64{0: 16 << 20, 1 << 10: leastWindow, 400 << 10: 30 * 400 << 10, 1 << 20: 16 << 20} {
		r := run{pos: 1 << 30, length: 1 << 30, used: 10 * pace, rested: 10 * time.Second}
		if pace == 0 {
			r.rested = leastPaceTime - 1
		}
		r.widen(16 << 20)
		if got := r.look(sequential, 64<<20, 1<<20); got != want {
			t.Errorf("at %d bytes a second the window is %d, not %d", pace, got, want)
		}
	}
}

// TestPace counts a reader's own time: a pause for no more than longestRest, and
// what was long ago for less.
func TestPace(t *testing.T) {
	var r run
	now, rate := time.Hour, int64(1<<20)
	read := func(own, ours time.Duration) {
		now += own
		r.begin(now)
		r.move(r.pos, int64(min(own, longestRest).Seconds()*float64(rate)))
		now += ours
		r.end(now)
	}
	if read(time.Second, 0); r.pace() != 0 {
		t.Errorf("after one read its pace is %d", r.pace())
	}
	r.used = 0
	for range 8 {
		read(time.Second, 10*time.Second)
	}
	if r.pace() != rate {
		t.Errorf("its pace is %d, not %d", r.pace(), rate)
	}
	if read(time.Hour, 0); r.pace() != rate {
		t.Errorf("after a pause its pace is %d, not %d", r.pace(), rate)
	}
	rate /= 4
	for range 60 {
		read(time.Second, 0)
	}
	if r.pace() > rate*5/4 {
		t.Errorf("now that it reads at %d its pace is %d", rate, r.pace())
	}
}

// TestHeir: a new place begins with what it inherits.
func TestHeir(t *testing.T) {
	r := run{pos: 1 << 30, sought: true}
	r.widen(4 << 20)
	for i, want := range []int64{4 << 20, 4 << 20} {
		r.begin(time.Second)
		r.move(r.pos, 64<<10)
		if got := r.look(r.class(1, false, 0), 64<<20, 1<<20); got != want {
			t.Errorf("read %d: the window is %d, not %d", i, got, want)
		}
		r.end(time.Second)
	}
	if got := r.look(r.class(1, false, mostJumps), 64<<20, 1<<20); got != 0 {
		t.Errorf("at random the window is %d", got)
	}
}

func TestShare(t *testing.T) {
	for _, l := range []struct {
		memory  int64
		readers int
		want    int64
	}{
		{256 << 20, 0, 32 << 20}, {256 << 20, 1, 32 << 20}, {256 << 20, 2, 32 << 20}, {256 << 20, 4, 16 << 20},
		{256 << 20, 8, 8 << 20}, {256 << 20, 64, 1 << 20}, {256 << 20, 10000, 1 << 20},
		{LeastMemory, 1, 2 << 20}, {LeastMemory, 2, 2 << 20}, {LeastMemory, 4, 1 << 20}, {LeastMemory, 100, 1 << 20},
		{64 << 30, 1, longestReadAhead},
	} {
		if got := share(l.memory, l.readers); got != l.want {
			t.Errorf("%d readers of %d MiB: %d, not %d", l.readers, l.memory>>20, got, l.want)
		}
	}
}

// TestPaceOfDeadlines: who reads slowly needs far bytes later, within bounds; so
// does who is held up.
func TestPaceOfDeadlines(t *testing.T) {
	for _, l := range []struct {
		pace, each int64
		want       time.Duration
	}{
		{0, fastest, time.Second}, {64 << 20, fastest, time.Second}, {16 << 20, fastest, time.Second}, {8 << 20, fastest, 2 * time.Second},
		{1 << 20, fastest, 16 * time.Second}, {1 << 10, fastest, 64 * time.Second}, {0, 0, 64 * time.Second}, {0, 2 << 20, 8 * time.Second},
		{1 << 20, 2 << 20, 16 * time.Second}, {4 << 20, 2 << 20, 8 * time.Second}, {0, 1 << 30, time.Second},
	} {
		r := run{used: 10 * l.pace, rested: 10 * time.Second}
		if l.pace == 0 {
			r = run{}
		}
		if got := r.due(16<<20, l.each); got != l.want {
			t.Errorf("at %d bytes a second, of readers at %d, 16 MiB are due in %v, not %v", l.pace, l.each, got, l.want)
		}
	}
}

func TestProgress(t *testing.T) {
	var p progress
	for _, l := range []struct {
		at, n, each int64 // ms, bytes, of two readers
	}{
		{1000, 500, 250}, {1500, 1000, 250}, {2000, 500, 500}, {3000, 0, 250}, {20000, 1000, fastest / 2}, {21000, 3000, 2000},
	} {
		p.add(l.n, time.Duration(l.at)*time.Millisecond)
		if got := p.each(2); got != l.each {
			t.Errorf("at %d ms: %d, not %d", l.at, got, l.each)
		}
	}
}
