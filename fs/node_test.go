package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// testNodes answers for t without a kernel.
func testNodes(t Tree) *nodes {
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		panic(err)
	}
	kept := &handles{file: os.NewFile(uintptr(fd), "test")}
	if _, err := kept.read(); err != nil {
		panic(err)
	}
	return newNodes(t, Options{Log: quiet()}.withDefaults(), kept)
}

func TestStatus(t *testing.T) {
	n := testNodes(newMemory())
	for _, c := range []struct {
		err         error
		open, ended syscall.Errno
	}{
		{nil, 0, 0},
		{syscall.ENOENT, syscall.ENOENT, syscall.ENOENT},
		{fmt.Errorf("why: %w", syscall.ETIMEDOUT), syscall.ETIMEDOUT, syscall.ETIMEDOUT},
		{errors.Join(context.Canceled, syscall.ENODATA), syscall.ENODATA, syscall.ENODATA},
		{context.Canceled, syscall.EINTR, syscall.ENOTCONN},
		{fmt.Errorf("why: %w", context.DeadlineExceeded), syscall.EINTR, syscall.ENOTCONN},
		{errors.New("anything"), syscall.EIO, syscall.EIO},
		{syscall.ENOSYS, syscall.EIO, syscall.EIO},
		{syscall.Errno(0), syscall.EIO, syscall.EIO},
		{syscall.Errno(511), 511, 511},
		{syscall.Errno(512), syscall.EIO, syscall.EIO}, // ERESTARTSYS: the kernel would not take it
	} {
		for _, want := range []syscall.Errno{c.open, c.ended} {
			if got := n.status("test", 1, c.err); got != fuse.Status(want) {
				t.Errorf("%v: %v, not %v", c.err, got, want)
			}
			n.waits.close()
		}
		n.waits = waits{}
		n.waits.init(nil)
	}
}

func TestMasks(t *testing.T) {
	const reg, dir, lnk = syscall.S_IFREG | 0o555, syscall.S_IFDIR | 0o755, syscall.S_IFLNK | 0o777
	for _, c := range []struct {
		o             Options
		reg, dir, lnk uint32
	}{
		{Options{}, reg, dir, lnk},
		{Options{Umask: 0o077}, syscall.S_IFREG | 0o500, syscall.S_IFDIR | 0o700, lnk},
		{Options{Fmask: 0o111, Umask: 0o007}, syscall.S_IFREG | 0o440, syscall.S_IFDIR | 0o750, lnk},
		{Options{Dmask: 0o022}, reg, syscall.S_IFDIR | 0o755, lnk},
		{Options{Umask: 0o177777}, syscall.S_IFREG, syscall.S_IFDIR, lnk},
		{Options{AllowRoot: true}.withDefaults(), syscall.S_IFREG | 0o500, syscall.S_IFDIR | 0o700, lnk},
	} {
		if r, d, l := c.o.masked(reg), c.o.masked(dir), c.o.masked(lnk); r != c.reg || d != c.dir || l != c.lnk {
			t.Errorf("%+v: %o %o %o", c.o, r, d, l)
		}
	}
}

func TestMaxBackground(t *testing.T) {
	for asked, want := range map[int]int{-1: 1024, 0: 1024, 1024: 1024, 4096: 4096, 65535: 65535, 65536: 65535} {
		if got := (Options{MaxBackground: asked}).withDefaults().MaxBackground; got != want {
			t.Errorf("%d: %d, not %d", asked, got, want)
		}
	}
	if MaxUserBackground() < 12 {
		t.Error(MaxUserBackground())
	}
}

func TestFill(t *testing.T) {
	n := testNodes(newMemory())
	for _, c := range []struct {
		size, blocks uint64
	}{{0, 0}, {1, 1}, {512, 1}, {513, 2}, {1<<63 - 1, 1 << 54}} {
		var out fuse.Attr
		if n.fill(&out, Attr{Size: c.size}); out.Blocks != c.blocks || out.Nlink != 1 || out.Mtime != 0 {
			t.Errorf("%d bytes: %+v", c.size, out)
		}
	}
	var out fuse.EntryOut
	n.fillEntry(&out, Attr{ID: 5})
	if out.EntryValid != 0 || out.AttrValid != 0 || out.Generation != 0 {
		t.Errorf("what may change is kept: %+v", out)
	}
	n.fillEntry(&out, Attr{ID: 5, Fixed: true, Mtime: time.Unix(7, 8)})
	if out.EntryValid != forever || out.AttrValid != forever || out.Mtime != 7 || out.Mtimensec != 8 {
		t.Errorf("what is fixed: %+v", out)
	}
}

