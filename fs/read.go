package fs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// longestRequest is the most bytes of one READ. More needs a sysctl that is the
// same for the whole machine.
const longestRequest = 1 << 20

// mostSlices is the most slices that are sent as they are; writev(2) takes 1024
// and go-fuse puts two before ours. A reply of more is copied.
const mostSlices = 1000

// file is one open file. Its size was asked when it was opened: it cannot change.
type file struct {
	handle  Handle
	size    uint64
	counted bool // in modes, as the kernel was told how to read it
	passing bool // the kernel reads it by itself
	kept    place
}

// files are the open files. The kernel's number of an open file is no more than
// a hint: a number that is not known, because it was given out by an earlier
// process that served this mount, opens the node again.
type files struct {
	mu   sync.Mutex
	next uint64
	open map[ID]map[uint64]*file // by node, so that the open files of each are counted
}

// init begins the numbers at a random place: those of an earlier process that
// served this mount are not mistaken for ours.
func (fs *files) init() { fs.next, fs.open = rand.Uint64(), map[ID]map[uint64]*file{} }

func (fs *files) number() uint64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.next++
	return fs.next
}

func (fs *files) get(id ID, fh uint64) *file {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.open[id][fh]
}

// put keeps f, or returns the file that another request has put before.
func (fs *files) put(id ID, fh uint64, f *file) *file {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if was := fs.open[id][fh]; was != nil {
		return was
	}
	if fs.open[id] == nil {
		fs.open[id] = map[uint64]*file{}
	}
	fs.open[id][fh] = f
	return f
}

func (fs *files) take(id ID, fh uint64) *file {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.open[id][fh]
	delete(fs.open[id], fh)
	if len(fs.open[id]) == 0 {
		delete(fs.open, id)
	}
	return f
}

// closeAll closes what the kernel did not: after an abort it sends no RELEASE.
// No request is running any more.
func (fs *files) closeAll(close func(ID, *file)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for id, of := range fs.open {
		for _, f := range of {
			close(id, f)
		}
	}
	clear(fs.open)
}

// Open answers OPEN: modes says how. The kernel may keep what it has read before,
// always: bytes never change.
func (n *nodes) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Unique&resent != 0 && n.opened(in.Unique, out) {
		return fuse.OK
	}
	id := ID(in.NodeId)
	if d := n.deed(&in.InHeader); writes(in.Flags) && (d == nil || d.act != completes || d.id != id) {
		s, err := n.inbox().Sink(id)
		if err != nil {
			return n.status("open", id, err)
		}
		n.openSink(s, out)
		return fuse.OK
	}
	f, err := n.newFile(id)
	if err != nil {
		return n.status("open", id, err)
	}
	out.Fh = n.files.number()
	if _, text := f.handle.(Text); text { // another process says it anew
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
		n.files.put(id, out.Fh, f)
		return fuse.OK
	}
	f.passing = n.modes.open(id, f.handle, out)
	f.counted = true
	out.OpenFlags |= fuse.FOPEN_NOFLUSH // a round trip a close, for nothing
	f.kept, err = n.kept.put(opened{fh: out.Fh, node: id, unique: in.Unique &^ resent, pass: f.passing, back: out.BackingID})
	if err != nil {
		n.close(id, f)
		return n.status("open", id, err)
	}
	n.files.put(id, out.Fh, f)
	return fuse.OK
}

func (n *nodes) open(id ID, fh uint64) (*file, error) {
	if f := n.files.get(id, fh); f != nil {
		return f, nil
	}
	f, err := n.newFile(id)
	if err != nil {
		return nil, err
	}
	if was := n.files.put(id, fh, f); was != f {
		f.handle.Close()
		return was, nil
	}
	return f, nil
}

func (n *nodes) newFile(id ID) (*file, error) {
	a, err := n.tree.Attr(id)
	if err != nil {
		return nil, err
	}
	h, err := n.tree.Open(id)
	if err != nil {
		return nil, err
	}
	if text, ok := h.(Text); ok {
		a.Size = uint64(len(text))
	}
	return &file{handle: h, size: a.Size}, nil
}

// close undoes Open.
func (n *nodes) close(id ID, f *file) {
	n.kept.drop(f.kept)
	if f.counted {
		n.modes.release(id, f.passing)
	}
	f.handle.Close()
}

// Release answers RELEASE: the last descriptor of an open file is closed.
func (n *nodes) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if f := n.files.take(ID(in.NodeId), in.Fh); f != nil {
		n.waits.closeFile(f)
		n.close(ID(in.NodeId), f)
	}
	if s := n.sinks.take(in.Fh); s != nil {
		s.Close()
	}
}

// Read answers READ with all the bytes that are asked for and inside the file,
// or with an error.
func (n *nodes) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	id := ID(in.NodeId)
	f, err := n.open(id, in.Fh)
	if err != nil {
		return nil, n.status("read", id, err)
	}
	if in.Offset > math.MaxInt64 {
		return nil, fuse.EINVAL
	}
	if in.Offset >= f.size || in.Size == 0 {
		return fuse.ReadResultData(nil), fuse.OK
	}
	size := int(min(uint64(in.Size), f.size-in.Offset))
	w := n.waits.begin(cancel, in.Pid, f)
	defer n.waits.end(w)
	if err := w.Context.Err(); err != nil {
		// The mount is ending. What is at hand is not given either: or a reader
		// that goes on and on would hold up the end.
		return nil, n.status("read", id, err)
	}
	reply, err := f.handle.Read(w, int64(in.Offset), size, Caller{TID: in.Pid, UID: in.Uid})
	if err != nil {
		return nil, n.status("read", id, err)
	}
	if got := reply.size(); got != size {
		reply.release()
		return nil, n.status("read", id, fmt.Errorf("%d bytes instead of %d at %d", got, size, in.Offset))
	}
	if len(reply.Slices) > mostSlices {
		defer reply.release()
		return fuse.ReadResultData(concat(buf[:0], reply.Slices)), fuse.OK
	}
	return &vector{reply, size}, fuse.OK
}

// vector is a fuse.ReadResult that go-fuse sends with one writev(2), without a
// copy, because it has Slices. Then go-fuse calls Done, once, but only for a
// result of at least one byte.
type vector struct {
	reply Reply
	size  int
}

func (v *vector) Size() int                       { return v.size }
func (v *vector) Done()                           { v.reply.release() }
func (v *vector) Slices() ([][]byte, fuse.Status) { return v.reply.Slices, fuse.OK }
func (v *vector) Bytes(buf []byte) ([]byte, fuse.Status) {
	return concat(buf[:0], v.reply.Slices), fuse.OK
}

func concat(b []byte, slices [][]byte) []byte {
	for _, s := range slices {
		b = append(b, s...)
	}
	return b
}

var _ interface {
	fuse.ReadResult
	Slices() ([][]byte, fuse.Status)
} = (*vector)(nil)
