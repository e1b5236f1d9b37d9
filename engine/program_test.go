package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// process pretends that a thread is there, of a process.
func process(t *testing.T, proc string, tid, pid int, thread, name string) {
	t.Helper()
	for file, text := range map[string]string{
		fmt.Sprint(tid, "/status"): fmt.Sprintf("Name:\t%s\nUmask:\t0022\nTgid:\t%d\nPid:\t%d\n", thread, pid, tid),
		fmt.Sprint(pid, "/comm"):   name + "\n",
	} {
		path := filepath.Join(proc, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The numbers are above those that the kernel gives: ioprio_get knows none.
const nobodysTID = 1 << 30

func TestPrograms(t *testing.T) {
	proc := t.TempDir()
	var ps programs
	ps.init(proc)
	process(t, proc, nobodysTID, nobodysTID, "cp", "cp")
	process(t, proc, nobodysTID+1, nobodysTID, "pool-1", "cp")
	if p := ps.find(nobodysTID+1, 0); p.name != "cp" || p.thread != "pool-1" || p.idle || p.urgent {
		t.Errorf("a thread of cp is %+v", p)
	}
	process(t, proc, nobodysTID, nobodysTID, "mv", "mv")
	if p := ps.find(nobodysTID, 0); p.name != "mv" {
		t.Errorf("mv is %+v", p)
	}
	if p := ps.find(nobodysTID+1, programAge-1); p.name != "cp" {
		t.Errorf("it was looked at again: %+v", p)
	}
	if p := ps.find(nobodysTID+1, programAge); p.name != "mv" {
		t.Errorf("it was not looked at again: %+v", p)
	}
	if p := ps.find(0, 0); p != (program{}) {
		t.Errorf("nobody is %+v", p)
	}
	for i := range uint32(3 * mostPrograms) {
		ps.find(nobodysTID+2+i, time.Duration(i)*time.Millisecond)
		if len(ps.of) > mostPrograms {
			t.Fatalf("%d threads are kept", len(ps.of))
		}
	}
}

// TestOwnProgram: this thread, with the classes that ionice(1) sets.
func TestOwnProgram(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	var ps programs
	ps.init("/proc")
	for class, want := range map[uintptr]program{2: {}, 3: {idle: true}} {
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, 1, 0, class<<13); errno != 0 {
			t.Skipf("ioprio_set: %v", errno)
		}
		comm, err := os.ReadFile("/proc/self/comm")
		if err != nil {
			t.Fatal(err)
		}
		p := ps.look(uint32(unix.Gettid()))
		want.name, want.thread = strings.TrimSpace(string(comm)), p.thread
		if p != want || p.thread == "" {
			t.Errorf("class %d: %+v, not %+v", class, p, want)
		}
	}
}

func TestDelay(t *testing.T) {
	for _, l := range []struct {
		p       program
		timeout time.Duration
		want    time.Duration
	}{
		{program{}, time.Minute, 0}, {program{idle: true}, time.Minute, idleDelay}, {program{idle: true}, 0, idleDelay},
		{program{idle: true}, 10 * time.Second, 5 * time.Second}, {program{urgent: true}, time.Minute, -urgentLead},
	} {
		if got := l.p.delay(l.timeout); got != l.want {
			t.Errorf("%+v: %v, not %v", l, got, l.want)
		}
	}
}

func TestLocalOnlyNames(t *testing.T) {
	var l localOnly
	l.init([]string{"baloo_file_extractor", "updatedb", ""})
	for _, c := range []struct {
		p    program
		name string
	}{
		{program{name: "baloo_file_extr"}, "baloo_file_extr"}, {program{name: "updatedb", thread: "x"}, "updatedb"},
		{program{name: "x", thread: "updatedb"}, "updatedb"}, {program{name: "baloo_file"}, ""}, {program{}, ""},
		{program{name: "updatedb2"}, ""},
	} {
		if name, ok := l.holds(c.p); name != c.name || ok != (c.name != "") {
			t.Errorf("%+v is %q, %v", c.p, name, ok)
		}
	}
	var said []bool
	for _, at := range []time.Duration{0, 1, sayAgain - 1, sayAgain, sayAgain + 1} {
		said = append(said, l.says("a", at))
	}
	if got := fmt.Sprint(said, l.says("b", 1)); got != "[true false false true false] true" {
		t.Errorf("it was said at %s", got)
	}
}

func TestHabits(t *testing.T) {
	const size = 1 << 30
	type file struct {
		read       int64
		busy, then time.Duration
	}
	little := file{1 << 20, time.Second, time.Second}
	for name, l := range map[string]struct {
		files []file
		want  bool
	}{
		"three":             {[]file{little, little, little}, false},
		"four":              {[]file{little, little, little, little}, true},
		"one was read":      {[]file{little, little, little, {size / littleOf, 0, 0}, little}, false},
		"one was looked at": {[]file{little, little, little, {1 << 20, noTime, 0}, little}, false},
		"an empty one":      {[]file{little, little, little, {}, little}, true},
		"long ago":          {[]file{little, little, little, {1 << 20, 0, habitAge}}, false},
		"begun long ago":    {[]file{little, little, {1 << 20, 0, habitAge}, little, little}, false},
	} {
		h := habits{of: map[string]habit{}}
		now := time.Second
		for _, f := range l.files {
			h.closed("probe", f.read, size, f.busy, now)
			h.closed("", f.read, size, f.busy, now)
			now += f.then
		}
		if got := h.scans("probe", now); got != l.want || h.scans("other", now) || h.scans("", now) {
			t.Errorf("%s: a scanner: %v", name, got)
		}
	}
}

func TestHabitsBound(t *testing.T) {
	h := habits{of: map[string]habit{}}
	for i := range 3 * mostHabits {
		h.closed(fmt.Sprint(i), 1, 100, 0, time.Duration(i))
		if len(h.of) > mostHabits {
			t.Fatalf("%d habits are kept", len(h.of))
		}
	}
	if _, ok := h.of[fmt.Sprint(3*mostHabits-1)]; !ok {
		t.Error("the newest is not kept")
	}
}

// TestLocalOnly: whoever is to get only what is here never waits, and nothing is
// fetched for it.
func TestLocalOnly(t *testing.T) {
	c := newContent(t, 16<<10, 200_000)
	proc := t.TempDir()
	process(t, proc, nobodysTID, nobodysTID, "extract", "tracker-extract")
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}, LocalOnly: []string{"tracker-extract-3"}})
	leech.programs.proc = proc
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	by := Caller{nobodysTID}
	if _, err := r.Read(t.Context(), 0, 1000, by); !errors.Is(err, ErrNoPeers) {
		t.Errorf("what is not here: %v", err)
	}
	if torrent.running() != nil {
		t.Error("it woke the torrent")
	}
	if _, err := readRange(t.Context(), r, 0, 1000); err != nil {
		t.Fatal(err)
	}
	loans, err := r.Read(t.Context(), 0, 1000, by)
	if err != nil {
		t.Errorf("what is here: %v", err)
	}
	for _, l := range loans {
		l.Of.Release()
	}
}
