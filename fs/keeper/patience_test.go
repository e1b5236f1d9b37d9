package keeper

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPatience: four deaths in a minute are followed by a worker within a second;
// from the fifth on reads are refused and the rest doubles, until a worker has
// served for a minute.
func TestPatience(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name   string
		deaths []float64 // when, in seconds
		served []float64 // of each, in seconds
		want   string
	}{
		{"one after the other", []float64{0, 1, 2, 3, 4, 6, 10, 18, 34, 64, 94}, nil,
			"0s 50ms 200ms 800ms 2s! 4s! 8s! 16s! 30s! 30s! 30s!"},
		{"four a minute, for ever", []float64{0, 16, 32, 48, 64, 80, 96, 112, 128}, nil,
			"0s 50ms 200ms 800ms 800ms 800ms 800ms 800ms 800ms"},
		{"at the edge of the minute", []float64{0, 1, 2, 3, 60}, nil, "0s 50ms 200ms 800ms 800ms"},
		{"inside it", []float64{0, 1, 2, 3, 59.999}, nil, "0s 50ms 200ms 800ms 2s!"},
		{"refused, until one serves for a minute", []float64{0, 0, 0, 0, 0, 61, 122}, []float64{0, 0, 0, 0, 0, 59.999, 60},
			"0s 50ms 200ms 800ms 2s! 4s! 0s"},
	} {
		var p patience
		var got []string
		for i, at := range c.deaths {
			served := 0.0
			if c.served != nil {
				served = c.served[i]
			}
			rest, refuse := p.died(begin.Add(time.Duration(at*1000)*time.Millisecond), time.Duration(served*1000)*time.Millisecond)
			s := rest.String()
			if refuse {
				s += "!"
			}
			got = append(got, s)
			if len(p.deaths) > mostDeaths {
				t.Errorf("%s: %d deaths are remembered", c.name, len(p.deaths))
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestLabelled: the label of the goroutine that crashed, and of no other.
func TestLabelled(t *testing.T) {
	const first, second = "goroutine 7 [running%s]:\nmain.f()\n", "\ngoroutine 8 [select labels:{\"torrent\": \"other\"}]:\n"
	for labels, want := range map[string]string{
		``:                            "",
		` labels:{"torrent": "abcd"}`: "abcd",
		`, locked labels:{"a": "b", "torrent": "abcd"}`: "abcd",
		` labels:{"a": "torrent"}`:                      "",
		` labels:{"torrent": "abcd`:                     "",
	} {
		if got := labelled("panic: x\n\n" + fmt.Sprintf(first, labels) + second); got != want {
			t.Errorf("%s: %q", labels, got)
		}
	}
	if got := labelled(""); got != "" {
		t.Error(got)
	}
}
