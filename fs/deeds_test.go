package fs

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// nobodyActs is a worker that does as it is told by a test.
type nobodyActs struct {
	did       func(deed) error
	dismissed int
}

func (w *nobodyActs) thread() uint32  { return 77 }
func (w *nobodyActs) do(d deed) error { return w.did(d) }
func (w *nobodyActs) dismiss()        { w.dismissed++ }

// TestDeeds: a deed that is hindered is tried again, so often; a hand that fails is
// exchanged; what does not fit in the queue is dropped, and said once.
func TestDeeds(t *testing.T) {
	var mu sync.Mutex
	var done []string
	var hired []*nobodyActs
	begun, go_on := make(chan struct{}), make(chan struct{})
	n := testNodes(newMemory())
	w := func() (worker, error) {
		w := &nobodyActs{did: func(d deed) error {
			if d.place.Path == "first" {
				close(begun)
				<-go_on
			}
			h := &fuse.InHeader{Caller: fuse.Caller{Pid: 77}}
			if n.deed(h) == nil || n.deed(h).place.Path != d.place.Path {
				t.Errorf("%v is not the deed under way", d)
			}
			if h.Pid = 78; n.deed(h) != nil {
				t.Error("another thread is the hand")
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, d.place.Path)
			switch d.place.Path {
			case "there":
				return syscall.EEXIST
			case "stuck":
				return errHand
			}
			return nil
		}}
		hired = append(hired, w)
		return w, nil
	}
	d := startDeeds(n, Kernel{}, w, quiet())
	s := Show{d}
	s.Created(Place{"first", []ID{1}})
	<-begun
	for range mostDeeds - 2 {
		s.Completed("file", 2)
	}
	s.Created(Place{"there", []ID{3}})
	s.Created(Place{"stuck", []ID{4}})
	s.Created(Place{"dropped", []ID{5}})
	close(go_on)
	want := mostDeeds - 2 + 1 + mostTries + 1
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		n := len(done)
		mu.Unlock()
		if n == want {
			break
		}
		if time.Since(began) > longEnough {
			t.Fatalf("%d deeds, not %d", n, want)
		}
	}
	s.Created(Place{"last", []ID{6}})
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		last := done[len(done)-1]
		mu.Unlock()
		if last == "last" {
			break
		}
		if time.Since(began) > longEnough {
			t.Fatalf("the last deed is %s", last)
		}
	}
	d.close()
	if len(hired) != 2 || hired[0].dismissed != 1 || hired[1].dismissed != 1 {
		t.Errorf("%d hands: %+v", len(hired), hired)
	}
	if slices.Contains(done, "dropped") {
		t.Error("the queue has no bound")
	}
	s.Created(Place{"after the end", []ID{7}})
	Show{}.Created(Place{"nothing shows it", []ID{1}})
}

// TestDeedsNoHand: where no hand can be started, deeds are dropped.
func TestDeedsNoHand(t *testing.T) {
	asked := make(chan struct{}, 2)
	d := startDeeds(testNodes(newMemory()), Kernel{}, func() (worker, error) {
		asked <- struct{}{}
		return nil, errors.New("no process")
	}, quiet())
	Show{d}.Created(Place{"x", []ID{1}})
	<-asked
	Show{d}.Created(Place{"y", []ID{1}})
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		left := len(d.queue)
		d.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Since(began) > longEnough {
			t.Fatal("a deed is kept")
		}
	}
	d.close()
	if len(asked) > 0 {
		t.Error("a hand is started again at once")
	}
}

