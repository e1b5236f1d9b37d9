package fs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A process that reads files on its own mount can lock itself up (go-fuse,
// "Deadlocks"), so every mount of the tests is served by a child: this binary,
// started again. It does what lines on its standard input say and answers each
// with a line. When its input ends, it unmounts: a test that dies leaves nothing.

const (
	serveEnv = "BIPFS_FS_TEST_SERVE"       // the directory to mount at
	cleanEnv = "BIPFS_FS_TEST_SERVE_CLEAN" // clean what is left there first
	lentEnv  = "BIPFS_FS_TEST_LENT"        // a folder of files to read by passthrough
)

func TestMain(m *testing.M) {
	if IsHand() {
		os.Exit(Hand())
	}
	if dir := os.Getenv(serveEnv); dir != "" {
		os.Exit(child(dir))
	}
	if dir := os.Getenv(staticEnv); dir != "" {
		os.Exit(serveStatic(dir))
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func child(dir string) int {
	var o Options
	if err := json.Unmarshal([]byte(os.Getenv(serveEnv+"_OPTIONS")), &o); err != nil {
		panic(err)
	}
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if os.Getenv(cleanEnv) != "" {
		if err := Clean(dir); err != nil {
			fmt.Println("error", err)
			return 1
		}
	}
	before := openFDs()
	tree := newMemory()
	s, err := Mount(dir, tree, o)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("mounted")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(childDoes(ctx, s, tree, lines.Text()))
	}
	if err := s.Unmount(ctx); err != nil {
		fmt.Println("error", err)
	}
	s.Wait()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "left over:", err)
		return 1
	}
	if r, h := tree.replies.Load(), tree.handles.Load(); r != 0 || h != 0 {
		fmt.Fprintln(os.Stderr, "left over: replies", r, "handles", h)
		return 1
	}
	if after := openFDs(); len(after) > len(before) {
		fmt.Fprintln(os.Stderr, "left over: fds", before, after)
		return 1
	}
	return 0
}

func childDoes(ctx context.Context, s *Server, tree *memory, line string) string {
	words := strings.Fields(line)
	switch words[0] {
	case "waiting":
		return fmt.Sprint(s.Waiting())
	case "background":
		return fmt.Sprint(s.MaxBackground())
	case "opens":
		return fmt.Sprint(tree.opens.Load())
	case "reads":
		return fmt.Sprint(tree.reads.Load())
	case "add":
		tree.addFile(Root, 50, words[1], 10)
		s.Kernel().Entry(Root, words[1])
	case "grow":
		tree.mu.Lock()
		tree.nodes[50].size = 20
		tree.mu.Unlock()
		s.Kernel().Invalidate(50)
	case "remove":
		tree.remove(50)
		s.Kernel().Gone(Root, 50, words[1])
	case "store":
		return storePages(s, words[1])
	case "processor":
		return processor()
	case "forget":
		// What an exec of a new daemon on the same device does: the numbers
		// that the kernel has are unknown.
		s.nodes.files.closeAll(s.nodes.close)
	case "unmount":
		began := time.Now()
		if err := s.Unmount(ctx); err != nil {
			return err.Error()
		}
		return time.Since(began).String()
	case "wait":
		s.Wait()
	default:
		return showDoes(s, tree, words)
	}
	return "ok"
}

func openFDs() (names []string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if !strings.Contains(to, "[eventpoll]") && !strings.Contains(to, "[eventfd]") { // the Go runtime's own
			names = append(names, fd.Name()+"="+to)
		}
	}
	return names
}

// mounted is a mount served by a child.
type mounted struct {
	t     testing.TB
	dir   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ended bool
}

// mount starts a child that serves the sample tree at dir; start may change its
// command line.
func mount(t testing.TB, dir string, o Options, start ...func(*exec.Cmd)) *mounted {
	t.Helper()
	m, first := tryMount(t, dir, o, start...)
	if first != "mounted" {
		t.Fatalf("mount: %s", first)
	}
	return m
}

// tryMount returns the first line too, which is the error when it fails.
func tryMount(t testing.TB, dir string, o Options, start ...func(*exec.Cmd)) (*mounted, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if _, err := os.OpenFile(device, os.O_RDWR, 0); err != nil {
			t.Skip("not root, and this user may not open /dev/fuse")
		}
	}
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serveEnv+"="+dir, serveEnv+"_OPTIONS="+string(options),
		"GORACE=atexit_sleep_ms=0") // a second for each child
	cmd.Stderr = os.Stderr
	if !testing.Verbose() {
		cmd.Stderr = &failed{t: t}
	}
	for _, s := range start {
		s(cmd)
	}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &mounted{t: t, dir: dir, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(m.end)
	first, _ := m.out.ReadString('\n')
	if first = strings.TrimSpace(first); first != "mounted" {
		m.kill()
	}
	return m, first
}

// failed shows what the child said when the test has failed.
type failed struct {
	t    testing.TB
	said []byte
}

func (f *failed) Write(p []byte) (int, error) {
	if f.said == nil {
		f.t.Cleanup(func() {
			if f.t.Failed() {
				f.t.Logf("child: %s", f.said)
			}
		})
	}
	f.said = append(f.said, p...)
	return len(p), nil
}

func (m *mounted) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

func (m *mounted) ask(line string) string {
	m.t.Helper()
	fmt.Fprintln(m.in, line)
	answer, err := m.out.ReadString('\n')
	if err != nil {
		m.t.Fatalf("child: %s: %v", line, err)
	}
	return strings.TrimSpace(answer)
}

// until asks until the answer is want.
func (m *mounted) until(line, want string) {
	m.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		got := m.ask(line)
		if got == want {
			return
		}
		if time.Since(began) > longEnough {
			m.t.Fatalf("%s is still %s, not %s, after %v", line, got, want, longEnough)
		}
	}
}

// end unmounts, and fails the test for what is left behind.
func (m *mounted) end() {
	if m.ended {
		return
	}
	m.ended = true
	m.in.Close()
	rest, _ := io.ReadAll(m.out)
	if err := m.cmd.Wait(); err != nil {
		m.t.Errorf("child: %v: %s", err, rest)
	}
	m.gone()
}

// kill ends the child as the OOM killer would. The test cleans the dead mount.
func (m *mounted) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
	m.in.Close()
	m.ended = true
	m.t.Cleanup(m.gone)
}

// gone fails the test for a mount that is left.
func (m *mounted) gone() {
	if at, still, _ := mountAt(m.dir); still && at.kind == mountType {
		m.t.Errorf("left over: %+v", at)
		syscall.Unmount(m.dir, syscall.MNT_DETACH)
	}
}
