package media

import "encoding/binary"

// topLevel are the boxes that a file may begin with (ISO 14496-12, QuickTime).
var topLevel = map[string]bool{
	"ftyp": true, "moov": true, "mdat": true, "free": true, "skip": true, "wide": true, "pnot": true, "styp": true,
}

// box looks at the header of the box at f.at: a size of 32 bits, a type and,
// where the size is 1, one of 64 bits. 0 is the last box, to the file's end.
func (f *Finder) box(here Here) (r []Range, last bool) {
	n := min(16, f.size-f.at)
	if n < 8 {
		return nil, true
	}
	b, r := f.read(here, f.at, n)
	if b == nil {
		return r, len(r) == 0
	}
	size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
	switch {
	case size == 1 && n == 16:
		size, head = binary.BigEndian.Uint64(b[8:]), 16
	case size == 0:
		size = uint64(f.size - f.at)
	}
	if string(b[4:8]) == "moov" {
		return f.index(uint64(f.at), size)
	}
	// A fragmented film (moof) has had its moov, or has none.
	if size < head || size > uint64(f.size-f.at) || string(b[4:8]) == "moof" {
		return nil, true
	}
	f.at += int64(size)
	return nil, f.at >= f.size
}
