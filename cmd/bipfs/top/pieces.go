package top

import (
	"fmt"

	"bipfs/cmd/bipfs/figure"
)

// mostMapLines is the most lines of a piece map.
const mostMapLines = 8

// A cell of the map is a piece, or some that follow each other.
const (
	cellNone = '·'
	cellSome = '░' // less than half
	cellMost = '▒' // half or more
	cellAll  = '█' // what is not quite here is not that
	cellNext = '-' // not here, and is fetched ahead of a reader
	cellNow  = '+' // is being put together
	cellRead = '>' // somebody reads here
)

// mapCell is a cell: what is drawn, and how.
type mapCell struct {
	letter rune
	style
}

// mapLines are the pieces: which are here, which are coming, and where it is read.
func (m *model) mapLines() []line {
	v := m.detail
	switch {
	case v.hidden != "":
		return []line{{{v.hidden, wrong}}}
	case v.pieces.Pieces <= 0:
		return []line{{{"the metadata is not here yet: no pieces are known", faint}}}
	}
	cells := v.cells(min(v.pieces.Pieces, max(1, m.width)*mostMapLines))
	head := fmt.Sprintf("%s of %s", count(v.pieces.Pieces, "piece", "pieces"), figure.Bytes(v.PieceLength))
	lines := []line{{{head, bold}, {"  █ here  ░▒ in part  + coming  > read  - next", faint}}}
	for len(cells) > 0 {
		n := min(len(cells), max(1, m.width))
		lines = append(lines, drawn(cells[:n]))
		cells = cells[n:]
	}
	return lines
}

// drawn are cells as a line: a span for those that follow each other and look alike.
func drawn(cells []mapCell) (l line) {
	for i, first := 0, 0; i <= len(cells); i++ {
		if i < len(cells) && cells[i].style == cells[first].style {
			continue
		}
		text := make([]rune, 0, i-first)
		for _, c := range cells[first:i] {
			text = append(text, c.letter)
		}
		l = append(l, span{string(text), cells[first].style})
		first = i
	}
	return l
}

// cells are the map with so many of them, from 1 to the number of the pieces.
func (v *detail) cells(n int) []mapCell {
	all := v.pieces.Pieces
	cells := make([]mapCell, n)
	at := func(piece int) int { // the cell of a piece, whatever the mount says
		piece = max(0, min(piece, all-1))
		return int(((int64(piece)+1)*int64(n) - 1) / int64(all))
	}
	for i := range cells {
		first, next := int(int64(i)*int64(all)/int64(n)), int(int64(i+1)*int64(all)/int64(n))
		here := 0
		for p := first; p < next; p++ {
			if v.pieces.Here[p/8]&(0x80>>(p%8)) != 0 {
				here++
			}
		}
		switch {
		case here == next-first:
			cells[i] = mapCell{cellAll, good}
		case here == 0:
			cells[i] = mapCell{cellNone, faint}
		case 2*here < next-first:
			cells[i] = mapCell{cellSome, good}
		default:
			cells[i] = mapCell{cellMost, good}
		}
	}
	for _, o := range v.readers {
		for i := at(o.Piece); i <= at(o.Until); i++ {
			cells[i].style = ahead
			if cells[i].letter == cellNone {
				cells[i].letter = cellNext
			}
		}
	}
	for _, p := range v.pieces.Fetching {
		cells[at(p)] = mapCell{cellNow, pending}
	}
	for _, o := range v.readers {
		cells[at(o.Piece)] = mapCell{cellRead, chosen}
	}
	return cells
}
