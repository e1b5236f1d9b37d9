package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// figure is one thing that was measured.
type figure struct {
	what  string
	value float64
	unit  string
}

// figures are those of one run of one system.
type figures []figure

func (f *figures) add(what string, value float64, unit string) {
	*f = append(*f, figure{what, value, unit})
}

// String is all of them on one line.
func (f figures) String() string {
	var all []string
	for _, g := range f {
		all = append(all, strings.TrimSpace(g.what+" "+number(g.value)+" "+g.unit))
	}
	return strings.Join(all, ", ")
}

// of is the figure called what; not a number if there is none.
func (f figures) of(what string) float64 {
	for _, g := range f {
		if g.what == what {
			return g.value
		}
	}
	return math.NaN()
}

// row is what one run says of one line of the table.
type row struct {
	what   string
	value  float64
	unit   string
	beside string  // what it is compared with
	limit  float64 // that; not a number: nothing
	atMost bool    // value ≤ reach; else value ≥ reach
	reach  float64 // not a number: nothing was to be reached
	rule   string  // the reach in words
}

// verdict is all runs of one line.
type verdict struct {
	scenario string
	row
	values, limits, ratios, met []float64 // of each run; met: value ÷ reach, inverted where most is best
}

// add takes the row of one more run.
func (v *verdict) add(r row) {
	v.row = r
	v.values = append(v.values, r.value)
	v.limits = append(v.limits, r.limit)
	v.ratios = append(v.ratios, r.value/r.limit)
	// A reach of 0 is met by 0 only.
	switch {
	case math.IsNaN(r.reach):
		v.met = append(v.met, math.NaN())
	case r.atMost && r.value <= r.reach, !r.atMost && r.value >= r.reach:
		v.met = append(v.met, 1)
	default:
		v.met = append(v.met, 0)
	}
}

// String is the line of the table: a median of values, of what is beside them,
// and of the ratios of each run.
func (v *verdict) String() string {
	beside, ratio := "–", "–"
	if limit := median(v.limits); !math.IsNaN(limit) {
		beside = number(limit) + " " + v.beside
		if r := median(v.ratios); !math.IsNaN(r) && !math.IsInf(r, 0) {
			ratio = number(r)
		}
	}
	return strings.Join([]string{v.scenario, v.what, number(median(v.values)) + " " + v.unit, beside, ratio, v.rule, v.word(), spread(v.values)}, "\t")
}

// word is ok when the median run reached what was to be reached.
func (v *verdict) word() string {
	switch met := median(v.met); {
	case math.IsNaN(met) && strings.TrimSpace(v.rule) == "":
		return "–"
	case math.IsNaN(met):
		return "not measured"
	case met > 0.5:
		return "ok"
	}
	return "short"
}

// spread is how many runs there were, and their least and most.
func spread(values []float64) string {
	if len(values) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d [%s..%s]", len(values), number(slices.Min(values)), number(slices.Max(values)))
}

// median is the middle one of what was measured; of an even number, between the two.
func median(values []float64) float64 {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// quantile is the value that a share q of all is not above.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	return v[min(len(v)-1, max(0, int(math.Ceil(q*float64(len(v))))-1))]
}

// number is three digits of x, and no exponent.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "–"
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.1f", x)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}
