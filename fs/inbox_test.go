package fs

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// boxed is the sample tree with a directory that takes what is written to it, and with
// names that only Walk knows.
type boxed struct {
	*memory
	asked []string
	sink  testSink
}

const (
	idBox     ID = 70
	idWritten ID = 71
)

func (b *boxed) say(s string) { b.asked = append(b.asked, s) }

func (b *boxed) Create(dir ID, name string) (Attr, Sink, error) {
	b.say("create " + name)
	if dir != idBox {
		return Attr{}, nil, syscall.EROFS
	}
	return Attr{ID: idWritten, Mode: syscall.S_IFREG | 0o200}, &b.sink, nil
}

func (b *boxed) Sink(id ID) (Sink, error) {
	b.say("sink")
	if id != idWritten {
		return nil, syscall.EROFS
	}
	return &b.sink, nil
}

func (b *boxed) Symlink(_ ID, name, target string) (Attr, error) {
	b.say("symlink " + name + " " + target)
	return Attr{ID: 72, Mode: syscall.S_IFLNK | 0o777}, nil
}

func (b *boxed) Rename(_ ID, from, to string) error {
	b.say("rename " + from + " " + to)
	return nil
}

func (b *boxed) Remove(_ ID, name string, folder bool) error {
	b.say(map[bool]string{false: "unlink ", true: "rmdir "}[folder] + name)
	return nil
}

func (b *boxed) Change(id ID) (Attr, error) {
	b.say("change")
	return Attr{ID: id, Mode: syscall.S_IFREG | 0o200}, nil
}

func (b *boxed) Lookup(dir ID, name string) (Attr, error) {
	if name == "walked" || name == "slow" {
		return Attr{}, ErrWalk
	}
	return b.memory.Lookup(dir, name)
}

func (b *boxed) Walk(ctx context.Context, _ ID, name string, c Caller) (Attr, error) {
	if name == "slow" {
		<-ctx.Done()
		return Attr{}, ctx.Err()
	}
	if c.UID != 7 {
		return Attr{}, syscall.ENOENT
	}
	return Attr{ID: 73, Mode: syscall.S_IFDIR | 0o500}, nil
}

func (b *boxed) Open(id ID) (Handle, error) {
	if id == idLive {
		return Text("made when opened"), nil
	}
	return b.memory.Open(id)
}

type testSink struct {
	written string
	flushed int
	closed  int
	err     error
}

func (s *testSink) Write(_ context.Context, _ int64, b []byte) error {
	s.written += string(b)
	return s.err
}
func (s *testSink) Flush(context.Context) error { s.flushed++; return s.err }
func (s *testSink) Close()                      { s.closed++ }

// endingNodes are nodes whose waits end with the test.
func endingNodes(t *testing.T, tree Tree) *nodes {
	n := testNodes(tree)
	t.Cleanup(func() {
		n.waits.close()
		n.waits.running.Wait()
	})
	return n
}

// TestInbox: what an Inbox is asked, and how its answers reach who writes.
func TestInbox(t *testing.T) {
	b := &boxed{memory: newMemory()}
	n := endingNodes(t, b)
	box, root := fuse.InHeader{NodeId: uint64(idBox)}, fuse.InHeader{NodeId: 1}
	var out fuse.CreateOut
	if st := n.Create(nil, &fuse.CreateIn{InHeader: root}, "x", &out); st != fuse.EROFS {
		t.Errorf("create where nothing is taken: %v", st)
	}
	if st := n.Create(nil, &fuse.CreateIn{InHeader: box}, "x", &out); st != fuse.OK || out.NodeId != uint64(idWritten) || out.OpenFlags != fuse.FOPEN_DIRECT_IO {
		t.Fatalf("create: %v, %+v", st, out)
	}
	file := fuse.InHeader{NodeId: uint64(idWritten)}
	if k, st := n.Write(nil, &fuse.WriteIn{InHeader: file, Fh: out.Fh}, []byte("abc")); k != 3 || st != fuse.OK {
		t.Errorf("write: %d, %v", k, st)
	}
	if _, st := n.Write(nil, &fuse.WriteIn{InHeader: file, Fh: out.Fh, Offset: 1 << 63}, []byte("abc")); st != fuse.EINVAL {
		t.Errorf("write at no offset: %v", st)
	}
	b.sink.err = syscall.EINVAL
	if _, st := n.Write(nil, &fuse.WriteIn{InHeader: file, Fh: out.Fh}, []byte("d")); st != fuse.EINVAL {
		t.Errorf("write that is refused: %v", st)
	}
	if st := n.Flush(nil, &fuse.FlushIn{InHeader: file, Fh: out.Fh}); st != fuse.EINVAL {
		t.Errorf("flush: %v", st)
	}
	if st := n.Fsync(nil, &fuse.FsyncIn{InHeader: file, Fh: out.Fh}); st != fuse.EINVAL || b.sink.flushed != 2 {
		t.Errorf("fsync: %v", st)
	}
	n.Release(nil, &fuse.ReleaseIn{InHeader: file, Fh: out.Fh})
	if b.sink.closed != 1 || b.sink.written != "abcd" {
		t.Errorf("%+v", b.sink)
	}
	if _, st := n.Write(nil, &fuse.WriteIn{InHeader: file, Fh: out.Fh}, []byte("e")); st != fuse.EROFS {
		t.Errorf("write to what is closed: %v", st)
	}
	for fh, want := range map[uint64]fuse.Status{0: fuse.OK, out.Fh: fuse.OK} {
		if st := n.Flush(nil, &fuse.FlushIn{InHeader: file, Fh: fh}); st != want {
			t.Errorf("flush of what nobody writes: %v", st)
		}
	}

	var open fuse.OpenOut
	if st := n.Open(nil, &fuse.OpenIn{InHeader: file, Flags: syscall.O_RDWR}, &open); st != fuse.OK || open.OpenFlags != fuse.FOPEN_DIRECT_IO {
		t.Errorf("open to write: %v", st)
	}
	n.sinks.closeAll()
	if b.sink.closed != 2 {
		t.Error("the end of the mount closes no Sink")
	}
	b.asked = nil
	n.Symlink(nil, &box, "target", "name", &fuse.EntryOut{})
	n.Rename(nil, &fuse.RenameIn{InHeader: box, Newdir: uint64(idBox)}, "a", "b")
	n.Unlink(nil, &box, "c")
	n.Rmdir(nil, &box, "d")
	n.SetAttr(nil, &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: file}}, &fuse.AttrOut{})
	want := []string{"symlink name target", "rename a b", "unlink c", "rmdir d", "change"}
	for i, w := range want {
		if i >= len(b.asked) || b.asked[i] != w {
			t.Fatalf("asked %q, not %q", b.asked, want)
		}
	}
	for _, in := range []*fuse.RenameIn{{InHeader: box, Newdir: 1}, {InHeader: box, Newdir: uint64(idBox), Flags: renameExchange}} {
		if st := n.Rename(nil, in, "a", "b"); st != fuse.EROFS {
			t.Errorf("rename %+v: %v", in, st)
		}
	}
}

