package engine

import (
	"cmp"
	"path"
	"slices"

	"bipfs/engine/control"
)

// Who reads a torrent, for people who look.

// mostReadings is how many places are told of.
const mostReadings = 100

// enter and leave keep the open files of t.
func (t *Torrent) enter(r *Reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers == nil {
		t.readers = map[*Reader]struct{}{}
	}
	t.readers[r] = struct{}{}
}

func (t *Torrent) leave(r *Reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.readers, r)
}

// For says who reads where the kernel does not name the caller, to be shown. What
// is known of the habits of programs is not asked: it would be that of many.
func (r *Reader) For(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visitor = name
}

// Readers are the places at which files of t are read, or were read last while
// they are open: by file, and 100 at most.
func (t *Torrent) Readers() []control.Reading {
	t.mu.Lock()
	open := make([]*Reader, 0, len(t.readers))
	for r := range t.readers {
		open = append(open, r)
	}
	t.mu.Unlock()
	all := []control.Reading{}
	for _, r := range open {
		all = r.readings(all)
	}
	slices.SortFunc(all, func(a, b control.Reading) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Program, b.Program), cmp.Compare(a.Offset, b.Offset))
	})
	return all[:min(len(all), mostReadings)]
}

// readings adds those of one open file: the place that was read last, and those
// for which more is expected.
func (r *Reader) readings(all []control.Reading) []control.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.sessions {
		if i+1 < len(r.sessions) && len(s.ahead) == 0 {
			continue
		}
		o := control.Reading{
			File: path.Join(r.file.Path...), Program: cmp.Or(r.program, r.visitor), Read: r.read,
			Offset: min(max(0, s.pos-r.file.Offset), r.file.Length), Length: r.file.Length,
			Piece: int(min(s.pos, r.file.Offset+r.file.Length-1) / r.geo.PieceLength),
		}
		o.Until = o.Piece
		if n := len(s.ahead); n > 0 {
			o.Until = int(s.ahead[n-1].piece)
		}
		all = append(all, o)
	}
	return all
}

// Pieces are those of t that are here, and those that are being put together. It
// opens the store, but wakes nobody; without metadata there are none.
func (t *Torrent) Pieces() (p control.Pieces, err error) {
	p = control.Pieces{Infohash: t.ID(), Here: []byte{}, Fetching: []int{}}
	info := t.Info()
	if info == nil {
		return p, nil
	}
	store, err := t.open()
	if err != nil {
		return p, err
	}
	p.Pieces, p.Here = info.Pieces(), store.Have()
	for _, n := range store.Fetching() {
		p.Fetching = append(p.Fetching, int(n))
	}
	slices.Sort(p.Fetching)
	return p, nil
}
