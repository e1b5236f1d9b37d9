package utp

// stream is a queue of bytes in blocks that come from memory and go back as
// soon as they are empty: an idle connection holds none. All blocks but the
// first are of blockSize.
//
//	blocks[0]        blocks[1]              blocks[n-1]
//	[....xxxxxxxx]   [xxxxxxxxxxxxxxxx] ... [xxxxxx..........]
//	     ^ from                                    ^ from+size
type stream struct {
	blocks [][]byte
	from   int // where the bytes begin in the first block
	size   int // bytes
}

// locate finds the block that holds position at (counted from the start of the
// first block), and the place inside it.
func (s *stream) locate(at int) (block, place int) {
	first := len(s.blocks[0])
	if at < first {
		return 0, at
	}
	return 1 + (at-first)/blockSize, (at - first) % blockSize
}

// space is how many bytes of the blocks lie behind the last byte.
func (s *stream) space() int {
	if len(s.blocks) == 0 {
		return 0
	}
	return len(s.blocks[0]) + (len(s.blocks)-1)*blockSize - s.from - s.size
}

// append takes in all of p.
func (s *stream) append(m *memory, p []byte) {
	for len(p) > 0 {
		if s.space() == 0 {
			want := blockSize
			if len(s.blocks) == 0 && len(p) <= smallSize {
				want = smallSize
			}
			s.blocks = append(s.blocks, m.get(want))
		}
		block, place := s.locate(s.from + s.size)
		n := copy(s.blocks[block][place:], p)
		s.size += n
		p = p[n:]
	}
}

// copy fills p with the bytes from position at on, which must be there.
func (s *stream) copy(p []byte, at int) {
	if at < 0 || at+len(p) > s.size {
		panic("utp: copy outside of the stream")
	}
	for len(p) > 0 {
		block, place := s.locate(s.from + at)
		n := copy(p, s.blocks[block][place:])
		at += n
		p = p[n:]
	}
}

// discard drops the first n bytes.
func (s *stream) discard(m *memory, n int) {
	if n < 0 || n > s.size {
		panic("utp: discard of more than the stream has")
	}
	s.from += n
	s.size -= n
	empty := 0
	for empty < len(s.blocks) && s.from >= len(s.blocks[empty]) {
		s.from -= len(s.blocks[empty])
		m.put(s.blocks[empty])
		empty++
	}
	if s.size == 0 && empty < len(s.blocks) {
		m.put(s.blocks[empty])
		empty++
	}
	if s.size == 0 {
		s.from = 0
	}
	if empty > 0 {
		n := copy(s.blocks, s.blocks[empty:])
		clear(s.blocks[n:])
		s.blocks = s.blocks[:n]
	}
	if n := cap(s.blocks); len(s.blocks) == 0 && n > 4 {
		s.blocks = nil
	}
}