// TestSealed: a Tree that is no Inbox takes nothing.
func TestSealed(t *testing.T) {
	n := testNodes(newMemory())
	h := fuse.InHeader{NodeId: 1}
	for what, st := range map[string]fuse.Status{
		"create":  n.Create(nil, &fuse.CreateIn{InHeader: h}, "x", &fuse.CreateOut{}),
		"open":    n.Open(nil, &fuse.OpenIn{InHeader: h, Flags: syscall.O_WRONLY}, &fuse.OpenOut{}),
		"symlink": n.Symlink(nil, &h, "x", "y", &fuse.EntryOut{}),
		"unlink":  n.Unlink(nil, &h, "x"),
		"rmdir":   n.Rmdir(nil, &h, "x"),
		"mkdir":   n.Mkdir(nil, &fuse.MkdirIn{InHeader: h}, "x", &fuse.EntryOut{}),
		"mknod":   n.Mknod(nil, &fuse.MknodIn{InHeader: h}, "x", &fuse.EntryOut{}),
		"link":    n.Link(nil, &fuse.LinkIn{InHeader: h}, "x", &fuse.EntryOut{}),
		"tmpfile": n.Tmpfile(nil, &fuse.CreateIn{InHeader: h}, &fuse.CreateOut{}),
		"rename":  n.Rename(nil, &fuse.RenameIn{InHeader: h, Newdir: 1}, "x", "y"),
		"setattr": n.SetAttr(nil, &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: h}}, &fuse.AttrOut{}),
	} {
		if st != fuse.EROFS {
			t.Errorf("%s: %v", what, st)
		}
	}
}

// TestText: its bytes are those of when it was opened, whatever its Attr says, and the
// kernel keeps nothing.
func TestText(t *testing.T) {
	n := endingNodes(t, &boxed{memory: newMemory()})
	live := fuse.InHeader{NodeId: uint64(idLive)}
	var out fuse.OpenOut
	if st := n.Open(nil, &fuse.OpenIn{InHeader: live}, &out); st != fuse.OK || out.OpenFlags != fuse.FOPEN_DIRECT_IO {
		t.Fatalf("open: %v, %+v", st, out)
	}
	for _, c := range []struct {
		off  uint64
		ask  uint32
		want string
	}{{0, 4096, "made when opened"}, {5, 4, "when"}, {16, 10, ""}, {99, 10, ""}} {
		r, st := n.Read(nil, &fuse.ReadIn{InHeader: live, Fh: out.Fh, Offset: c.off, Size: c.ask}, make([]byte, 4096))
		if st != fuse.OK {
			t.Fatalf("%+v: %v", c, st)
		}
		if b, _ := r.Bytes(make([]byte, 4096)); string(b) != c.want {
			t.Errorf("%+v: %q", c, b)
		}
	}
	n.Release(nil, &fuse.ReleaseIn{InHeader: live, Fh: out.Fh})
}

// TestWalk: it is asked who asks, may wait, and is interrupted.
func TestWalk(t *testing.T) {
	n := endingNodes(t, &boxed{memory: newMemory()})
	h := fuse.InHeader{NodeId: 1, Caller: fuse.Caller{Owner: fuse.Owner{Uid: 7}}}
	var out fuse.EntryOut
	if st := n.Lookup(nil, &h, "walked", &out); st != fuse.OK || out.NodeId != 73 || out.EntryValid != 0 {
		t.Errorf("%v, %+v", st, out)
	}
	h.Uid = 8
	if st := n.Lookup(nil, &h, "walked", &out); st != fuse.ENOENT {
		t.Errorf("somebody else: %v", st)
	}
	interrupt := make(chan struct{})
	close(interrupt)
	if st := n.Lookup(interrupt, &h, "slow", &out); st != fuse.EINTR {
		t.Errorf("interrupted: %v", st)
	}
	if n.waits.count() != 0 {
		t.Error("a wait is left")
	}
	plain := testNodes(newMemory())
	if st := plain.status("lookup", Root, ErrWalk); st != fuse.ENOENT || !errors.Is(ErrWalk, syscall.ENOENT) {
		t.Errorf("of a Tree that cannot: %v", st)
	}
}