// TestListAnyBuffer: whatever the size of the kernel's buffer, every entry comes
// once, in order.
func TestListAnyBuffer(t *testing.T) {
	m := newMemory()
	m.nodes[20_000].many = 50
	n := testNodes(m)
	for size := 200; size < 4096; size += 61 {
		for _, plus := range []bool{false, true} {
			var names []string
			for off := uint64(0); ; {
				in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: 20_000}, Offset: off}
				out := fuse.NewDirEntryList(make([]byte, size), off)
				read := n.ReadDir
				if plus {
					read = n.ReadDirPlus
				}
				if st := read(nil, in, out); st != fuse.OK {
					t.Fatal(st)
				}
				if len(out.Bytes()) == 0 {
					break
				}
				entries, err := fuse.ParseDirEntries(out.Bytes())
				if plus {
					entries, _, err = fuse.ParseDirLookupEntries(out.Bytes())
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					names, off = append(names, e.Name), e.Off
				}
			}
			if len(names) != 52 || names[0] != "." || names[1] != ".." || names[51] != "file000049.dat" {
				t.Fatalf("buffer of %d bytes: %d names, %v", size, len(names), names)
			}
		}
	}
}

// badList has names that the kernel does not take, and an error in the middle.
type badList struct{ *memory }

func (badList) List(_ ID, from uint64, yield func(uint64, Entry) bool) error {
	names := []string{"", "a/b", "nul\x00", ".", "..", strings.Repeat("x", 256), "good", strings.Repeat("y", 255)}
	for i, name := range names {
		if uint64(i) >= from && !yield(uint64(i)+1, Entry{Name: name, Attr: Attr{ID: 9}}) {
			return nil
		}
	}
	return syscall.ENODATA
}

func TestListBadNames(t *testing.T) {
	n := testNodes(badList{newMemory()})
	out := fuse.NewDirEntryList(make([]byte, 8192), 0)
	if st := n.ReadDir(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: 1}}, out); st != fuse.OK {
		t.Errorf("an error after entries that are good: %v", st)
	}
	if entries, _ := fuse.ParseDirEntries(out.Bytes()); len(entries) != 4 {
		t.Errorf("%v", entries)
	}
	out = fuse.NewDirEntryList(make([]byte, 8192), out.Offset)
	in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: 1}, Offset: out.Offset}
	if st := n.ReadDir(nil, in, out); st != fuse.ENODATA {
		t.Errorf("the error at the next call: %v", st)
	}
}

// TestReadEdges: offsets at and over the end, and the count of open files.
func TestReadEdges(t *testing.T) {
	m := newMemory()
	n := testNodes(m)
	defer n.waits.close()
	for _, c := range []struct {
		off  uint64
		ask  uint32
		want int
		st   fuse.Status
	}{
		{0, 64 << 10, 64 << 10, fuse.OK}, {0, 1 << 20, 64 << 10, fuse.OK}, {64<<10 - 1, 4096, 1, fuse.OK},
		{64 << 10, 4096, 0, fuse.OK}, {1 << 62, 4096, 0, fuse.OK}, {0, 0, 0, fuse.OK}, {1 << 63, 4096, 0, fuse.EINVAL},
	} {
		in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: uint64(idLive)}, Fh: 3, Offset: c.off, Size: c.ask}
		r, st := n.Read(nil, in, make([]byte, c.ask))
		if st != c.st || st == fuse.OK && r.Size() != c.want {
			t.Errorf("%d bytes at %d: %v", c.ask, c.off, st)
		}
		if st == fuse.OK && r.Size() > 0 { // go-fuse calls Done of no empty result
			r.Done()
		}
	}
	if m.replies.Load() != 0 || m.handles.Load() != 1 || len(n.files.open) != 1 {
		t.Errorf("%d replies, %d handles", m.replies.Load(), m.handles.Load())
	}
	release := &fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: uint64(idLive)}, Fh: 3}
	n.Release(nil, release)
	n.Release(nil, release)
	if m.handles.Load() != 0 || len(n.files.open) != 0 {
		t.Errorf("%d handles, %d nodes open", m.handles.Load(), len(n.files.open))
	}
}
