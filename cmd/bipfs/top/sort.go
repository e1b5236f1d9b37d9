package top

import (
	"cmp"
	"slices"
)

// sorting is what the list is sorted by.
type sorting int

const (
	byName sorting = iota
	byRate
	byProgress
	byPeers
	sortings // how many there are
)

func (s sorting) String() string { return [...]string{"name", "rate", "progress", "peers"}[s] }

// sort puts the torrents in order: the most first, but names by the alphabet, and
// what is equal by its name. The chosen torrent stays it, wherever it goes.
func (m *model) sort() {
	measure := func(*row) float64 { return 0 }
	switch m.sorting {
	case byRate:
		measure = func(r *row) float64 { return float64(r.down.rate() + r.up.rate()) }
	case byProgress:
		measure = func(r *row) float64 { return float64(r.Here) / float64(max(1, r.Length)) }
	case byPeers:
		measure = func(r *row) float64 { return float64(r.Peers) }
	}
	slices.SortFunc(m.order, func(a, b *row) int {
		return cmp.Or(cmp.Compare(measure(b), measure(a)), cmp.Compare(a.key, b.key), cmp.Compare(a.Infohash, b.Infohash))
	})
	if at := slices.IndexFunc(m.order, func(r *row) bool { return r.Infohash == m.at }); at >= 0 {
		m.index = at
	}
	m.move(0)
}

// move moves the choice, and the screen after it.
func (m *model) move(by int) {
	m.index = max(0, min(m.index+by, len(m.order)-1))
	m.at = ""
	if m.index < len(m.order) {
		m.at = m.order[m.index].Infohash
	}
	m.follow()
}

// follow has the screen be where the choice is.
func (m *model) follow() {
	m.from = max(0, min(m.from, m.index, len(m.order)-m.body()), m.index-m.body()+1)
}