// TestDeedAnswers: the hand is deceived about its own deed only, and does nothing that
// is not so any more.
func TestDeedAnswers(t *testing.T) {
	tree := newMemory()
	n := testNodes(tree)
	as := func(d deed) { n.doing.Store(&doing{d, 77}) }
	header := fuse.InHeader{NodeId: 1, Caller: fuse.Caller{Pid: 77}}
	other := fuse.InHeader{NodeId: 1, Caller: fuse.Caller{Pid: 78}}
	lookup := func(h fuse.InHeader, name string) (uint64, fuse.Status) {
		var out fuse.EntryOut
		st := n.Lookup(nil, &h, name, &out)
		return out.NodeId, st
	}
	mkdir := func(h fuse.InHeader, name string) fuse.Status {
		return n.Mkdir(nil, &fuse.MkdirIn{InHeader: h}, name, &fuse.EntryOut{})
	}
	rename := func(h fuse.InHeader, name, to string) fuse.Status {
		return n.Rename(nil, &fuse.RenameIn{InHeader: h, Newdir: 1}, name, to)
	}

	as(deed{act: creates, place: Place{"files", []ID{idFiles}}, id: idFiles})
	if _, st := lookup(header, "files"); st != fuse.ENOENT {
		t.Errorf("to come, for the hand: %v", st)
	}
	if id, st := lookup(other, "files"); st != fuse.OK || ID(id) != idFiles {
		t.Errorf("to come, for others: %v, %v", id, st)
	}
	if id, st := lookup(header, "live"); st != fuse.OK || ID(id) != idLive {
		t.Errorf("another name, for the hand: %v, %v", id, st)
	}
	for _, c := range []struct {
		h    fuse.InHeader
		name string
		want fuse.Status
	}{{other, "files", fuse.EROFS}, {header, "dead", fuse.EROFS}, {header, "files", fuse.OK}} {
		if st := mkdir(c.h, c.name); st != c.want {
			t.Errorf("mkdir %s: %v", c.name, st)
		}
	}
	as(deed{act: creates, place: Place{"files", []ID{9999}}, id: 9999})
	if st := mkdir(header, "files"); st != fuse.EROFS {
		t.Errorf("another has the name by now: %v", st)
	}

	as(deed{act: removes, place: Place{"gone", []ID{61}}, id: 61})
	if id, st := lookup(header, "gone"); st != fuse.OK || id != 61 {
		t.Errorf("gone, for the hand: %v, %v", id, st)
	}
	if _, st := lookup(other, "gone"); st != fuse.ENOENT {
		t.Errorf("gone, for others: %v", st)
	}
	if st := n.Rmdir(nil, &other, "gone"); st != fuse.EROFS {
		t.Errorf("others' rmdir: %v", st)
	}
	if st := n.Rmdir(nil, &header, "gone"); st != fuse.OK {
		t.Errorf("rmdir: %v", st)
	}
	as(deed{act: removes, place: Place{"files", []ID{61}}, id: 61})
	if st := n.Rmdir(nil, &header, "files"); st != fuse.EROFS {
		t.Errorf("rmdir of what has come again: %v", st)
	}

	as(deed{act: moves, place: Place{"old", []ID{idFiles}}, to: Place{"files", []ID{idFiles}}, id: idFiles})
	if id, st := lookup(header, "old"); st != fuse.OK || ID(id) != idFiles {
		t.Errorf("the old name: %v, %v", id, st)
	}
	if _, st := lookup(header, "files"); st != fuse.ENOENT {
		t.Errorf("the new name: %v", st)
	}
	if st := rename(other, "old", "files"); st != fuse.EROFS {
		t.Errorf("others' rename: %v", st)
	}
	if st := rename(header, "old", "files"); st != fuse.OK {
		t.Errorf("rename: %v", st)
	}

	as(deed{act: completes, place: Place{"live", []ID{idLive}}, id: idLive})
	open := func(h fuse.InHeader, id ID) fuse.Status {
		h.NodeId = uint64(id)
		var out fuse.OpenOut
		st := n.Open(nil, &fuse.OpenIn{InHeader: h, Flags: syscall.O_WRONLY}, &out)
		if st == fuse.OK {
			n.Release(nil, &fuse.ReleaseIn{InHeader: h, Fh: out.Fh})
		}
		return st
	}
	if a, b, c := open(header, idLive), open(other, idLive), open(header, 11); a != fuse.OK || b != fuse.EROFS || c != fuse.EROFS {
		t.Errorf("open to write: %v, others %v, another file %v", a, b, c)
	}
	for _, h := range []fuse.InHeader{header, other} {
		var out fuse.AttrOut
		n.GetAttr(nil, &fuse.GetAttrIn{InHeader: h}, &out)
		if hand := h.Pid == 77; (out.Mode&0o222 != 0) != hand || (out.AttrValid == 0) != hand {
			t.Errorf("thread %d sees mode %o for %d s", h.Pid, out.Mode, out.AttrValid)
		}
	}
	if handles := tree.handles.Load(); handles != 0 {
		t.Errorf("%d handles are left", handles)
	}
}
