package diskcache

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"bipfs/wire"
)

// punch makes holes where the pieces [first, last] lie: of all pages that hold
// nothing of another piece that is counted, in files that are not lent: what was lent
// was stored, whatever a journal that could not be written says. The caller holds t.hole.
func (t *Torrent) punch(first, last wire.Piece) error {
	off, end := t.spec.Offset(first, 0), t.spec.Offset(last, t.spec.PieceSize(last))
	for number := t.fileAt(off); number < len(t.starts) && t.starts[number] < end; number++ {
		f := t.spec.Files[number]
		if f.Pad || f.Length == 0 || t.lends(number) {
			continue
		}
		from, to := max(0, off-t.starts[number]), min(f.Length, end-t.starts[number])
		if down := pageDown(from); t.isEmpty(number, down, from) {
			from = down
		} else {
			from = pageUp(from)
		}
		if up := pageUp(to); t.isEmpty(number, to, min(up, f.Length)) {
			to = up
		} else {
			to = pageDown(to)
		}
		if from < to {
			if err := t.punchFile(number, from, to-from); err != nil {
				return err
			}
		}
	}
	return nil
}

// isEmpty reports whether no piece that is counted has bytes [from, to) of a file.
func (t *Torrent) isEmpty(number int, from, to int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, to = from+t.starts[number], to+t.starts[number]
	for p := wire.Piece(from / t.spec.PieceLength); from < to && t.spec.Valid(p) && t.spec.Offset(p, 0) < to; p++ {
		if t.counted.Has(p) {
			return false
		}
	}
	return true
}

func (t *Torrent) punchFile(number int, from, n int64) error {
	f, err := t.disk.files.get(t, number, false)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.disk.files.put(f)
	defer t.beginWrite(number, f)()
	return f.Punch(from, n)
}

// canPunch finds out, once, whether the file system punches holes, before anything
// is given up: with a hole behind the end of a file.
func (d *Disk) canPunch(t *Torrent, p wire.Piece) bool {
	b := &d.bound
	for number := range t.filesOf(p) {
		if b.tried || t.spec.Files[number].Pad || t.spec.Files[number].Length == 0 {
			continue
		}
		err := t.punchFile(number, pageUp(t.spec.Files[number].Length), Page)
		b.tried = err == nil
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
			b.tried, b.unable = true, true
			d.log.Warn("the file system cannot punch holes: nothing is evicted, and nothing stored once the store is full", "dir", t.spec.Dir)
		}
	}
	return !b.unable
}
