package diskcache

import (
	"fmt"
	"sync"
	"time"
	"unsafe"

	"bipfs/wire"
)

// memory is the block memory: one region outside the Go heap, cut into blocks,
// with a header for each. It is reserved at once and costs nothing until it is
// touched; slabs of it that lie idle go back to the system.
//
// It knows only free and taken. Who may take how much is the ledger's affair:
// a block is given back here before the ledger hears of it and is taken after
// the ledger granted it, so that a taker always finds one.
type memory struct {
	region  []byte
	headers []block

	mu    sync.Mutex
	free  []int32 // block numbers, the one to take next at the end
	slabs []slab
}

// slabBlocks is the number of blocks of the 4 MiB that are given back to the
// system together.
const slabBlocks = 256

// slabIdle is how long a slab must lie idle before that.
const slabIdle = 10 * time.Second

type slab struct {
	taken   int  // blocks
	touched bool // since it was last given to the system
	idle    time.Duration
}

// poison makes memory that is given back unreadable, so that whoever goes on
// reading it finds out. Tests turn it on.
var poison = racing

// poisoned is what is then in it.
var poisoned = func() (b wire.Buf) {
	for i := range b {
		b[i] = 0xdb
	}
	return b
}()

func newMemory(d *Disk, blocks int) (*memory, error) {
	region, err := mapRegion(blocks * wire.BlockSize)
	if err != nil {
		return nil, fmt.Errorf("cannot reserve %d MiB of memory: %w", blocks*wire.BlockSize>>20, err)
	}
	m := &memory{
		region:  region,
		headers: make([]block, blocks),
		free:    make([]int32, blocks),
		slabs:   make([]slab, (blocks+slabBlocks-1)/slabBlocks),
	}
	for i := range m.headers {
		m.headers[i].disk = d
		m.headers[i].buf = (*wire.Buf)(region[i*wire.BlockSize:])
		m.free[blocks-1-i] = int32(i)
	}
	return m, nil
}

// take fills bufs with blocks. That there are enough has been granted.
func (m *memory) take(bufs []*wire.Buf) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.free) < len(bufs) {
		panic("diskcache: more memory was granted than there is")
	}
	for i := range bufs {
		n := m.free[len(m.free)-1]
		m.free = m.free[:len(m.free)-1]
		bufs[i] = m.headers[n].buf
		s := &m.slabs[n/slabBlocks]
		s.taken++
		if !s.touched {
			s.touched = true
			populate(m.slab(int(n / slabBlocks)))
		}
	}
}

// give takes blocks back; nil ones are skipped.
func (m *memory) give(now time.Duration, bufs ...*wire.Buf) {
	if poison {
		for _, b := range bufs {
			if b != nil {
				*b = poisoned
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range bufs {
		if b == nil {
			continue
		}
		n := m.number(b)
		m.free = append(m.free, int32(n))
		s := &m.slabs[n/slabBlocks]
		s.taken--
		s.idle = now
		if s.taken < 0 || len(m.free) > len(m.headers) {
			panic("diskcache: a block was given back twice")
		}
	}
}

// number is the number of a block by its address. A block of other memory is
// our bug.
func (m *memory) number(b *wire.Buf) int {
	off := uintptr(unsafe.Pointer(b)) - uintptr(unsafe.Pointer(unsafe.SliceData(m.region)))
	if off >= uintptr(len(m.region)) || off%wire.BlockSize != 0 {
		panic("diskcache: a block of foreign memory")
	}
	return int(off / wire.BlockSize)
}

func (m *memory) header(b *wire.Buf) *block { return &m.headers[m.number(b)] }

// slab is the memory of one.
func (m *memory) slab(i int) []byte {
	from := i * slabBlocks * wire.BlockSize
	return m.region[from:min(len(m.region), from+slabBlocks*wire.BlockSize)]
}

// rest gives slabs that have been idle for slabIdle back to the system.
func (m *memory) rest(now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.slabs {
		s := &m.slabs[i]
		if s.touched && s.taken == 0 && now-s.idle >= slabIdle {
			forget(m.slab(i))
			s.touched = false
		}
	}
}

// taken is the number of blocks that somebody has.
func (m *memory) taken() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.headers) - len(m.free)
}

// close gives the region back to the system, unless somebody still holds a
// block of it: then it stays for the rest of the process's life.
func (m *memory) close() {
	if m.taken() == 0 {
		unmapRegion(m.region)
		m.region = nil
	}
}
