package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// lender lends a sample file, if it can vouch for it.
type lender struct {
	*memory
	proven   atomic.Bool
	read     atomic.Int64 // bytes
	borrowed atomic.Int64
}

const lentID = idFiles + 10

type lenderHandle struct {
	Handle
	l *lender
}

func (l *lender) Open(id ID) (Handle, error) {
	h, err := l.memory.Open(id)
	if err != nil || id != lentID {
		return h, err
	}
	return lenderHandle{h, l}, nil
}

func (h lenderHandle) Read(ctx context.Context, off int64, n int, c Caller) (Reply, error) {
	h.l.read.Add(int64(n))
	return h.Handle.Read(ctx, off, n, c)
}

func (h lenderHandle) Backing() (Backing, bool) {
	if !h.l.proven.Load() {
		return nil, false
	}
	h.l.borrowed.Add(1)
	return borrowed{h.l}, true
}

func (h lenderHandle) Hold() (Backing, bool) {
	h.l.borrowed.Add(1)
	return borrowed{h.l}, true
}

type borrowed struct{ l *lender }

func (borrowed) Fd() int  { return 0 }
func (b borrowed) Close() { b.l.borrowed.Add(-1) }

func openIn(id ID, unique uint64) *fuse.OpenIn {
	in := &fuse.OpenIn{}
	in.NodeId, in.Unique = uint64(id), unique
	return in
}

func release(n *nodes, id ID, fh uint64) {
	in := &fuse.ReleaseIn{Fh: fh}
	in.NodeId = uint64(id)
	n.Release(nil, in)
}

// successor is who serves after n, which has died.
func successor(t *testing.T, n *nodes, tree Tree, kernel backer) *nodes {
	t.Helper()
	next := newNodes(tree, n.opt, &handles{file: n.kept.file})
	if err := next.resume(); err != nil {
		t.Fatal(err)
	}
	next.modes.serve(kernel)
	return next
}

// TestResume: the one who comes next knows what is open, and how; an OPEN that was
// handled and not answered is answered the same; what is released is forgotten.
func TestResume(t *testing.T) {
	kernel := &refuser{takes: 1}
	tree := &lender{memory: newMemory()}
	tree.proven.Store(true)
	n := testNodes(tree)
	n.modes.serve(kernel)
	var passing, cached, lost fuse.OpenOut
	for i, o := range []struct {
		id  ID
		out *fuse.OpenOut
	}{{lentID, &passing}, {idFiles + 9, &cached}, {lentID, &lost}} {
		if s := n.Open(nil, openIn(o.id, uint64(i)), o.out); s != fuse.OK {
			t.Fatal(s)
		}
	}
	if passing.OpenFlags != fuse.FOPEN_PASSTHROUGH|fuse.FOPEN_NOFLUSH || cached.OpenFlags != fuse.FOPEN_KEEP_CACHE|fuse.FOPEN_NOFLUSH {
		t.Fatalf("%+v, %+v", passing, cached)
	}
	second := &lender{memory: newMemory()} // which cannot vouch for the file yet
	n = successor(t, n, second, kernel)
	if held, read := second.borrowed.Load(), second.read.Load(); held != 1 || read != 0 {
		t.Errorf("at once it holds %d files, of which it has read %d bytes", held, read)
	}
	var again fuse.OpenOut
	if s := n.Open(nil, openIn(lentID, resent|2), &again); s != fuse.OK || again.Fh != lost.Fh || again.BackingID != passing.BackingID || again.OpenFlags != lost.OpenFlags {
		t.Errorf("an OPEN that comes again: %v, %+v, not %+v", s, again, lost)
	}
	var another fuse.OpenOut
	if s := n.Open(nil, openIn(lentID, 900), &another); s != fuse.OK || another.BackingID != passing.BackingID {
		t.Errorf("opened once more: %v, %+v", s, another)
	}
	for _, o := range []struct {
		id ID
		fh uint64
	}{{lentID, passing.Fh}, {lentID, lost.Fh}, {idFiles + 9, cached.Fh}, {lentID, lost.Fh}} {
		release(n, o.id, o.fh)
	}
	if second.borrowed.Load() != 1 || kernel.given != 0 || len(n.modes.of) != 1 {
		t.Errorf("one has it open: lent %d, given back %d, %d modes", second.borrowed.Load(), kernel.given, len(n.modes.of))
	}
	release(n, lentID, another.Fh)
	if second.borrowed.Load() != 0 || kernel.given != 1 || len(n.modes.of) != 0 || second.handles.Load() != 0 {
		t.Errorf("nobody has it open: lent %d, given back %d, %d modes, %d handles", second.borrowed.Load(), kernel.given, len(n.modes.of), second.handles.Load())
	}
	if all, err := (&handles{file: n.kept.file}).read(); err != nil || len(all) != 0 {
		t.Errorf("kept are %v, %v", all, err)
	}
}

