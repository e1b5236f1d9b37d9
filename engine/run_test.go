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
			read 0 4096 -> 8192
			read 4096 8191 -> 8192
			read 12287 1 -> 16384
			read 12288 16384 -> 32768
			read 28672 32768 -> 32768`},
		"halved, then read on": {nil, `
			read 0 4096 -> 8192
			read 4096 8192 -> 16384
			halve
			read 12288 1 -> 8192
			read 12289 8191 -> 16384`},
		"30 s of what is consumed": {nil, `
			read 0 4096 -> 8192
			wait 4000
			read 4096 4096 -> 8192
			wait 4000
			read 8192 4096 -> 16384
			wait 4000
			read 12288 16384 -> 32768`},
		"no more than that": {nil, `
			read 0 4096 -> 8192
			wait 4000
			read 4096 1024 -> 8192
			wait 4000
			read 5120 1024 -> 8192
			wait 4000
			read 6144 1024 -> 8192
			wait 4000
			read 7168 5120 -> 16384
			wait 4000
			read 12288 64 -> 16384
			wait 4000
			read 12352 64 -> 15600
			wait 4000
			read 12416 64 -> 11820
			wait 4000
			read 12480 64 -> 9551`},
		"what waits for us does not count": {nil, `
			read 0 4096 -> 8192
			slow 20000
			read 4096 4096 -> 8192
			slow 20000
			read 8192 4096 -> 16384`},
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

// TestPaceOfDeadlines: who reads slowly needs far bytes later, within bounds.
func TestPaceOfDeadlines(t *testing.T) {
	for pace, want := range map[int64]time.Duration{0: time.Second, 64 << 20: time.Second, 16 << 20: time.Second, 8 << 20: 2 * time.Second,
		1 << 20: 16 * time.Second, 1 << 10: 16 * time.Second} {
		r := run{used: 10 * pace, rested: 10 * time.Second}
		if got := r.due(16 << 20); got != want {
			t.Errorf("at %d bytes a second 16 MiB are due in %v, not %v", pace, got, want)
		}
	}
}
