package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bipfs/engine/control"
)

func TestWaitLine(t *testing.T) {
	active := control.Torrent{State: "active", Peers: 3}
	for _, c := range []struct {
		p    control.Path
		rate float64
		want []string
	}{
		{control.Path{Torrent: control.Torrent{State: "resolving", Peers: 2}}, 0, []string{"metadata", "2 peers"}},
		{control.Path{Torrent: active, Length: 10e6, Here: 5e6}, 1e6, []string{"[###############               ]", "50 %", "1.0 MB/s", "ETA 5s", "3 peers"}},
		{control.Path{Torrent: active, Length: 10e6}, 0, []string{"0 %", "ETA -"}},
		{control.Path{Torrent: active, Length: 1 << 50}, 1, []string{"0 %", "ETA 277h46m40s"}},
		{control.Path{Torrent: active, Length: 10, Here: 10}, 5, []string{"100 %", "done"}},
		{control.Path{Torrent: active}, 0, []string{"done"}},
		{control.Path{Torrent: control.Torrent{State: "stopped"}, Length: 5}, 0, []string{"stopped"}},
		{control.Path{Torrent: control.Torrent{State: "active", Paused: true}, Length: 5}, 0, []string{"paused"}},
	} {
		got := waitLine(c.p, c.rate)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%q has no %q", got, w)
			}
		}
	}
}

// TestWaitBar: what is no terminal gets a line for each tenth, and a rate of the last
// seconds.
func TestWaitBar(t *testing.T) {
	var out bytes.Buffer
	b := newWaitBar(&out)
	for here := range int64(101) {
		b.show(control.Path{Torrent: control.Torrent{State: "active"}, Length: 100, Here: here})
	}
	b.end()
	if n := strings.Count(out.String(), "\n"); n != 11 || strings.Contains(out.String(), "\r") {
		t.Errorf("%d lines:\n%s", n, &out)
	}
	now := time.Now()
	b.seen = []sample{{now.Add(-2 * time.Second), 100}, {now, 300}}
	if got := b.rate(); got < 99 || got > 101 {
		t.Errorf("%v bytes a second", got)
	}
}

// TestWaitBarOnTerminal: a line that is shown again and again stays one, however narrow.
func TestWaitBarOnTerminal(t *testing.T) {
	for _, columns := range []int{80, 20} {
		var out bytes.Buffer
		b := &waitBar{w: &out, columns: columns}
		for here := range int64(101) {
			b.show(control.Path{Torrent: control.Torrent{State: "active", Peers: 12}, Length: 100, Here: here})
		}
		for line := range strings.SplitSeq(out.String(), "\r") {
			if n := len(strings.TrimSuffix(line, eraseLine)); n >= columns {
				t.Fatalf("%d of %d columns: %q", n, columns, line)
			}
		}
	}
}
