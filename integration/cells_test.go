package integration

import (
	"slices"
	"strings"
	"testing"
)

// A cell is one way in which bipfs and another client can meet and bring a
// torrent from one to the other.
type cell struct {
	client  string
	role    string // of the client: it seeds, or leeches
	carrier string // TCP as BEP 3 has it, encrypted with RC4, uTP, or TCP over IPv6
	link    string // what the one that leeches knows: the .torrent, or the magnet link
	format  string
}

// axes are the values of each field of a cell.
var axes = [...][]string{
	{"transmission", "libtorrent", "aria2", "rtorrent", "qbittorrent"},
	{"seed", "leech"},
	{"TCP", "encrypted", "uTP", "IPv6"},
	{"torrent", "magnet"},
	{"v1", "hybrid", "v2"},
}

func (c cell) values() [len(axes)]string {
	return [...]string{c.client, c.role, c.carrier, c.link, c.format}
}

func (c cell) String() string {
	v := c.values()
	return strings.Join(v[:], ", ")
}

// empty says why there is no such cell; "" if there is one. All of it was tried
// with the programs of Debian 12.
func (c cell) empty() string {
	switch {
	case c.client == "transmission" && c.format != "v1":
		return "transmission 3.00 cannot parse a file tree"
	case c.client == "aria2" && c.format == "hybrid":
		return "aria2 1.36 asks for it by another infohash than everybody else"
	case c.format == "v2" && (c.client == "rtorrent" || c.client == "aria2"):
		return "aria2 1.36 and rtorrent 0.9.8 want the pieces of v1"
	case c.carrier == "uTP" && (c.client == "aria2" || c.client == "rtorrent"):
		return "it speaks no uTP"
	}
	return ""
}

// cells are all that there are, in the order of the axes.
func cells() (all []cell) {
	var of func(values []string)
	of = func(values []string) {
		if len(values) < len(axes) {
			for _, v := range axes[len(values)] {
				of(append(values[:len(values):len(values)], v))
			}
			return
		}
		if c := (cell{values[0], values[1], values[2], values[3], values[4]}); c.empty() == "" {
			all = append(all, c)
		}
	}
	of(nil)
	return all
}

// A pair is two values that one cell has, each with its axis.
type pair struct {
	i, j int
	a, b string
}

func (c cell) pairs() (list []pair) {
	values := c.values()
	for i := range values {
		for j := range i {
			list = append(list, pair{i, j, values[i], values[j]})
		}
	}
	return list
}

// pairwise chooses cells such that each pair of values that some cell has is in
// one of them: again and again the one that brings the most new pairs.
func pairwise(all []cell) (chosen []cell) {
	covered := map[pair]bool{}
	for {
		var best cell
		most := 0
		for _, c := range all {
			n := 0
			for _, p := range c.pairs() {
				if !covered[p] {
					n++
				}
			}
			if n > most {
				best, most = c, n
			}
		}
		if most == 0 {
			return chosen
		}
		chosen = append(chosen, best)
		for _, p := range best.pairs() {
			covered[p] = true
		}
	}
}

// TestCells: the chosen cells have each pair of values that is possible, of
// values that are all possible.
func TestCells(t *testing.T) {
	all := cells()
	chosen := pairwise(all)
	covered := map[pair]bool{}
	for _, c := range chosen {
		if c.empty() != "" {
			t.Errorf("%v cannot be", c)
		}
		for _, p := range c.pairs() {
			covered[p] = true
		}
	}
	for _, c := range all {
		for _, p := range c.pairs() {
			if !covered[p] {
				t.Errorf("no cell has %s with %s", p.a, p.b)
			}
		}
	}
	for i, axis := range axes {
		for _, v := range axis {
			if !slices.ContainsFunc(chosen, func(c cell) bool { return c.values()[i] == v }) {
				t.Errorf("no cell has %s", v)
			}
		}
	}
	if len(chosen) > 40 {
		t.Errorf("%d of %d cells are chosen, more than 40", len(chosen), len(all))
	}
	t.Logf("%d of %d cells", len(chosen), len(all))
}
