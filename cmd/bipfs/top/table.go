package top

import "strings"

// column is one of a table. Where a name would have no room, those of the highest
// rank are left out; those of rank 0 never.
type column struct {
	head   string
	width  int
	rank   int
	number bool // set to the right
}

// gap is between two columns.
const gap = 2

// table is what of the columns is shown, and the room that is left to a name.
type table struct {
	all  []column
	rank int // the highest that is shown
	room int
}

// fitting is the table with as many columns as leave least columns of width to the
// name.
func fitting(all []column, width, least int) (t table) {
	t.all = all
	for t.rank = len(all); t.rank >= 0; t.rank-- {
		t.room = width
		for _, c := range all {
			if c.rank <= t.rank {
				t.room -= c.width + gap
			}
		}
		if t.room >= least {
			break
		}
	}
	t.room = max(0, t.room)
	return t
}

// head are the heads of the columns that are shown, joined as cells.
func (t table) head() string {
	heads := make([]string, len(t.all))
	for i, c := range t.all {
		heads[i] = c.head
	}
	return t.join(heads)
}

// join puts the texts of the columns that are shown beside each other.
func (t table) join(texts []string) string {
	var parts []string
	for i, c := range t.all {
		if c.rank <= t.rank {
			parts = append(parts, cell(texts[i], c.width, c.number))
		}
	}
	return strings.Join(parts, strings.Repeat(" ", gap))
}

// flow puts words, none of which is cut unless it must, into lines.
func flow(words []string, width int) (lines []string) {
	for _, w := range words {
		last := len(lines) - 1
		if last >= 0 && len(lines[last])+gap+len(w) <= width {
			lines[last] += strings.Repeat(" ", gap) + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}
