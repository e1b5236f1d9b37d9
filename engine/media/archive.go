package media

import (
	"bytes"
	"encoding/binary"
)

// list looks at the header of the list at f.at of an AVI: a type, and a size
// that is even on disk. Its index is the list idx1, behind the frames.
func (f *Finder) list(here Here) (r []Range, last bool) {
	b, r := f.read(here, f.at, 8)
	if b == nil {
		return r, len(r) == 0
	}
	size := uint64(binary.LittleEndian.Uint32(b[4:]))
	if string(b[:4]) == "idx1" {
		return f.index(uint64(f.at), 8+size)
	}
	f.at += 8 + int64(size+size&1)
	return nil, f.at >= f.size
}

// sevenZip reads the header of a 7z archive: version, CRC, and the position
// and size of the other header, counted from its end.
func (f *Finder) sevenZip(b []byte) (r []Range, last bool) {
	off, n := binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	if off > uint64(f.size) {
		return nil, true
	}
	return f.index(32+off, n)
}

// Lengths of the records at the end of a zip archive (APPNOTE.TXT 4.3).
const (
	zipEnd      = 22 // and a comment, of which a short one is looked for
	zipComment  = 1 << 10
	zip64Place  = 20
	zip64End    = 56
	zipTooLarge = 1<<32 - 1 // the number stands in the record of zip64
)

// directoryEnd looks for the end of the central directory of a zip archive.
func (f *Finder) directoryEnd(here Here) (r []Range, last bool) {
	from := max(0, f.size-zipEnd-zipComment-zip64Place)
	b, r := f.read(here, from, f.size-from)
	if b == nil {
		return r, len(r) == 0
	}
	i := bytes.LastIndex(b, []byte("PK\x05\x06"))
	if i < 0 || len(b)-i < zipEnd {
		return nil, true
	}
	n, off := binary.LittleEndian.Uint32(b[i+12:]), binary.LittleEndian.Uint32(b[i+16:])
	if n != zipTooLarge && off != zipTooLarge {
		// Counted from its end: something may stand before the archive.
		if end := from + int64(i); int64(n) <= end {
			return f.index(uint64(end-int64(n)), uint64(n))
		}
		return nil, true
	}
	if i < zip64Place || string(b[i-zip64Place:][:4]) != "PK\x06\x07" {
		return nil, true
	}
	at := binary.LittleEndian.Uint64(b[i-zip64Place+8:])
	if at >= uint64(f.size) {
		return nil, true
	}
	f.at, f.next = int64(at), (*Finder).directoryEnd64
	return nil, false
}

// directoryEnd64 is the same where the numbers are too large for that record.
func (f *Finder) directoryEnd64(here Here) (r []Range, last bool) {
	b, r := f.read(here, f.at, zip64End)
	if b == nil {
		return r, len(r) == 0
	}
	if string(b[:4]) != "PK\x06\x06" {
		return nil, true
	}
	return f.index(binary.LittleEndian.Uint64(b[48:]), binary.LittleEndian.Uint64(b[40:]))
}