// TestResumeAbsent: a file that is here no more fails to be read, and can be closed.
func TestResumeAbsent(t *testing.T) {
	tree := newMemory()
	n := testNodes(tree)
	var out fuse.OpenOut
	if s := n.Open(nil, openIn(11, 1), &out); s != fuse.OK {
		t.Fatal(s)
	}
	tree.remove(11)
	n = successor(t, n, tree, &refuser{})
	in := &fuse.ReadIn{Fh: out.Fh, Size: 10, Offset: 1 << 20}
	in.NodeId = 11
	if _, s := n.Read(nil, in, make([]byte, 10)); s != fuse.ENOENT {
		t.Errorf("read: %v", s)
	}
	release(n, 11, out.Fh)
	if len(n.modes.of) != 0 || len(n.files.open) != 0 {
		t.Errorf("left are %v, %v", n.modes.of, n.files.open)
	}
}

// TestHandles: records at the bound, and their places again.
func TestHandles(t *testing.T) {
	h := testNodes(newMemory()).kept
	first, err := h.put(opened{fh: 7, node: 8, unique: 9, pass: true, back: 10})
	if err != nil || first == 0 {
		t.Fatal(first, err)
	}
	h.next = mostHandles
	last, err := h.put(opened{fh: 17})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.put(opened{}); !errors.Is(err, syscall.ENFILE) {
		t.Errorf("one too many: %v", err)
	}
	h.drop(last)
	h.drop(0)
	if at, err := h.put(opened{fh: 18}); at != last || err != nil {
		t.Errorf("a place that is free again: %d, %v", at, err)
	}
	again := &handles{file: h.file}
	all, err := again.read()
	if err != nil || len(all) != 2 || all[first] != (opened{7, 8, 9, true, 10}) || all[last].fh != 18 {
		t.Errorf("read: %v, %v", all, err)
	}
	if at, err := again.put(opened{}); err != nil || at == first || at == last {
		t.Errorf("a place that is taken: %d, %v", at, err)
	}
}

