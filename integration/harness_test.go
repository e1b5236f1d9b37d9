// Package integration runs the program as its users do: real mounts, real
// tools, real clients, on the loopback device.
//
//	content ──▶ seeders ──▶ bipfs mount ──▶ cp, tar, ffmpeg, rsync …
//	(content_test.go)  │         │                └─ every byte compared
//	                   │         └─ mount_test.go: started, read by other processes, stopped
//	                   ├─ clients_test.go: transmission, libtorrent, aria2, opentracker
//	                   └─ peers_test.go: scripted peers, for what real clients do not do
//
// No test reads a mount itself: a process that waits in a mount can be killed,
// the test's own threads cannot. Every wait has a deadline, and a test that
// fails prints what its processes printed.
package integration

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var (
	bipfs string // the program under test
	base  string // the folder that everything of this run lies in
)

func TestMain(m *testing.M) {
	if job := os.Getenv(readerEnv); job != "" {
		os.Exit(readerMain(job))
	}
	if job := os.Getenv(trackerEnv); job != "" {
		os.Exit(trackerMain(job))
	}
	flag.Parse()
	os.Exit(runAll(m))
}

// runAll is all of a run: the program is built, the tests run, and what they
// left behind is looked for.
func runAll(m *testing.M) (code int) {
	var err error
	if base, err = os.MkdirTemp("", "integration-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(base)
	// Tests run programs as other users, who have to be let in.
	if err := os.Chmod(base, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if bipfs = os.Getenv("BIPFS"); bipfs == "" {
		bipfs = filepath.Join(base, "bipfs")
		build := exec.Command("go", "build", "-trimpath", "-o", bipfs, "bipfs/cmd/bipfs")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build bipfs: %v\n%s", err, out)
			return 1
		}
	}
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		ln.Close() // the runtime opens its own files at the first socket, and keeps them
	}
	goroutines, files := runtime.NumGoroutine(), openFiles(os.Getpid())
	code = m.Run()
	if left := leftBehind(goroutines, files); left != "" {
		fmt.Fprintln(os.Stderr, left)
		code = max(code, 1)
	}
	return code
}

// leftBehind says what the tests left: mounts, goroutines, open files and
// running programs.
func leftBehind(goroutines, files int) string {
	var left []string
	for _, dir := range mountsBelow(base) {
		left = append(left, "a mount on "+dir)
		exec.Command("umount", "-l", dir).Run()
	}
	deadline := time.Now().Add(longEnough)
	for (runtime.NumGoroutine() > goroutines || openFiles(os.Getpid()) > files) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 0 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = append(left, fmt.Sprintf("%d goroutines:\n%s", n, stacks))
	}
	if n := openFiles(os.Getpid()) - files; n > 0 {
		left = append(left, fmt.Sprintf("%d open files of %s", n, strings.Join(openNames(), " ")))
	}
	running.Range(func(pid, name any) bool {
		left = append(left, fmt.Sprintf("%v (pid %v)", name, pid))
		return true
	})
	if left == nil {
		return ""
	}
	return "left behind: " + strings.Join(left, "; ")
}

// mountsBelow is the mount points below dir, the newest first.
func mountsBelow(dir string) (points []string) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4]+"/", dir+"/") {
			points = append([]string{fields[4]}, points...)
		}
	}
	return points
}

// openFiles is how many file descriptors a process has.
func openFiles(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0
	}
	return len(entries)
}

// openNames are what the files that this process has open are called.
func openNames() (names []string) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// tempDir is an empty folder that other users may enter; it is removed at the
// end of the test, after its processes.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}

// need skips the test unless the programs are installed.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (integration/need test installs it)", program)
		}
	}
}

// needRoot skips the test unless root runs it.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can prepare this test")
	}
}

// long skips a test that takes over 20 s from a short run.
func long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes over 20 s")
	}
}

// raced is that the race detector is on.
var raced bool

// foreign skips a test that runs nothing of ours but other programs from a run with the
// race detector, which does not see them.
func foreign(t testing.TB) {
	t.Helper()
	if raced {
		t.Skip("the race detector sees nothing of it")
	}
}

// eventually waits until ok, at most within, and fails the test otherwise.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for w := startWatch(); !ok(); {
		if w.over(within) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
