package replay

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	oneSeed = flag.Int64("seed", -1, "run this seed only")
	seeds   = flag.Int("seeds", 1000, "run so many seeds")
	tracing = flag.String("trace", "", "write the events and commands of -seed to this file")
)

// TestSwarms: whatever happens, no honest peer is dropped, room and slots are
// kept to, every reader gets its pieces once the faults stop, and at the end
// nothing is left behind.
func TestSwarms(t *testing.T) {
	if *oneSeed >= 0 {
		var trace func(string)
		if *tracing != "" {
			f, err := os.Create(*tracing)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			trace = func(s string) { fmt.Fprintln(f, s) }
		}
		w := newWorld(uint64(*oneSeed), plant{}, trace)
		err := w.run()
		t.Logf("%d events, %d pieces read, %d blocks served, %d lies, %d blocks wasted, until %v",
			w.events, w.read, w.served, w.lies, w.wasted, w.now)
		for i, h := range w.hosts {
			t.Logf("host %d: %v", i, h)
		}
		if err != nil {
			t.Fatalf("seed %d: %v", *oneSeed, err)
		}
		return
	}
	events, read, served, lies, banned := 0, 0, 0, 0, 0
	for seed := range fewer(*seeds) {
		w := newWorld(uint64(seed), plant{}, nil)
		if err := w.run(); err != nil {
			t.Errorf("seed %d: %v (replay it with -args -seed %d -trace FILE)", seed, err, seed)
			if t.Failed() && testing.Short() {
				return
			}
		}
		events, read, served, lies = events+w.events, read+w.read, served+w.served, lies+w.lies
		banned += w.machine.Counters().Banned
	}
	t.Logf("%d events, %d pieces read, %d blocks served, %d lies, %d banned", events, read, served, lies, banned)
}

// fewer is a tenth of the seeds in a short run. What runs is one goroutine, with
// which neither the race detector nor a lone processor finds what all seeds do not;
// those are in the plain run.
func fewer(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}

// TestSameSeedSameTrace: a seed is a replay, byte for byte.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(20) {
		run := func() [32]byte {
			sum := sha256.New()
			w := newWorld(seed, plant{}, func(s string) { fmt.Fprintln(sum, s) })
			if err := w.run(); err != nil {
				t.Fatal(err)
			}
			return [32]byte(sum.Sum(nil))
		}
		if first, second := run(), run(); first != second {
			t.Errorf("seed %d went two ways", seed)
		}
	}
}
