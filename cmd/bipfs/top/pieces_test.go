package top

import (
	"testing"

	"bipfs/engine/control"
)

// TestCells: every piece is in one cell, cells follow each other, and one is whole
// only if all of its pieces are here.
func TestCells(t *testing.T) {
	for pieces := 1; pieces < 70; pieces++ {
		for n := 1; n <= pieces; n++ {
			v := detail{pieces: control.Pieces{Pieces: pieces, Here: make([]byte, (pieces+7)/8)}}
			for p := range pieces {
				v.pieces.Here[p/8] |= 0x80 >> (p % 8)
			}
			for _, c := range v.cells(n) {
				if c.letter != cellAll {
					t.Fatalf("%d pieces in %d cells: all are here, and a cell is %c", pieces, n, c.letter)
				}
			}
			last := 0
			for p := range pieces {
				v.pieces.Here[p/8] &^= 0x80 >> (p % 8)
				v.pieces.Fetching = nil
				without := v.cells(n)
				v.pieces.Fetching = []int{p}
				with := v.cells(n)
				at := -1
				for i := range n {
					if with[i] != without[i] {
						at = i
					}
					if i > 0 && without[i-1].letter == cellAll && without[i].letter == cellNone && p+1 < pieces {
						t.Fatalf("%d pieces in %d cells: the first %d are missing, and the map has them", pieces, n, p+1)
					}
				}
				if at < last || at > last+1 || without[at].letter == cellAll {
					t.Fatalf("%d pieces in %d cells: piece %d is in cell %d, the one before in %d", pieces, n, p, at, last)
				}
				last = at
			}
			if last != n-1 {
				t.Fatalf("%d pieces in %d cells: the last is in cell %d", pieces, n, last)
			}
		}
	}
}

// BenchmarkCells is the map of the torrent with the most pieces that there may be.
func BenchmarkCells(b *testing.B) {
	v := detail{pieces: control.Pieces{Pieces: 2_097_152, Here: make([]byte, 2_097_152/8)}}
	for b.Loop() {
		v.cells(8 * 200)
	}
}
