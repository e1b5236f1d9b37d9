package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"time"

	"bipfs/integration/lab/swarm"
)

// scenario is some rows of the table.
type scenario struct {
	name, about string
	kinds       []kind // of the systems that can do it
	alone       bool   // no row needs a peer
	hidden      bool   // it runs only when it is asked for
	run         func(ctx context.Context, l *lab, s system) (figures, error)
	rows        func(by map[string]figures) []row
}

// scenarios are in the order of the table.
var scenarios = []scenario{
	catNear(1), catNear(4), catFar,
	firstFar, firstNear, magnetFar,
	randomReads, player, readers,
	rereadPassing, rereadMemory,
	copyFar, trees(20_000), trees(100_000),
	fetching, smoke,
}

// runTime is how long one run of one system may take.
const runTime = 5 * time.Minute

// measure runs a scenario, all systems in turns, and is its rows, if bipfs was one
// of them. Of a run that is broken off there is none.
func (l *lab) measure(ctx context.Context, s scenario, systems []system, runs int) (verdicts []*verdict) {
	if len(systems) == 0 {
		fmt.Fprintf(os.Stderr, "lab: %s: none of these systems can do it\n", s.name)
	}
	for i := range runs {
		by := make(map[string]figures)
		for _, one := range systems {
			f, err := l.once(ctx, s, one)
			if ctx.Err() != nil {
				return verdicts
			}
			by[one.name] = f
			for _, g := range f {
				fmt.Fprintf(l.out, "figure\t%s\t%d\t%s\t%s\t%.6g\t%s\n", s.name, i, one.name, g.what, g.value, g.unit)
			}
			said := f.String()
			if err != nil {
				said = "failed: " + err.Error()
				fmt.Fprintf(l.out, "failed\t%s\t%d\t%s\t%q\n", s.name, i, one.name, err)
			}
			fmt.Fprintf(os.Stderr, "lab: %s, run %d, %s: %s\n", s.name, i+1, one.name, said)
		}
		_, ours := by["bipfs"]
		if _, fetched := by["fetch"]; !ours && !fetched {
			continue
		}
		for n, r := range s.rows(by) {
			if n == len(verdicts) {
				verdicts = append(verdicts, &verdict{scenario: s.name})
			}
			verdicts[n].add(r)
		}
	}
	return verdicts
}

// once is one run of one system.
func (l *lab) once(ctx context.Context, s scenario, one system) (figures, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, errors.New("it takes too long"))
	defer cancel()
	return s.run(ctx, l, one)
}

func newCommand(argv ...string) *exec.Cmd { return exec.Command(argv[0], argv[1:]...) }

// Lengths in bytes; a seeder's rate is in MB.
const (
	kib = 1 << 10
	mib = 1 << 20
	mb  = 1_000_000
)

// far is a round trip of 50 ms.
const far = 25 * time.Millisecond

// good are n seeders that do what they can.
func good(n int, rate int64, delay time.Duration) (all []swarm.Manner) {
	for range n {
		all = append(all, swarm.Manner{Rate: rate, Delay: delay})
	}
	return all
}

// spent adds what a session has cost: memory, processor, and what the swarm sent
// for the bytes that were wanted. Where those are not known (wanted 0) only what
// came twice, and from seeders that lie, was in vain.
func (n *session) spent(f *figures, wanted int64, liars ...int) error {
	all, err := n.sent()
	if err != nil {
		return err
	}
	t := total(all)
	f.add("peak memory", float64(n.client.memory())/mib, "MiB")
	f.add("processor", n.client.cpu().Seconds(), "s")
	f.add("sent", float64(t.Bytes)/mb, "MB")
	vain := t.Bytes - wanted
	if wanted == 0 {
		vain = t.Twice
		for _, i := range liars {
			vain += all[i].Bytes - all[i].Twice
		}
		wanted = max(t.Bytes-vain, 1)
	}
	f.add("waste", float64(vain)/float64(wanted)*100, "%")
	return nil
}

// none is a limit or reach that is not there.
var none = math.NaN()

// wasteRow is the row of what was sent in vain.
func wasteRow(f figures, most float64) row {
	return row{what: "waste", value: f.of("waste"), unit: "%", beside: "", limit: none,
		atMost: true, reach: most, rule: fmt.Sprintf("≤ %g %%", most)}
}

// memoryMiB is --memory in MiB.
const memoryMiB = 256

// memoryRow holds the peak against --memory.
func memoryRow(f figures) row {
	return row{what: "peak memory", value: f.of("peak memory"), unit: "MiB", beside: "MiB --memory", limit: memoryMiB,
		atMost: true, reach: memoryMiB + 64, rule: "≤ --memory + 64 MiB"}
}

// gapRow holds the longest gap against 0.3 s.
func gapRow(f figures) row {
	return row{what: "longest gap", value: f.of("longest gap"), unit: "s", limit: none, atMost: true, reach: 0.3, rule: "≤ 0.3 s"}
}
