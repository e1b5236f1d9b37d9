package utp

import (
	"sync"
	"sync/atomic"
)

// Sizes of buffers. A block takes the payload of the largest packet that we
// send; a small one that of a packet of the internet.
const (
	smallSize = 2 << 10
	blockSize = 16 << 10
)

// memory is what the connections of one socket hold of payload: sent and not
// acknowledged, or received and not read. Its methods may be called from any
// goroutine.
type memory struct {
	limit  int64
	used   atomic.Int64
	smalls sync.Pool // of *[smallSize]byte
	blocks sync.Pool // of *[blockSize]byte
}

// get is a buffer of at least n bytes, whose capacity is counted.
func (m *memory) get(n int) (b []byte) {
	switch {
	case n <= smallSize:
		if a, ok := m.smalls.Get().(*[smallSize]byte); ok {
			b = a[:]
		} else {
			b = make([]byte, smallSize)
		}
	case n <= blockSize:
		if a, ok := m.blocks.Get().(*[blockSize]byte); ok {
			b = a[:]
		} else {
			b = make([]byte, blockSize)
		}
	default:
		b = make([]byte, n)
	}
	m.used.Add(int64(len(b)))
	return b
}

// put takes back what get gave. Nobody may hold it any more.
func (m *memory) put(b []byte) {
	m.used.Add(-int64(cap(b)))
	switch cap(b) {
	case smallSize:
		m.smalls.Put((*[smallSize]byte)(b[:smallSize]))
	case blockSize:
		m.blocks.Put((*[blockSize]byte)(b[:blockSize]))
	}
}

// allowance is how many bytes one connection may hold in one direction: most,
// and less when all of them together hold much, but never less than
// leastBuffer, without which a connection would stand still.
func (m *memory) allowance() int {
	free := (m.limit - m.used.Load()) / 8
	return int(min(max(free, leastBuffer), mostBuffer))
}
