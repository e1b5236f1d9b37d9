package top

import (
	"fmt"

	"bipfs/cmd/bipfs/figure"
)

// columns are those of the list, after the name.
var columns = []column{
	{"STATE", 16, 4, false},
	{"HERE", 5, 1, true},
	{"SIZE", 10, 5, true},
	{"DOWN", 12, 2, true},
	{"UP", 12, 6, true},
	{"PEERS", 5, 3, true},
	{"OPEN", 4, 7, true},
}

// texts are what stands in them.
func (r *row) texts() []string {
	return []string{
		state(r.State, r.Paused, r.Pinned), figure.Share(r.Here, r.Length), figure.Bytes(r.Length), speed(r.down.rate()), speed(r.up.rate()),
		fmt.Sprint(r.Peers), fmt.Sprint(r.Open),
	}
}

// leastName is the room that columns leave to the name.
const leastName = 24

// state is what a torrent does, in a word or two.
func state(s string, paused bool, pinned string) string {
	if paused {
		s += ", paused"
	}
	if pinned != "" {
		s += ", pinned"
	}
	return s
}

func (m *model) listFrame() []line {
	lines := []line{m.title(), m.totals()}
	t := fitting(columns, m.width-len(unmarked), leastName)
	lines = append(lines, line{{unmarked + cell("NAME", t.room, false) + "  " + t.head(), bold}})
	switch {
	case !m.known:
		lines = append(lines, line{{"  …", faint}})
	case len(m.order) == 0:
		lines = append(lines, line{{"  no torrents yet: bipfs add SOURCE", usual}})
	}
	from := min(m.from, len(m.order))
	for i, r := range m.order[from:min(len(m.order), from+m.body())] {
		lines = append(lines, rowLine(r, t, from+i == m.index && !m.still))
	}
	return m.fill(lines, m.height-1)
}

// The marks of rows.
const (
	unmarked = "  "
	marked   = "> "
)

// rowLine is one torrent of the list.
func rowLine(r *row, t table, isChosen bool) line {
	name, rest := cell(r.Name, t.room, false), "  "+t.join(r.texts())
	switch {
	case isChosen:
		return line{{marked + name + rest, chosen}}
	case r.Error != "":
		return line{{unmarked + name + rest, wrong}}
	case r.State == "dormant" || r.State == "stopped":
		return line{{unmarked + name + rest, faint}}
	case r.down.rate() > 0:
		return line{{unmarked + name, usual}, {rest, good}}
	}
	return line{{unmarked + name + rest, usual}}
}

func (m *model) title() line {
	l := line{{"bipfs ", bold}, {m.status.Mountpoint, bold}}
	if m.known || m.detail != nil {
		l = append(l, span{"  " + count(m.status.Torrents, "torrent", "torrents") + ", " + count(m.status.Peers, "peer", "peers"), usual})
	}
	if from := min(m.from, len(m.order)); m.torrent == "" && len(m.order) > m.body() {
		l = append(l, span{fmt.Sprintf(", %d to %d shown", from+1, min(len(m.order), from+m.body())), faint})
	}
	return l
}

// totals are the rates of all torrents together, and what bounds them.
func (m *model) totals() line {
	l := line{{"down ", usual}, {figure.Bytes(m.down.rate()) + "/s", good}}
	l = append(l, limit(m.status.DownLimit), span{"  up ", usual}, span{figure.Bytes(m.up.rate()) + "/s", good}, limit(m.status.UpLimit))
	if m.known && !m.status.Storing {
		return append(l, span{"  the store is full", wrong})
	}
	return append(l, span{"  room to store " + figure.Bytes(m.status.Free), usual})
}

// limit says the limit of a rate, if there is one.
func limit(n int64) span {
	if n <= 0 {
		return span{}
	}
	return span{" of " + figure.Bytes(n) + "/s", faint}
}
