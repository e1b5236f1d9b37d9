package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mounting says how bipfs is to be started.
type mounting struct {
	dir, data string   // made if empty
	prefix    []string // a program that runs bipfs: setpriv, nsenter …
	flags     []string
	sources   []string
	list      string        // for the source -
	within    time.Duration // until it is mounted; 0: 10 s
	anywhere  bool          // it listens at all addresses
}

// A mount is a bipfs that answers.
type mount struct {
	*process
	dir, data string
	took      time.Duration // from its start to the line `mounted`
}

// mountBipfs starts bipfs and waits until it has mounted.
func mountBipfs(t testing.TB, o mounting) *mount {
	t.Helper()
	needFuse(t)
	if o.dir == "" {
		o.dir = tempDir(t)
	}
	if o.data == "" {
		o.data = filepath.Join(tempDir(t), "data")
	}
	cmd := o.command()
	w := startWatch()
	m := &mount{process: startCommand(t, "bipfs", cmd), dir: o.dir, data: o.data}
	t.Cleanup(m.unmountDead) // runs before the process is ended, so after it stopped by itself or was killed
	if o.within == 0 {
		o.within = 10 * time.Second
	}
	m.prints("mounted "+m.dir+"\n", o.within)
	m.took = w.took()
	return m
}

// command is the command line.
func (o mounting) command() *exec.Cmd {
	argv := append(slices.Clone(o.prefix), bipfs, "mount", "--data", o.data)
	if !o.anywhere && !slices.Contains(o.flags, "--listen") {
		argv = append(argv, "--listen", "127.0.0.1:0")
	}
	if !slices.Contains(o.flags, "--log-level") {
		argv = append(argv, "--log-level", "info")
	}
	if !slices.Contains(o.flags, "--dht-node") {
		argv = append(argv, "--no-dht") // the nodes that it would ask are in the world
	}
	if !slices.Contains(o.flags, "--control") {
		argv = append(argv, "--control", filepath.Join(o.data, "control")) // and not in /run
	}
	argv = append(argv, o.flags...)
	argv = append(append(argv, o.dir), o.sources...)
	cmd := exec.Command(argv[0], argv[1:]...)
	if o.list != "" {
		cmd.Stdin = strings.NewReader(o.list)
	}
	return cmd
}

// unmountDead removes the mount of a bipfs that was killed.
func (m *mount) unmountDead() {
	if !m.runs() && isMounted(m.dir) {
		if r := try(5*time.Second, "umount", "-l", m.dir); r.code != 0 {
			m.t.Error(r)
		}
	}
}

// stop stops bipfs as a service manager does; nothing of it is left after
// within.
func (m *mount) stop(within time.Duration) {
	m.t.Helper()
	w := startWatch()
	m.signal(syscall.SIGTERM)
	if !m.ended(30 * time.Second) {
		m.t.Fatalf("still runs 30 s after SIGTERM")
	}
	if took := w.took(); w.over(within) {
		m.t.Errorf("SIGTERM: ended after %v, allowed are %v", took.Round(time.Millisecond), within)
	}
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		m.t.Errorf("SIGTERM: exit code %d", code)
	}
	if isMounted(m.dir) {
		m.t.Errorf("still mounted after SIGTERM: %s", m.dir)
	}
}

// path is a path in the mount.
func (m *mount) path(elements ...string) string {
	return filepath.Join(append([]string{m.dir}, elements...)...)
}

// waiting is how many requests of the mount the kernel has that are not
// answered.
func (m *mount) waiting(control string) int {
	m.t.Helper()
	minor := strings.TrimSpace(run(m.t, 5*time.Second, "mountpoint", "-d", m.dir).out)
	_, minor, _ = strings.Cut(minor, ":")
	b, err := os.ReadFile(filepath.Join(control, minor, "waiting"))
	if err != nil {
		m.t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(string(b), &n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

// fuseControl mounts the kernel's view of its FUSE connections.
func fuseControl(t testing.TB) string {
	t.Helper()
	needRoot(t)
	dir := tempDir(t)
	run(t, 5*time.Second, "mount", "-t", "fusectl", "fusectl", dir)
	t.Cleanup(func() { run(t, 5*time.Second, "umount", dir) })
	return dir
}

// isMounted reports whether something is mounted on dir, dead or alive.
func isMounted(dir string) bool { return slices.Contains(mountsBelow(dir), dir) }

// needFuse skips the test where nothing can be mounted.
func needFuse(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	f.Close()
}

// readPatience is how long a comparison may take: far more than it does but
// from a slow transmission.
const readPatience = 2 * time.Minute

// same compares two files, or two folders with all in them, byte by byte.
func same(t testing.TB, got, want string) {
	t.Helper()
	st, err := os.Stat(want)
	if err != nil {
		t.Fatal(err)
	}
	tool := []string{"cmp"}
	if st.IsDir() {
		tool = []string{"diff", "-r"}
	}
	if r := try(readPatience, append(tool, got, want)...); r.code != 0 {
		t.Fatalf("not the same: %v", r)
	}
}

// sameTree compares two folders with many readers at once: a transmission that
// seeds answers a lone small request only at its next pulse, half a second on.
func sameTree(t testing.TB, got, want string) {
	t.Helper()
	sh(t, readPatience, `test "$(cd "$1" && find . | sort)" = "$(cd "$2" && find . | sort)"
		cd "$2"; find . -type f -print0 | xargs -0 -P 16 -I {} cmp {} "$1/{}"`, got, want)
}

// freshPages makes the kernel forget the pages of a file, so that the next read
// reaches bipfs.
func freshPages(t testing.TB, path string) {
	t.Helper()
	run(t, 10*time.Second, "dd", "if="+path, "iflag=nocache", "count=0", "status=none")
}

// readerEnv makes the test's own program a reader: N OFFSET STRIDE PATH.
const readerEnv = "BIPFS_INTEGRATION_READER"

// readers starts one process that reads a byte at n places of a file at once,
// and prints `NUMBER MILLISECONDS RESULT` when a read ends.
func readers(t testing.TB, path string, n int, offset, stride int64) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d %s", readerEnv, n, offset, stride, path))
	return startCommand(t, "reader", cmd)
}

func readerMain(job string) int {
	var n int
	var offset, stride int64
	var path string
	if _, err := fmt.Sscan(job, &n, &offset, &stride, &path); err != nil {
		fmt.Println(err)
		return 2
	}
	ended := make(chan struct{})
	begin := time.Now()
	for i := range n {
		go func() {
			defer func() { ended <- struct{}{} }()
			f, err := os.Open(path)
			if err == nil {
				defer f.Close()
				_, err = f.ReadAt(make([]byte, 1), offset+int64(i)*stride)
			}
			if err == io.EOF {
				err = fmt.Errorf("offset %d is behind the end", offset+int64(i)*stride)
			}
			fmt.Println(i, time.Since(begin).Milliseconds(), err)
		}()
	}
	fmt.Println("reading")
	for range n {
		<-ended
	}
	return 0
}
