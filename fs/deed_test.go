package fs

import (
	"bufio"
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
