package media

import "math/bits"

// IDs of elements (RFC 9559).
const (
	idEBML         = 0x1a45dfa3
	idBody         = 0x18538067 // Segment, which all but the first is in
	idSeekHead     = 0x114d9b74
	idSeek         = 0x4dbb
	idSeekID       = 0x53ab
	idSeekPosition = 0x53ac
	idCues         = 0x1c53bb6b
	idCluster      = 0x1f43b675
)

const (
	// longestElement is the longest header of an element: an ID of 4 bytes and a
	// size of 8.
	longestElement = 12
	// mostSeekHead is the most bytes of a SeekHead, which has some 20 for each of
	// a handful of elements.
	mostSeekHead = 16 << 10
	// mostSeekHeads is how many of them are read: the first may name a second.
	mostSeekHeads = 2
)

// element is the header of one: where its content begins, and how long that is;
// unknown is a size that is not told (of what is written as it is made).
type element struct {
	id      uint32
	head    int64
	size    uint64
	unknown bool
}

// parseElement reads the header that b begins with.
func parseElement(b []byte) (e element, ok bool) {
	n := vintLength(b)
	if n == 0 || n > 4 || n > len(b) {
		return e, false
	}
	for _, c := range b[:n] {
		e.id = e.id<<8 | uint32(c)
	}
	size := b[n:]
	k := vintLength(size)
	if k == 0 || k > len(size) {
		return e, false
	}
	e.size = uint64(size[0]) & (1<<(8-k) - 1)
	for _, c := range size[1:k] {
		e.size = e.size<<8 | uint64(c)
	}
	e.unknown = e.size == 1<<(7*k)-1
	e.head = int64(n + k)
	return e, true
}

// vintLength is how many bytes a number has that b begins with; 0: none.
func vintLength(b []byte) int {
	if len(b) == 0 || b[0] == 0 {
		return 0
	}
	return bits.LeadingZeros8(b[0]) + 1
}

// element reads the header at f.at.
func (f *Finder) element(here Here) (e element, r []Range, ok bool) {
	b, r := f.read(here, f.at, min(longestElement, f.size-f.at))
	if b == nil {
		return e, r, false
	}
	e, ok = parseElement(b)
	return e, nil, ok
}

// body goes from the EBML header to the first element of the Segment.
func (f *Finder) body(here Here) (r []Range, last bool) {
	e, r, ok := f.element(here)
	switch {
	case !ok:
		return r, len(r) == 0
	case e.id == idEBML:
		return nil, !f.skip(e)
	case e.id != idBody:
		return nil, true
	}
	f.at += e.head
	f.base, f.next = f.at, (*Finder).level1
	return nil, f.at >= f.size
}

// skip goes to what follows an element.
func (f *Finder) skip(e element) bool {
	if e.unknown || e.size > uint64(f.size-f.at) {
		return false
	}
	f.at += e.head + int64(e.size)
	return f.at < f.size
}

// level1 looks at the elements of the Segment up to the SeekHead, or to what it
// leads to.
func (f *Finder) level1(here Here) (r []Range, last bool) {
	e, r, ok := f.element(here)
	if !ok {
		return r, len(r) == 0
	}
	switch e.id {
	case idCues:
		if e.unknown {
			return nil, true
		}
		return f.index(uint64(f.at), uint64(e.head)+min(e.size, MostIndex))
	case idSeekHead:
		if e.unknown || e.size > mostSeekHead || f.seeks == mostSeekHeads {
			return nil, true
		}
		b, r := f.read(here, f.at+e.head, int64(e.size))
		if b == nil {
			return r, len(r) == 0
		}
		f.seeks++
		return nil, !f.follow(b)
	case idCluster: // the film begins, and nobody has told where its Cues are
		return nil, true
	}
	return nil, !f.skip(e)
}

// follow goes to the Cues that a SeekHead names, or to another SeekHead.
func (f *Finder) follow(b []byte) bool {
	to := map[uint32]uint64{}
	for len(b) > 0 {
		e, ok := parseElement(b)
		if !ok || e.unknown || e.size > uint64(len(b))-uint64(e.head) {
			break
		}
		content := b[e.head:][:e.size]
		if e.id == idSeek {
			if id, position, ok := parseSeek(content); ok {
				to[id] = position
			}
		}
		b = b[e.head:][e.size:]
	}
	position, ok := to[idCues]
	if !ok {
		position, ok = to[idSeekHead]
	}
	if !ok || position >= uint64(f.size-f.base) {
		return false
	}
	f.at = f.base + int64(position)
	return true
}

// parseSeek reads one entry of a SeekHead.
func parseSeek(b []byte) (id uint32, position uint64, ok bool) {
	var has int
	for len(b) > 0 {
		e, good := parseElement(b)
		if !good || e.unknown || e.size > uint64(len(b))-uint64(e.head) || e.size > 8 {
			return 0, 0, false
		}
		n := uint64(0)
		for _, c := range b[e.head:][:e.size] {
			n = n<<8 | uint64(c)
		}
		switch e.id {
		case idSeekID:
			id = uint32(n)
			has |= 1
		case idSeekPosition:
			position = n
			has |= 2
		}
		b = b[e.head:][e.size:]
	}
	return id, position, has == 3
}
