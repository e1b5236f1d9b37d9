package fs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// lend makes a folder with a file of the same bytes as n, and a change of a child's
// command that lends it.
func lend(t *testing.T, name string, n *memNode) (dir string, start func(*exec.Cmd)) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), content(nil, n.id, 0, int(n.size)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, lentEnv+"="+dir) }
}

const lentName = "file-5255225" // 5 MiB and some

// TestPassthrough: the kernel reads a file that has a Backing by itself, with
// one descriptor and with many, by read(2) and mmap(2).
func TestPassthrough(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("passthrough needs root")
	}
	n := sample()[lentName]
	_, start := lend(t, lentName, n)
	m := mount(t, t.TempDir(), Options{}, start)
	path := m.path("files", lentName)
	want := content(nil, n.id, 0, int(n.size))
	files := make([]*os.File, 3)
	for i := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	got := make([]byte, len(want))
	if _, err := files[0].ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read: other bytes, or %v", err)
	}
	mapped, err := syscall.Mmap(int(files[1].Fd()), 0, len(want), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mapped, want) {
		t.Error("mmap: other bytes")
	}
	syscall.Munmap(mapped)
	if n := m.ask("reads"); n != "0" {
		t.Errorf("the kernel asked %s times", n)
	}
	run(t, `cat "$1"`, m.path("files", "file-4096"))
	if n := m.ask("reads"); n == "0" {
		t.Error("a file without a Backing was not asked for")
	}
}

// TestOneModeAtATime: whoever opens a file while it is open gets it, in the way in
// which it is open; when nobody has it any more the way may change.
func TestOneModeAtATime(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("passthrough needs root")
	}
	n := sample()[lentName]
	dir, start := lend(t, lentName, n)
	m := mount(t, t.TempDir(), Options{}, start)
	path, backing := m.path("files", lentName), filepath.Join(dir, lentName)
	want := content(nil, n.id, 0, int(n.size))
	var readers sync.WaitGroup
	bad := make(chan error, 8)
	stop := make(chan struct{})
	for range cap(bad) {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := os.ReadFile(path)
				if err == nil && !bytes.Equal(got, want) {
					err = fmt.Errorf("other bytes, the first %x", got[:8])
				}
				if err != nil {
					bad <- err
					return
				}
			}
		})
	}
	for i := range 40 { // it comes and goes
		if i%2 == 0 {
			os.Rename(backing, backing+".away")
		} else {
			os.Rename(backing+".away", backing)
		}
		m.ask("reads")
		select {
		case err := <-bad:
			t.Fatal(err)
		default:
		}
	}
	close(stop)
	readers.Wait()
	// In turns, so that both ways are seen.
	for _, step := range []struct {
		lent  bool
		reads bool // by asking
	}{{true, false}, {false, true}, {true, false}} {
		os.Rename(backing, backing+".away")
		if step.lent {
			os.Rename(backing+".away", backing)
		}
		run(t, `echo 1 >/proc/sys/vm/drop_caches`)
		before := m.ask("reads")
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%+v: %v, or other bytes", step, err)
		}
		if asked := m.ask("reads") != before; asked != step.reads {
			t.Errorf("%+v: asked is %v", step, asked)
		}
	}
}

// TestNoPassthrough: an ordinary user gets the same bytes, by asking.
func TestNoPassthrough(t *testing.T) {
	n := sample()[lentName]
	_, start := lend(t, lentName, n)
	dir, user := userDir(t)
	m := mount(t, dir, Options{}, start, user)
	cat := exec.Command("cat", m.path("files", lentName))
	asUser(nobody)(cat)
	if got, err := cat.Output(); err != nil || !bytes.Equal(got, content(nil, n.id, 0, int(n.size))) {
		t.Errorf("%v, or other bytes", err)
	}
	if n := m.ask("reads"); n == "0" {
		t.Error("the kernel did not ask")
	}
}

// refuser is a kernel that takes a few backing files only.
type refuser struct{ takes, taken, given int }

func (r *refuser) RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno) {
	if r.takes == 0 {
		return 0, syscall.EPERM
	}
	r.takes--
	r.taken++
	return int32(r.taken), 0
}

func (r *refuser) UnregisterBackingFd(int32) syscall.Errno { r.given++; return 0 }

type lending struct {
	Handle
	asked, lent int
}

func (l *lending) Backing() (Backing, bool) { l.asked++; l.lent++; return loan{l}, true }

func (l *lending) Hold() (Backing, bool) { l.lent++; return loan{l}, true }

type loan struct{ l *lending }

func (loan) Fd() int  { return 0 }
func (b loan) Close() { b.l.lent-- }

// TestRefused: what was lent is given back, the kernel is asked once, and each
// open has its release.
func TestRefused(t *testing.T) {
	k, l := &refuser{takes: 1}, &lending{}
	var ms modes
	ms.init(slog.New(slog.DiscardHandler))
	if ms.open(1, l, &fuse.OpenOut{}); l.asked != 0 {
		t.Error("asked before there is a kernel")
	}
	ms.release(1, false)
	ms.serve(k)
	var out fuse.OpenOut
	if !ms.open(1, l, &out) || out.BackingID != 1 || out.OpenFlags != fuse.FOPEN_PASSTHROUGH || l.lent != 1 {
		t.Errorf("%+v, %+v", out, l)
	}
	if ms.open(2, l, &out) || out.OpenFlags != fuse.FOPEN_KEEP_CACHE || l.lent != 1 {
		t.Errorf("refused: %+v, %+v", out, l)
	}
	if ms.open(3, l, &out); l.asked != 2 {
		t.Errorf("asked %d times", l.asked)
	}
	out = fuse.OpenOut{}
	if !ms.open(1, l, &out) || out.BackingID != 1 {
		t.Errorf("a file that the kernel reads is opened otherwise: %+v", out)
	}
	for _, r := range []struct {
		id      ID
		passing bool
	}{{1, true}, {2, false}, {3, false}, {1, true}} {
		ms.release(r.id, r.passing)
	}
	if l.lent != 0 || len(ms.of) != 0 || k.given != k.taken {
		t.Errorf("%d are lent still, %d are open, the kernel has %d of %d", l.lent, len(ms.of), k.taken-k.given, k.taken)
	}
}
