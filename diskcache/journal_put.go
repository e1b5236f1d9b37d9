package diskcache

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"bipfs/wire"
)

// entry is what the journal is to say of one piece.
type entry struct {
	piece wire.Piece
	mark  mark
	crcs  []uint32
	// ok is asked first, when it is the journal's turn: the state may have changed
	// while it waited. nil: it has not.
	ok func() bool
}

// put writes records; the first make the journal. Those whose places follow each
// other go out in one call.
func (j *journal) put(entries ...entry) error {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	return j.putNow(entries)
}

// putNow is put for who has the turn.
func (j *journal) putNow(entries []entry) error {
	type placed struct {
		place  uint32
		record []byte
	}
	var all []placed
	var gone []wire.Piece
	for _, e := range entries {
		if e.ok != nil && !e.ok() {
			continue
		}
		if j.file == nil {
			if e.mark == none {
				continue
			}
			if err := j.create(); err != nil {
				return err
			}
		}
		if e.mark == none {
			if j.place[e.piece] == 0 {
				continue
			}
			gone = append(gone, e.piece)
		}
		all = append(all, placed{j.placeFor(e.piece), j.record(e.piece, e.mark, e.crcs)})
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	size := int64(recordLength(j.geo))
	for from := 0; from < len(all); {
		to := from
		var run [][]byte
		for to < len(all) && all[to].place == all[from].place+uint32(to-from) {
			run = append(run, all[to].record)
			to++
		}
		if err := writeVector(j.file, run, journalHeader+int64(all[from].place)*size); err != nil {
			return err
		}
		from = to
	}
	for _, p := range gone {
		j.free = append(j.free, j.place[p]-1)
		j.place[p] = 0
	}
	return nil
}

// placeFor is the place of the record of a piece, which gets one if it has none.
func (j *journal) placeFor(p wire.Piece) uint32 {
	if j.place[p] == 0 {
		n := len(j.free)
		if n > 0 {
			j.place[p], j.free = j.free[n-1]+1, j.free[:n-1]
		} else {
			j.next++
			j.place[p] = j.next
		}
	}
	return j.place[p] - 1
}

func (j *journal) create() error {
	if err := j.files.fs.MkdirAll(filepath.Dir(j.name)); err != nil {
		return err
	}
	f, err := j.files.openFile(j.name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	if err := writeFull(f, j.header(), 0); err != nil {
		f.Close()
		return err
	}
	// Synced, as no record is worth anything without it after a power cut. That
	// it cannot be is no reason to do without a journal.
	_ = f.Sync()
	if j.file = f; j.place == nil {
		j.place = make([]uint32, j.geo.Pieces())
	}
	return nil
}
