package fs

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"
)

// Each open file has a record in the memory file of its connection, from before
// its OPEN is answered until its RELEASE is handled, so that the process that
// serves the mount next knows how the kernel was told to read which inode.
//
//	4096+64k  how it is read, 8: 0 nothing is open, 1 cached, 2 passing
//	           8  number of the open file, 8
//	          16  node, 8
//	          24  number of its OPEN, 8
//	          32  the kernel's name of the backing file, 8; zeros follow
//
// A record lies in one page and is one write(2), which a process that is killed has
// done or not.
const recordLength = 64

// mostHandles is how many files may be open on a mount at a time; more are ENFILE.
const mostHandles = 1 << 20

// opened is what a record holds.
type opened struct {
	fh     uint64
	node   ID
	unique uint64 // of OPEN, without resent
	pass   bool
	back   int32 // the kernel's name of the backing file, when pass
}

// place is where a record is. The zero place is none.
type place uint32

// handles are the records of a connection.
type handles struct {
	file *os.File

	mu   sync.Mutex
	free []place // below next
	next place
}

const (
	kindCached  = 1
	kindPassing = 2
)

func (p place) offset() int64 { return statePage + int64(p-1)*recordLength }

// read finds the records that are there. It is called once, before all else.
func (h *handles) read() (all map[place]opened, err error) {
	h.next = 1
	st, err := h.file.Stat()
	if err != nil {
		return nil, err
	}
	n := min((st.Size()-statePage)/recordLength, mostHandles)
	if n <= 0 {
		return nil, nil
	}
	b := make([]byte, n*recordLength)
	if _, err := h.file.ReadAt(b, statePage); err != nil {
		return nil, err
	}
	all = map[place]opened{}
	for ; len(b) >= recordLength; b = b[recordLength:] {
		at := h.next
		h.next++
		kind := binary.LittleEndian.Uint64(b)
		if kind != kindCached && kind != kindPassing {
			h.free = append(h.free, at)
			continue
		}
		all[at] = opened{
			fh:     binary.LittleEndian.Uint64(b[8:]),
			node:   ID(binary.LittleEndian.Uint64(b[16:])),
			unique: binary.LittleEndian.Uint64(b[24:]),
			pass:   kind == kindPassing,
			back:   int32(binary.LittleEndian.Uint64(b[32:])),
		}
	}
	return all, nil
}

// put writes a record.
func (h *handles) put(o opened) (place, error) {
	h.mu.Lock()
	at := h.next
	if n := len(h.free); n > 0 {
		at, h.free = h.free[n-1], h.free[:n-1]
	} else if h.next++; at > mostHandles {
		h.next--
		h.mu.Unlock()
		return 0, syscall.ENFILE
	}
	h.mu.Unlock()
	kind := uint64(kindCached)
	if o.pass {
		kind = kindPassing
	}
	b := make([]byte, 0, recordLength)
	for _, v := range []uint64{kind, o.fh, uint64(o.node), o.unique, uint64(o.back)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if _, err := h.file.WriteAt(b[:recordLength], at.offset()); err != nil {
		h.drop(at)
		return 0, err
	}
	return at, nil
}

// drop takes a record back.
func (h *handles) drop(at place) {
	if at == 0 {
		return
	}
	// It is memory: nothing but a limit on the size of files can fail it, and a
	// record that was written lies below that.
	_, _ = h.file.WriteAt(make([]byte, 8), at.offset())
	h.mu.Lock()
	h.free = append(h.free, at)
	h.mu.Unlock()
}