// TestRefusal: an answer for whoever waits for one, with the number of the request. What
// is closed meanwhile, or was never open as its OPEN was not answered, is open to nobody
// who comes next.
func TestRefusal(t *testing.T) {
	h := testNodes(newMemory()).kept
	for _, c := range []struct {
		op    uint32
		errno int32
		none  bool
	}{
		{op: 1, errno: -int32(syscall.EIO)}, {op: 15, errno: -int32(syscall.EIO)}, {op: 4711, errno: -int32(syscall.EIO)},
		{op: opOpen, errno: -int32(syscall.EIO)}, {op: opRelease}, {op: opReleaseDir},
		{op: opForget, none: true}, {op: opBatchForget, none: true}, {op: opInterrupt, none: true},
	} {
		for _, length := range []int{releaseFh + 24, requestHeader, requestHeader - 1, 0} {
			request := make([]byte, length)
			if length > requestHeader {
				binary.NativeEndian.PutUint64(request[releaseFh:], 99)
			}
			if length >= requestHeader {
				binary.NativeEndian.PutUint32(request[requestOpcode:], c.op)
				binary.NativeEndian.PutUint64(request[requestUnique:], resent|42)
			}
			at, err := h.put(opened{fh: 99, node: 11, unique: 42})
			if err != nil {
				t.Fatal(err)
			}
			got := refusal(request, leftOpen{h, map[uint64]place{99: at}, map[uint64]place{42: at}})
			all, err := (&handles{file: h.file}).read()
			if err != nil {
				t.Fatal(err)
			}
			if len(all) > 0 {
				h.drop(at)
			}
			if (got == nil) != (c.none || length < requestHeader) {
				t.Fatalf("%+v, %d bytes: %x", c, length, got)
			}
			if got == nil {
				continue
			}
			if n, errno := binary.NativeEndian.Uint32(got), int32(binary.NativeEndian.Uint32(got[4:])); int(n) != len(got) ||
				errno != c.errno || binary.NativeEndian.Uint64(got[8:]) != resent|42 {
				t.Errorf("%+v: %x", c, got)
			}
			if gone := c.op == opOpen || c.op == opRelease && length > requestHeader; gone != (len(all) == 0) {
				t.Errorf("%+v, %d bytes: left are %v", c, length, all)
			}
		}
	}
}

// TestTerms: a server that comes later hears what was agreed, and one that would
// agree to something else is refused.
func TestTerms(t *testing.T) {
	offer, answer := make([]byte, 104), make([]byte, 80)
	binary.NativeEndian.PutUint32(offer[offerFlags:], 0xff)
	binary.NativeEndian.PutUint32(answer[answerFlags:], 0x0f0)
	binary.NativeEndian.PutUint32(answer[answerMaxWrite:], longestRequest)
	c := &Connection{offer: offer, answer: answer}
	if got := binary.NativeEndian.Uint32(c.repeated()[offerFlags:]); got != 0xf0 {
		t.Errorf("offered again: %x", got)
	}
	if err := c.compatible(append([]byte(nil), answer...)); err != nil {
		t.Error(err)
	}
	for _, at := range []int{answerFlags, answerFlags2, answerMaxWrite} {
		other := append([]byte(nil), answer...)
		other[at] ^= 4
		if err := c.compatible(other); !errors.Is(err, errTerms) {
			t.Errorf("other at %d: %v", at, err)
		}
	}
	if err := c.compatible(nil); !errors.Is(err, errTerms) {
		t.Error(err)
	}
}

// TestInheritOther: what another program left, or damaged, is refused.
func TestInheritOther(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"nothing": func([]byte) []byte { return nil },
		"version": func(b []byte) []byte { b[8]++; return b },
		"magic":   func(b []byte) []byte { b[0]++; return b },
		"short":   func(b []byte) []byte { b[12] = 1; return b },
		"long":    func(b []byte) []byte { b[14] = 1; return b },
	} {
		c := &Connection{offer: make([]byte, shortestOffer), answer: make([]byte, shortestAnswer)}
		if err := c.remember(); err != nil {
			t.Fatal(err)
		}
		page := make([]byte, statePage)
		if _, err := c.state.ReadAt(page, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.state.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.state.WriteAt(change(page), 0); err != nil {
			t.Fatal(err)
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		var fds [2]int
		for i, f := range []*os.File{null, c.state} {
			if fds[i], err = syscall.Dup(int(f.Fd())); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		if _, err := Inherit(t.TempDir(), fds); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestCut: what waits ends after the cut, and what begins then; nothing is cut
// where nothing waits.
func TestCut(t *testing.T) {
	var ws waits
	ws.init(func(uint32) bool { return true })
	defer ws.running.Wait()
	ws.cut(func() { t.Error("nothing waits") })
	w := ws.begin(nil, 0, nil)
	cut := false
	ws.cut(func() { cut = w.Context.Err() == nil })
	select {
	case <-w.Done():
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
	ws.end(w)
	if later := ws.begin(nil, 0, nil); !cut || later.Context.Err() == nil {
		t.Errorf("cut %v, later: %v", cut, later.Context.Err())
	}
}
