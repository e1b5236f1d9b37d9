package selection

import (
	"os"
	"strings"
	"testing"
)

// What is due no more than leastGain later is not overtaken.
func TestOvertakeEdge(t *testing.T) {
	script, err := os.ReadFile("testdata/overtake.txt")
	if err != nil {
		t.Fatal(err)
	}
	const later, urgent = "want 3 1:0+1 deadline=10s", "want 2 14:0+1 deadline=420ms"
	if s := string(script); !strings.Contains(s, later) || !strings.Contains(s, urgent) {
		t.Fatal("the script is another one")
	}
	for deadline, want := range map[string]int{"470ms": 0, "470.001ms": 5} {
		text := strings.ReplaceAll(string(script), later, "want 3 1:0+1 deadline="+deadline)
		text, _, _ = strings.Cut(text, "received 1 reject")
		if got := strings.Count(runScript(text, asIs, issue), "send 1 cancel"); got != want {
			t.Errorf("due at 420ms and at %s: %d requests taken back, want %d", deadline, got, want)
		}
	}
}
