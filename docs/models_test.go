// Package docs holds the tests that keep the documents true: the models of the
// flow of messages and of the memory of blocks are checked by Spin.
package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A check of one model takes a second or two; one that takes this long is
// stuck.
const patience = time.Minute

// What a search of all states of a model comes to.
const (
	holds      = "holds"
	assertion  = "assertion violated" // a rule is broken
	deadlock   = "invalid end state"  // everybody waits for somebody
	starvation = "acceptance cycle"   // some go on for ever and one never gets anywhere
)

// verdicts are the models and what is expected of each variant: the house's own
// must hold, and each broken one must be caught, or the model would not see the
// rule at all.
var verdicts = []struct {
	model, name, defines string
	safety, liveness     string // liveness "": not searched
}{
	{"flow", "one lane, no slots", "VARIANT=0 K=1 ASKS=2 SAYS=2", deadlock, ""},
	{"flow", "one lane, no slots, longer", "VARIANT=0 K=2 ASKS=3 SAYS=3", deadlock, ""},
	{"flow", "the house", "VARIANT=1 K=1 ASKS=2 SAYS=2", holds, holds},
	{"flow", "the house, two slots", "VARIANT=1 K=2 INBOX=1 ASKS=2 SAYS=2", holds, holds},
	{"flow", "the house, a fault", "VARIANT=1 K=1 FAULTS=1", holds, ""},
	{"flow", "the house, a fault, an inbox", "VARIANT=1 K=1 FAULTS=1 INBOX=1", holds, ""},
	{"flow", "slot back when taken off the lane", "VARIANT=2 K=1 ASKS=2 SAYS=2", assertion, ""},
	{"flow", "disconnect loses slots", "VARIANT=3 K=1 FAULTS=1", deadlock, ""},
	{"flow", "reader without a stop branch", "VARIANT=4 K=1 FAULTS=1 ASKS=2", deadlock, ""},
	{"flow", "writer without a stop branch", "VARIANT=5 K=1 FAULTS=1 ASKS=2", deadlock, ""},
	{"flow", "lane emptied before it is closed", "VARIANT=6 K=1 FAULTS=1", assertion, ""},
	{"flow", "failed load not delivered", "VARIANT=7 K=1 FAULTS=1", deadlock, ""},
	{"flow", "sent without a slot", "VARIANT=8 K=1 ASKS=2 SAYS=2", assertion, ""},

	{"mem", "no leases", "VARIANT=0", deadlock, ""},
	{"mem", "the house", "VARIANT=1", holds, holds},
	{"mem", "the house, a piece longer than the memory", "VARIANT=1 BIG=1", holds, holds},
	{"mem", "waiters hold references", "VARIANT=2", deadlock, ""},
	{"mem", "no revoke", "VARIANT=3", deadlock, ""},
	{"mem", "no spill", "VARIANT=4 BIG=1", deadlock, ""},
	{"mem", "what is expected is never dropped", "VARIANT=5", deadlock, ""},
	{"mem", "nothing is dropped unwritten", "VARIANT=6", deadlock, ""},
	{"mem", "the revoked keep their place", "VARIANT=7", holds, starvation},
}

func TestModels(t *testing.T) {
	if testing.Short() {
		t.Skip("Spin's work is the same each time")
	}
	for _, program := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: apt-get install spin gcc libc6-dev", program)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		t.Run(v.model+"/"+v.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := []string{"-a", filepath.Join(here, v.model+".pml")}
			for d := range strings.FieldsSeq(v.defines) {
				args = append([]string{"-D" + d}, args...)
			}
			if out := run(t, dir, "spin", args...); !exists(dir, "pan.c") {
				t.Fatalf("spin: %s", out)
			}
			if got := search(t, dir, "-DSAFETY", "-DNOCLAIM"); got != v.safety {
				t.Errorf("safety: %s, want: %s", got, v.safety)
			}
			if v.liveness == "" {
				return
			}
			// Partial order reduction is not sound with both fairness and
			// channels without a buffer.
			if got := search(t, dir, "-DNOREDUCE", "-DNFAIR=4"); got != v.liveness {
				t.Errorf("liveness: %s, want: %s", got, v.liveness)
			}
		})
	}
}

// outcome is the line of a search that says what it found.
var outcome = regexp.MustCompile(`pan:1: (assertion violated|invalid end state|acceptance cycle)`)

// search compiles the verifier with flags, runs it over all states, and gives
// its verdict.
func search(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	args := append(flags, "-O1", "-w", "-o", "pan", "pan.c")
	if out := run(t, dir, "gcc", args...); !exists(dir, "pan") {
		t.Fatalf("gcc: %s", out)
	}
	depth := []string{"-m200000"}
	if flags[0] != "-DSAFETY" {
		depth = append(depth, "-a", "-f")
	}
	out := run(t, dir, filepath.Join(dir, "pan"), depth...)
	os.Remove(filepath.Join(dir, "pan"))
	switch m := outcome.FindStringSubmatch(out); {
	case m != nil:
		return m[1]
	case strings.Contains(out, "errors: 0") && !strings.Contains(out, "max search depth too small") && !strings.Contains(out, "Search not completed"):
		return holds
	}
	t.Fatalf("the search says neither yes nor no:\n%s", out)
	return ""
}

// run runs a program to its end. Its exit code is not looked at: the verifier's
// says nothing, and the others are judged by what they made.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = dir
	out, _ := c.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %v does not end", program, args)
	}
	return string(out)
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
