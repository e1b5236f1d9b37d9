package fs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// showDoes changes the root of the sample tree and shows it.
func showDoes(s *Server, tree *memory, words []string) string {
	const idShown ID = 60
	switch words[0] {
	case "show-created":
		tree.addFile(Root, idShown, words[1], 0).mode = syscall.S_IFDIR | 0o555
		s.Show().Created(Place{words[1], []ID{idShown}})
	case "show-moved":
		tree.mu.Lock()
		tree.nodes[idShown].name = words[2]
		tree.mu.Unlock()
		s.Kernel().Entry(Root, words[1])
		s.Show().Moved(Place{words[1], []ID{idShown}}, Place{words[2], []ID{idShown}})
	case "show-removed":
		tree.remove(idShown)
		s.Kernel().Gone(Root, idShown, words[1])
		s.Show().Removed(Place{words[1], []ID{idShown}})
	case "show-completed":
		s.Show().Completed(words[1], idFiles+5)
	default:
		return "what?"
	}
	return "ok"
}

// inotify is what a watch of a directory sees.
type inotify struct {
	mu   sync.Mutex
	seen []string
}

var inotifyNames = map[uint32]string{
	unix.IN_CREATE: "create", unix.IN_DELETE: "delete", unix.IN_CLOSE_WRITE: "close_write",
	unix.IN_MOVED_FROM: "moved_from", unix.IN_MOVED_TO: "moved_to",
}

func watchDir(t *testing.T, dir string) *inotify {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	var mask uint32
	for m := range inotifyNames {
		mask |= m
	}
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		t.Fatal(err)
	}
	f, w := os.NewFile(uintptr(fd), "inotify"), &inotify{}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, err := f.Read(b)
			if err != nil {
				return
			}
			for at := 0; at < n; {
				e := b[at : at+unix.SizeofInotifyEvent]
				mask := uint32(e[4]) | uint32(e[5])<<8
				length := int(e[12]) | int(e[13])<<8
				name := strings.TrimRight(string(b[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+length]), "\x00")
				at += unix.SizeofInotifyEvent + length
				w.mu.Lock()
				w.seen = append(w.seen, inotifyNames[mask]+" "+name)
				w.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		f.Close()
		reading.Wait()
	})
	return w
}

func (w *inotify) sees(t *testing.T, want ...string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		seen := slices.Clone(w.seen)
		w.mu.Unlock()
		if slices.Equal(seen, want) {
			return
		}
		if time.Since(began) > longEnough {
			t.Fatalf("seen %q, not %q", seen, want)
		}
	}
}

// TestShow: what has changed is seen by inotify, and nothing else is other than it was.
func TestShow(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	root, files := watchDir(t, m.dir), watchDir(t, m.path("files"))
	stat := func(name string) string {
		out, _ := exec.Command("stat", "-c", "%i %A", m.path(name)).Output()
		return strings.TrimSpace(string(out))
	}
	m.ask("show-created new")
	root.sees(t, "create new")
	if got := stat("new"); got != "60 dr-xr-xr-x" {
		t.Errorf("new: %s", got)
	}
	m.ask("show-completed files/file-4096")
	files.sees(t, "close_write file-4096")
	if got := stat("files/file-4096"); got != "105 -r--r--r--" {
		t.Errorf("files/file-4096: %s", got)
	}
	m.ask("show-moved new newer")
	root.sees(t, "create new", "moved_from new", "moved_to newer")
	if old, now := stat("new"), stat("newer"); old != "" || now != "60 dr-xr-xr-x" {
		t.Errorf("moved: %s, %s", old, now)
	}
	m.ask("show-removed newer")
	root.sees(t, "create new", "moved_from new", "moved_to newer", "delete newer")
	if got := stat("newer"); got != "" {
		t.Errorf("removed: %s", got)
	}
	run(t, `! mkdir "$1/x" && ! rmdir "$1/files" && ! mv "$1/live" "$1/y" && ! sh -c ": >>'$1/live'"`, m.dir)
	took(t, m.ask("unmount"))
}

// TestShowUser: without any capability, too.
func TestShowUser(t *testing.T) {
	if _, err := exec.LookPath("inotifywait"); err != nil {
		t.Skip(err)
	}
	dir, user := userDir(t)
	m := mount(t, dir, Options{}, user)
	watch := exec.Command("inotifywait", "-q", "-m", "--format", "%e %f", dir, filepath.Join(dir, "files"))
	asUser(nobody)(watch)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { watch.Process.Kill(); watch.Wait() }()
	lines := bufio.NewScanner(out)
	sees := func(want string) {
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("%s is not seen: %v", want, lines.Err())
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // until it watches
		m.ask("show-completed files/file-4096")
		if marks, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/3", watch.Process.Pid)); strings.Count(string(marks), "inotify wd:") >= 2 {
			break
		}
		if time.Since(began) > longEnough {
			t.Fatal("it does not watch")
		}
	}
	m.ask("show-created new")
	sees("CREATE,ISDIR new")
	m.ask("show-completed files/file-4096")
	sees("CLOSE_WRITE,CLOSE file-4096")
	m.ask("show-moved new newer")
	sees("MOVED_TO,ISDIR newer")
	m.ask("show-removed newer")
	sees("DELETE,ISDIR newer")
	ls := exec.Command("ls", "-ld", m.path("files"), m.path("live"))
	asUser(nobody)(ls)
	if out, err := ls.CombinedOutput(); err != nil || strings.Contains(string(out), "w") {
		t.Errorf("%v: %s", err, out)
	}
	took(t, m.ask("unmount"))
}

// TestShowReadOnly: nothing can be shown, and nobody waits for it.
func TestShowReadOnly(t *testing.T) {
	m := mount(t, t.TempDir(), Options{ReadOnly: true})
	root := watchDir(t, m.dir)
	m.ask("show-created new")
	run(t, `test -d "$1/new"`, m.dir)
	root.sees(t)
	took(t, m.ask("unmount"))
}

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
