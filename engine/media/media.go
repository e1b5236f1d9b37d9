// Package media finds the index of a film or an archive: the part of the file
// that a program wants before it wants anything else, and that lies at the end
// as often as not. It reads only what is here already, and says what it lacks.
//
//	name ──Known──▶ Ends: what every program looks at first
//	                  │ as bytes come
//	head ──Next──▶ where does it go on? ──Next──▶ … ──▶ the index itself, last
//
//	mp4, mov     boxes of the top level, one header after another, to moov
//	Matroska     Segment → SeekHead → Cues, or a second SeekHead → Cues
//	AVI          lists of the top level, to idx1
//	zip          end of central directory (zip64, too) → central directory
//	7z           the header at 0 says where the other one is
//
// Nothing in a file is believed: positions are checked, steps are counted, and
// no more than MostIndex is ever asked for. What makes no sense ends the search.
package media

import "strings"

// Bounds.
const (
	// MostIndex is the most bytes of an index that are asked for. That of a film
	// of two hours has 2 to 5 MB.
	MostIndex = 8 << 20

	// mostSteps is how many headers are looked at in one file.
	mostSteps = 64

	// head and tail are what is asked for of the ends before anything is known.
	head = 256 << 10
	tail = 64 << 10
	// longTail is that of transport streams, whose length is told by their last
	// time stamps.
	longTail = 256 << 10
)

// Range is the bytes [Off, Off+N) of a file, N > 0 and all inside it.
type Range struct{ Off, N int64 }

// Here reads len(b) bytes at off if they are here, and reports whether they
// were. It is asked for nothing outside the file, and must not wait for more.
type Here func(off int64, b []byte) bool

// suffixes are the names of formats with something at the end that programs
// look for first, and how much of it.
var suffixes = map[string]int64{
	"mp4": tail, "m4v": tail, "m4a": tail, "m4b": tail, "mov": tail, "3gp": tail,
	"mkv": tail, "mka": tail, "webm": tail, "avi": tail, "divx": tail,
	"ts": longTail, "m2ts": longTail, "mts": longTail, "mpg": longTail, "mpeg": longTail, "vob": longTail,
	"mp3": tail, "flac": tail, "ogg": tail, "opus": tail, "wma": tail, "wmv": tail, "asf": tail, "flv": tail,
	"zip": tail, "cbz": tail, "epub": tail, "jar": tail, "apk": tail, "7z": tail, "cb7": tail,
	"rar": tail, "cbr": tail, "pdf": tail,
}

// suffix is what follows the last point of a name, in lower case.
func suffix(name string) string { return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]) }

// Known reports whether a file is, by its name, a film, music or an archive.
func Known(name string) bool { return suffixes[suffix(name)] > 0 }

// Ends is the head and the tail of a file of a Known name and so many bytes,
// as far as they are two.
func Ends(name string, size int64) []Range {
	n := suffixes[suffix(name)]
	if n == 0 || size <= head+n {
		return nil
	}
	return []Range{{0, head}, {size - n, n}}
}

// A Finder looks for the index of one file.
type Finder struct {
	size  int64
	next  func(*Finder, Here) (r []Range, last bool) // nil: nothing is left to find
	steps int
	at    int64 // where the next header lies
	base  int64 // Matroska: what positions count from
	seeks int   // Matroska: SeekHeads read
}

// NewFinder begins with a file of size bytes. The format is told by its bytes.
func NewFinder(size int64) *Finder { return &Finder{size: size, next: (*Finder).first} }

// Next goes on as far as what is here allows. It is the ranges that are needed
// to go on; with last they are the index, and there is nothing more to find.
// No ranges and last: there is no index that is known of.
func (f *Finder) Next(here Here) (r []Range, last bool) {
	for f.next != nil {
		if f.steps++; f.steps > mostSteps {
			break
		}
		r, last := f.next(f, here)
		switch {
		case last:
			f.next = nil
			return r, true
		case len(r) > 0:
			f.steps-- // the same step again, when they are here
			return r, false
		}
	}
	f.next = nil
	return nil, true
}

// first tells the format.
func (f *Finder) first(here Here) (r []Range, last bool) {
	b, r := f.read(here, 0, 32)
	if b == nil {
		return r, len(r) == 0
	}
	switch {
	case string(b[:4]) == "\x1a\x45\xdf\xa3":
		f.next = (*Finder).body
	case string(b[:4]) == "RIFF" && string(b[8:12]) == "AVI ":
		f.at, f.next = 12, (*Finder).list
	case string(b[:6]) == "7z\xbc\xaf\x27\x1c":
		return f.sevenZip(b)
	case string(b[:4]) == "PK\x03\x04" || string(b[:4]) == "PK\x05\x06":
		f.next = (*Finder).directoryEnd
	case topLevel[string(b[4:8])]:
		f.next = (*Finder).box
	default:
		return nil, true
	}
	return nil, false
}

// read is n bytes at off, or the range that is to be here first. Neither: they
// are not inside the file.
func (f *Finder) read(here Here, off, n int64) (b []byte, missing []Range) {
	if off < 0 || n <= 0 || off > f.size-n {
		return nil, nil
	}
	b = make([]byte, n)
	if !here(off, b) {
		return nil, []Range{{off, n}}
	}
	return b, nil
}

// index is the end of the search: n bytes at off, as far as they are inside the
// file and not too many.
func (f *Finder) index(off, n uint64) (r []Range, last bool) {
	if off >= uint64(f.size) || n == 0 {
		return nil, true
	}
	return []Range{{int64(off), int64(min(n, uint64(f.size)-off, MostIndex))}}, true
}
