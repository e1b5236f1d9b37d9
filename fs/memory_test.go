package fs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// memory is the Tree of the tests. Directories of many files are computed.
type memory struct {
	mu      sync.Mutex
	nodes   map[ID]*memNode
	replies atomic.Int64 // not yet Done
	handles atomic.Int64 // not yet closed
	opens   atomic.Int64
	reads   atomic.Int64
}

// lent is a folder of files that the kernel may read by itself.
var lent = os.Getenv(lentEnv)

type memNode struct {
	id, parent ID
	name       string
	mode       uint32
	size       uint64
	link       string
	moving     bool // not Fixed
	many       int  // directory of that many computed files
	children   []*memNode
	read       func(ctx context.Context, off int64, n int) (Reply, error)
}

// manyBase is where the ids of computed files begin: base × id of the directory.
const manyBase = 1 << 32

// pattern is what all files are made of. Its length is a prime, so that no
// wrong offset shows the right bytes.
var pattern = func() []byte {
	b, r := make([]byte, 1048573), rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

// content appends n bytes of file id from off.
func content(b []byte, id ID, off int64, n int) []byte {
	for _, s := range contentSlices(id, off, n, 1<<20) {
		b = append(b, s...)
	}
	return b
}

func contentSlices(id ID, off int64, n, longest int) (out [][]byte) {
	for n > 0 {
		at := int((off + int64(id)*7919) % int64(len(pattern)))
		l := min(n, longest, len(pattern)-at)
		out = append(out, pattern[at:at+l])
		off, n = off+int64(l), n-l
	}
	return out
}

var longName = strings.Repeat("ä", 125) + "long." // 255 bytes

// The ids of the sample tree, which tests name.
const (
	idFiles ID = 100
	idLive  ID = 10
	idDead  ID = 1000
	dead       = 320
)

func newMemory() *memory {
	m := &memory{nodes: map[ID]*memNode{}}
	m.add(&memNode{id: Root, parent: Root, mode: syscall.S_IFDIR | 0o555})
	dir := func(parent, id ID, name string) { m.addFile(parent, id, name, 0).mode = syscall.S_IFDIR | 0o555 }
	dir(Root, idFiles, "files")
	dir(idFiles, 200, "nested")
	dir(200, 201, "deeper")
	for i, size := range []uint64{0, 1, 511, 512, 4096, 16384, 131071, 131073, 1<<20 + 3, 5<<20 + 12345} {
		m.addFile(idFiles, idFiles+1+ID(i), fmt.Sprintf("file-%d", size), size)
	}
	m.addFile(201, 202, "x y\\ z", 70000)
	m.addFile(201, 203, longName, 300)
	m.addFile(200, 204, "run", 20).mode = syscall.S_IFREG | 0o555
	ln := m.addFile(200, 205, "link", 12)
	ln.mode, ln.link = syscall.S_IFLNK|0o777, "deeper/x y\\ z"
	m.addFile(Root, 11, "big", 1<<30)
	m.addFile(Root, idLive, "live", 64<<10)
	m.odd(12, "panic", func(context.Context, int64, int) (Reply, error) { panic("planted") })
	m.odd(13, "short", func(_ context.Context, off int64, n int) (Reply, error) {
		return m.reply(13, off, n-1, 16<<10), nil
	})
	m.odd(14, "errno", func(context.Context, int64, int) (Reply, error) {
		return Reply{}, fmt.Errorf("no peers: %w", syscall.ETIMEDOUT)
	})
	m.odd(15, "enosys", func(context.Context, int64, int) (Reply, error) { return Reply{}, syscall.ENOSYS })
	m.odd(16, "other", func(context.Context, int64, int) (Reply, error) { return Reply{}, errors.New("other") })
	m.odd(17, "crumbs", func(_ context.Context, off int64, n int) (Reply, error) {
		return m.reply(17, off, n, 100), nil
	})
	dir(Root, 20, "unresolved")
	m.nodes[20].moving = true
	dir(Root, idDead, "dead")
	for i := range ID(dead) {
		id := idDead + 1 + i
		m.addFile(idDead, id, fmt.Sprintf("%03d", i), 1<<20).read = func(ctx context.Context, _ int64, _ int) (Reply, error) {
			<-ctx.Done()
			return Reply{}, ctx.Err()
		}
	}
	for _, n := range []int{20_000, 100_000} {
		id := ID(n)
		dir(Root, id, fmt.Sprintf("n%d", n))
		m.nodes[id].many = n
	}
	return m
}

func (m *memory) odd(id ID, name string, read func(context.Context, int64, int) (Reply, error)) {
	m.addFile(Root, id, name, 300<<10).read = read
}

func (m *memory) addFile(parent, id ID, name string, size uint64) *memNode {
	return m.add(&memNode{id: id, parent: parent, name: name, size: size, mode: syscall.S_IFREG | 0o444})
}

func (m *memory) add(n *memNode) *memNode {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[n.id] = n
	if n.id != Root {
		p := m.nodes[n.parent]
		p.children = append(p.children, n)
		sort.Slice(p.children, func(i, j int) bool { return p.children[i].id < p.children[j].id })
	}
	return n
}

func (m *memory) remove(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[id]
	delete(m.nodes, id)
	p := m.nodes[n.parent]
	for i, c := range p.children {
		if c == n {
			p.children = append(p.children[:i:i], p.children[i+1:]...)
		}
	}
}

func (m *memory) node(id ID) (*memNode, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[id]; n != nil {
		return n, nil
	}
	if d := m.nodes[id/manyBase]; d != nil && int(id%manyBase) < d.many {
		return d.computed(int(id % manyBase)), nil
	}
	return nil, syscall.ENOENT
}

func (n *memNode) computed(i int) *memNode {
	return &memNode{
		id: n.id*manyBase + ID(i), parent: n.id, name: fmt.Sprintf("file%06d.dat", i),
		size: uint64(i), mode: syscall.S_IFREG | 0o444,
	}
}

func (n *memNode) attr() Attr {
	when := time.Unix(1700000000, 5)
	return Attr{ID: n.id, Mode: n.mode, Size: n.size, Links: 1, Mtime: when, Ctime: when, Fixed: !n.moving}
}

func (m *memory) Attr(id ID) (Attr, error) {
	n, err := m.node(id)
	if err != nil {
		return Attr{}, err
	}
	return n.attr(), nil
}

func (m *memory) Parent(id ID) (ID, error) {
	n, err := m.node(id)
	if err != nil {
		return 0, err
	}
	return n.parent, nil
}

func (m *memory) Lookup(dir ID, name string) (Attr, error) {
	d, err := m.node(dir)
	if err != nil {
		return Attr{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range d.children {
		if c.name == name {
			return c.attr(), nil
		}
	}
	var i int
	if n, _ := fmt.Sscanf(name, "file%06d.dat", &i); n == 1 && i < d.many {
		return d.computed(i).attr(), nil
	}
	return Attr{}, syscall.ENOENT
}

func (m *memory) OpenDir(ctx context.Context, id ID) error {
	if n, err := m.node(id); err != nil || n.name != "unresolved" {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Minute):
		return syscall.ENODATA
	}
}

// List has sparse places, to show that none is taken for a number of entries.
func (m *memory) List(id ID, from uint64, yield func(uint64, Entry) bool) error {
	d, err := m.node(id)
	if err != nil {
		return err
	}
	m.mu.Lock()
	children := append([]*memNode(nil), d.children...)
	m.mu.Unlock()
	for i := from / 1000; i < uint64(max(len(children), d.many)); i++ {
		var n *memNode
		if d.many > 0 {
			n = d.computed(int(i))
		} else {
			n = children[i]
		}
		if !yield((i+1)*1000, Entry{n.name, n.attr()}) {
			return nil
		}
	}
	return nil
}

func (m *memory) Link(id ID) (string, error) {
	n, err := m.node(id)
	if err != nil {
		return "", err
	}
	return n.link, nil
}

func (m *memory) Statfs() Statfs { return Statfs{Size: 10<<30 + 1, Free: 3 << 30, Files: 77} }

func (m *memory) Open(id ID) (Handle, error) {
	n, err := m.node(id)
	if err != nil {
		return nil, err
	}
	m.handles.Add(1)
	m.opens.Add(1)
	return &memHandle{m, n}, nil
}

func (m *memory) reply(id ID, off int64, n, longest int) Reply {
	m.replies.Add(1)
	return Reply{Slices: contentSlices(id, off, n, longest), Done: func() { m.replies.Add(-1) }}
}

type memHandle struct {
	m *memory
	n *memNode
}

func (h *memHandle) Read(ctx context.Context, off int64, n int, _ Caller) (Reply, error) {
	h.m.reads.Add(1)
	if h.n.read != nil {
		return h.n.read(ctx, off, n)
	}
	return h.m.reply(h.n.id, off, n, 16<<10), nil
}

// Backing is a file in the folder lent, if there is one of the same name.
func (h *memHandle) Backing() (Backing, bool) {
	if lent == "" {
		return nil, false
	}
	f, err := os.Open(filepath.Join(lent, h.n.name))
	if err != nil {
		return nil, false
	}
	h.m.handles.Add(1)
	return memBacking{h.m, f}, true
}

// Hold is the same.
func (h *memHandle) Hold() (Backing, bool) { return h.Backing() }

type memBacking struct {
	m *memory
	f *os.File
}

func (b memBacking) Fd() int { return int(b.f.Fd()) }
func (b memBacking) Close() {
	b.f.Close()
	b.m.handles.Add(-1)
}
func (h *memHandle) Close() { h.m.handles.Add(-1) }
