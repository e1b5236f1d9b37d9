package selection

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what happened into the scripts; commit it only if you know why")

// A script is a story: lines of events in, each followed by the commands that
// came out, indented. Lines may be
//
//	# a comment
//	config no-upload          before the first event
//	+500ms                    time passes
//	granted 0 lease=1 room=4  an event, as in a trace
//	stored 1 0:0+16384..0:49152+16384 lease=1    one event for each block
//	next?                     prints when the machine wants to be woken
//	status?                   prints what it knows of each peer
//	demand?                   prints what it could spend
//
// Time that Next asks for passes only by scripts' own words, so that they show
// what happens if a Wake is late.
func runScript(text string, alter func(Event) []Event, cut func(Command) []Command) string {
	var out strings.Builder
	var m *Machine
	config := Config{Seed: 1, Upload: true}
	now := time.Duration(0)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		s := lines.Text()
		if strings.HasPrefix(s, "  ") {
			continue // the outcome of another run
		}
		fmt.Fprintln(&out, s)
		s = strings.TrimSpace(s)
		switch {
		case s == "" || s[0] == '#':
			continue
		case s == "config no-upload":
			config.Upload = false
			continue
		case s[0] == '+':
			d, err := time.ParseDuration(s[1:])
			if err != nil {
				return fmt.Sprintf("%s: %v", s, err)
			}
			now += d
			continue
		}
		if m == nil {
			m = New(config)
		}
		if ask(&out, m, s) {
			continue
		}
		for _, one := range spread(s) {
			e, err := ParseEvent(one)
			if err != nil {
				return fmt.Sprintf("%s: %v", s, err)
			}
			for _, e := range alter(e) {
				m.Step(now, e)
			}
		}
		for _, c := range m.Ready() {
			for _, c := range cut(c) {
				fmt.Fprintf(&out, "  %v\n", c)
			}
		}
	}
	return out.String()
}

// ask answers the questions of a script.
func ask(out *strings.Builder, m *Machine, s string) bool {
	switch s {
	case "next?":
		if at, ok := m.Next(); ok {
			fmt.Fprintf(out, "  at %v\n", at)
		} else {
			fmt.Fprintln(out, "  never")
		}
	case "demand?":
		fmt.Fprintf(out, "  %+v\n", m.Demand())
	case "status?":
		for p := range m.Peers {
			fmt.Fprintf(out, "  %+v\n", p)
		}
		fmt.Fprintf(out, "  %+v useful=%v\n", m.Counters(), m.Useful())
	default:
		return false
	}
	return true
}

// spread makes one event for each block of a line with a run of blocks.
func spread(s string) []string {
	from, rest, ok := strings.Cut(s, "..")
	if !ok {
		return []string{s}
	}
	i := strings.LastIndexByte(from, ' ')
	to, after, _ := strings.Cut(rest, " ")
	var p, begin, length, end, last int
	if n, _ := fmt.Sscanf(from[i+1:]+" "+to, "%d:%d+%d %d:%d+%d", &p, &begin, &length, &p, &end, &last); n != 6 {
		return []string{s}
	}
	var all []string
	for ; begin < end; begin += length {
		all = append(all, fmt.Sprintf("%s%d:%d+%d %s", from[:i+1], p, begin, length, after))
	}
	return append(all, fmt.Sprintf("%s%d:%d+%d %s", from[:i+1], p, end, last, after))
}

func asIs(e Event) []Event      { return []Event{e} }
func issue(c Command) []Command { return []Command{c} }

func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := []byte(runScript(string(want), asIs, issue))
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the story went otherwise:\n%s", got)
			}
		})
	}
}
