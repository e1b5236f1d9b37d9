package integration

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// keeperRounds is how often the worker is killed, or exchanged (make keeper: 50).
var keeperRounds = flag.Int("keeper", 2, "kill and exchange the worker of a kept mount so often")

// A keptMount is one of `mount -d`. Its process is that command, which has ended.
type keptMount struct {
	*mount
	program string
	keeper  int
}

// mountKept mounts with a keeper, by a copy of the program that may be replaced.
func mountKept(t *testing.T, o mounting) *keptMount {
	t.Helper()
	needFuse(t)
	if o.dir == "" {
		o.dir = tempDir(t)
	}
	if o.data == "" {
		o.data = filepath.Join(tempDir(t), "data")
	}
	k := &keptMount{program: filepath.Join(tempDir(t), "bipfs")}
	k.install(t)
	o.flags = append([]string{"-d"}, o.flags...)
	cmd := o.command()
	cmd.Args[len(o.prefix)] = k.program
	if len(o.prefix) == 0 {
		cmd.Path = k.program
	}
	k.mount = &mount{process: startCommand(t, "bipfs mount -d", cmd), dir: o.dir, data: o.data}
	t.Cleanup(func() { k.end(t) })
	if code := k.exits(longEnough); code != 0 || !strings.Contains(k.printed(), "mounted "+k.dir+"\n") {
		t.Fatalf("mount -d: exit code %d: %s", code, k.printed())
	}
	k.keeper = k.asked(t).KeeperPID
	return k
}

// install puts the program, as a file that is new, into its place.
func (k *keptMount) install(t *testing.T) {
	t.Helper()
	// By other programs: what is open for writing here is open in what is started
	// at the same time, too, and cannot be run.
	sh(t, longEnough, `cp "$1" "$2.new" && mv "$2.new" "$2"`, bipfs, k.program)
}

// end ends what is left, and shows the log of a test that failed.
func (k *keptMount) end(t *testing.T) {
	if isMounted(k.dir) && alive(k.keeper) {
		_ = syscall.Kill(k.keeper, syscall.SIGTERM)
		eventually(t, longEnough, "the keeper is told to end and its mount stays", func() bool { return !isMounted(k.dir) })
	}
	eventually(t, longEnough, "the keeper has no mount and runs", func() bool { return !alive(k.keeper) })
	if t.Failed() {
		b, _ := os.ReadFile(filepath.Join(k.data, "log"))
		t.Logf("--- the log:\n%s", tail(string(b), 16<<10))
	}
}

// alive tells whether a process runs; one that nobody has asked for its exit code
// does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

type keptStatus struct {
	PID       int
	KeeperPID int `json:"keeper_pid"`
	Version   string
}

// asked is what the mount says of itself, as soon as somebody answers.
func (k *keptMount) asked(t *testing.T) (s keptStatus) {
	t.Helper()
	eventually(t, longEnough, "nobody answers", func() bool {
		r := try(5*time.Second, k.program, "status", "--json", "--control", k.control())
		return r.code == 0 && json.Unmarshal([]byte(r.out), &s) == nil
	})
	return s
}

// killed kills the worker, and is the one that follows.
func (k *keptMount) killed(t *testing.T, before keptStatus) keptStatus {
	t.Helper()
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	return k.follows(t, before)
}

func (k *keptMount) follows(t *testing.T, before keptStatus) (after keptStatus) {
	t.Helper()
	eventually(t, longEnough, "no worker follows", func() bool { after = k.asked(t); return after.PID != before.PID })
	if after.KeeperPID != before.KeeperPID || !alive(after.KeeperPID) {
		t.Fatalf("before: %+v, after: %+v", before, after)
	}
	return after
}

// kept is a file to be downloaded while it is read, and one that is complete, that
// the kernel reads by itself.
func kept(t *testing.T) (k *keptMount, coming, whole *torrent) {
	needRoot(t)
	coming = torrentOf(t, file(t, t.Name()+" coming.bin", 16<<20), 256<<10)
	whole = torrentOf(t, file(t, t.Name()+" whole.bin", 16<<20), 256<<10)
	fast, slow := scripted(t, manner{}, whole), scripted(t, manner{rate: 16 << 20}, coming) // a second of it
	k = mountKept(t, mounting{flags: peerFlags(fast, slow), sources: []string{coming.file, whole.file}})
	k.same(t, whole)
	return k, coming, whole
}

func (k *keptMount) same(t *testing.T, to *torrent) {
	t.Helper()
	same(t, to.shown(k.mount), to.content)
}

// A held descriptor is read by a shell, in a process of its own: a byte at a place
// for each line that it gets.
type held struct {
	*process
	in io.WriteCloser
}

// hold opens a file and keeps it open.
func hold(t *testing.T, path string) *held {
	t.Helper()
	cmd := exec.Command("python3", "-c", `
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print("open", flush=True)
for line in sys.stdin:
    off, n = map(int, line.split())
    print(off, os.pread(fd, n, off).hex(), flush=True)
`, path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	h := &held{process: startCommand(t, "held", cmd), in: in}
	t.Cleanup(func() { in.Close() })
	h.prints("open\n", longEnough)
	return h
}

// read reads a few bytes at a place and compares them.
func (h *held) read(t *testing.T, to *torrent, off int64) {
	t.Helper()
	f, err := os.Open(to.content)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := make([]byte, 32)
	if _, err := f.ReadAt(want, off); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(h.in, "%d %d\n", off, len(want))
	h.prints(fmt.Sprintf("%d %x\n", off, want), longEnough)
}

// throughout is what goes on while the workers come and go.
//
// A keeper forgives few deaths a minute, so that it is another one from time to time.
func throughout(t *testing.T, rounds int, next func(k *keptMount, before keptStatus)) {
	for ; rounds > 0; rounds -= deathsEach {
		together(t, min(rounds, deathsEach), next)
	}
}

// deathsEach is how many deaths in a minute a keeper forgives.
const deathsEach = 4

func together(t *testing.T, rounds int, next func(k *keptMount, before keptStatus)) {
	k, coming, whole := kept(t)
	need(t, "python3", "md5sum")
	ordinary, passing := hold(t, coming.shown(k.mount)), hold(t, whole.shown(k.mount))
	worker := k.asked(t).PID
	before := wroteBy(t, worker)
	passing.read(t, whole, 5<<20)
	if n := wroteBy(t, worker) - before; n > 64<<10 {
		t.Fatalf("a complete file is not read by the kernel: bipfs wrote %d bytes", n)
	}
	sum := strings.Fields(run(t, longEnough, "md5sum", coming.content).out)[0]
	chance, middle := rand.New(rand.NewPCG(25, 50)), 0
	for round := range rounds {
		freshPages(t, coming.shown(k.mount))
		if round%2 == 0 { // it is fetched again, or read from the store
			run(t, longEnough, k.program, "rm", "--control", k.control(), "--delete-data", coming.hash())
			run(t, longEnough, k.program, "add", "--control", k.control(), coming.file)
			ordinary.in.Close()
			ordinary = hold(t, coming.shown(k.mount))
		}
		before, from := k.asked(t), 1<<20+chance.Int64N(8<<20)
		reader := start(t, "md5sum", "md5sum", coming.shown(k.mount))
		eventually(t, longEnough, "nothing is read", func() bool { return position(reader) > from || !reader.runs() })
		if at := position(reader); at >= 0 && at < coming.Info.Length {
			middle++
		}
		next(k, before)
		ordinary.read(t, coming, chance.Int64N(coming.Info.Length-32))
		passing.read(t, whole, chance.Int64N(whole.Info.Length-32))
		if code := reader.exits(readPatience); code != 0 || !strings.HasPrefix(reader.printed(), sum) {
			t.Fatalf("round %d: md5sum: exit code %d: %s", round, code, reader.printed())
		}
		worker := k.asked(t).PID
		wrote := wroteBy(t, worker)
		k.same(t, whole) // in the one way in which it is open
		if n := wroteBy(t, worker) - wrote; n > whole.Info.Length/8 {
			t.Errorf("round %d: a file that the kernel reads was read through bipfs: it wrote %d bytes", round, n)
		}
	}
	if t.Logf("md5sum was in the middle %d times of %d", middle, rounds); middle < rounds/2 {
		t.Error("that is too seldom for a test")
	}
	for _, h := range []*held{ordinary, passing} {
		h.in.Close()
		if code := h.exits(longEnough); code != 0 {
			t.Errorf("a reader ended with %d", code)
		}
	}
	k.same(t, whole)
	run(t, longEnough, "umount", k.dir)
}

// wroteBy is how many bytes a process has written anywhere.
func wroteBy(t *testing.T, pid int) int64 {
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release() // it is a descriptor
	return wrote(t, &process{cmd: &exec.Cmd{Process: p}})
}

// position is how far a process has read its file; -1 if it has none open.
func position(p *process) (at int64) {
	at = -1
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.pid()))
	for _, info := range infos {
		if b, err := os.ReadFile(info); err == nil && filepath.Base(info) > "2" {
			fmt.Sscanf(string(b), "pos:\t%d", &at)
		}
	}
	return at
}

// TestKeeperEnds: a signal to either of the two ends both, and so does an unmount;
// without its keeper a worker goes on alone.
func TestKeeperEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(k *keptMount, s keptStatus){
		"worker":     func(_ *keptMount, s keptStatus) { syscall.Kill(s.PID, syscall.SIGTERM) },
		"keeper":     func(_ *keptMount, s keptStatus) { syscall.Kill(s.KeeperPID, syscall.SIGTERM) },
		"unmount":    func(k *keptMount, _ keptStatus) { run(t, longEnough, k.program, "unmount", k.dir) },
		"fusermount": func(k *keptMount, _ keptStatus) { run(t, longEnough, "fusermount3", "-u", k.dir) },
		"alone": func(k *keptMount, s keptStatus) {
			syscall.Kill(s.KeeperPID, syscall.SIGKILL)
			var after keptStatus
			eventually(t, longEnough, "it does not notice", func() bool { after = k.asked(t); return after.KeeperPID == 0 })
			run(t, longEnough, "ls", k.dir)
			if r := try(longEnough, k.program, "upgrade", "--control", k.control()); r.code != 1 || !strings.Contains(r.err, "no keeper") {
				t.Errorf("upgrade: %v", r)
			}
			syscall.Kill(after.PID, syscall.SIGTERM)
		},
	} {
		k := mountKept(t, mounting{})
		s := k.asked(t)
		end(k, s)
		eventually(t, longEnough, name+": something goes on", func() bool {
			return !isMounted(k.dir) && !alive(s.PID) && !alive(s.KeeperPID)
		})
		if r := try(longEnough, k.program, "status", "--control", k.control()); r.code != 1 {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// TestKeeperFails: what keeps a first worker from serving is said, and nothing stays.
func TestKeeperFails(t *testing.T) {
	t.Parallel()
	m := mountBipfs(t, mounting{})
	o := mounting{dir: tempDir(t), data: m.data, flags: []string{"-d"}}
	for code, args := range map[int][]string{1: o.command().Args, 2: append(o.command().Args, "--memory", "1")} {
		if r := try(longEnough, args...); r.code != code || !strings.Contains(r.err, "bipfs: ") {
			t.Errorf("not exit code %d: %v", code, r)
		}
		if isMounted(o.dir) {
			t.Errorf("exit code %d: mounted", code)
		}
	}
}

// TestKeeperUser: all of it without any privilege, and nothing is left of what is
// temporary.
func TestKeeperUser(t *testing.T) {
	a := ordinary(t, "nobody")
	openFuse(t)
	to := torrentOf(t, file(t, "kept by a user.bin", 4<<20), 256<<10)
	seeder := scripted(t, manner{}, to)
	dir := a.owns(t)
	o := mounting{prefix: append(a.prefix(), "TMPDIR="+dir), dir: a.owns(t), data: filepath.Join(a.owns(t), "data"), flags: peerFlags(seeder), sources: []string{to.file}}
	k := mountKept(t, o)
	look := func() { run(t, longEnough, append(a.prefix(), "cmp", to.shown(k.mount), to.content)...) }
	look()
	k.killed(t, k.asked(t))
	look()
	before := k.asked(t)
	k.install(t)
	run(t, longEnough, append(a.prefix(), k.program, "upgrade", "--control", k.control())...)
	k.follows(t, before)
	look()
}

// TestKeeperHolds: what the kernel reads by itself keeps its bytes when who lent it dies
// before it could say that they are right, and the store gives way to others all the
// same.
func TestKeeperHolds(t *testing.T) {
	t.Parallel()
	needRoot(t)
	k := lendWhole(t)
	k.same(t, k.before)
	stamps := filepath.Join(k.data, "torrents", k.whole.hash(), "stamps")
	if err := os.Remove(stamps); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	k.killed(t, k.worker)
	k.same(t, k.after)
	stored := filepath.Join(k.data, "torrents", k.after.hash(), "data", "0")
	eventually(t, longEnough, "nothing gives way", func() bool {
		var st syscall.Stat_t
		return syscall.Stat(stored, &st) == nil && st.Blocks*512 > 4<<20
	})
	k.stays(t)
}

// TestKeeperKill kills what serves a mount while a program reads a file from its
// beginning to its end and others have files open, one of them to be read by the
// kernel: all go on.
func TestKeeperKill(t *testing.T) {
	t.Parallel()
	throughout(t, *keeperRounds, func(k *keptMount, before keptStatus) { k.killed(t, before) })
}

// TestKeeperUpgrade: and so when it is exchanged for another program.
func TestKeeperUpgrade(t *testing.T) {
	t.Parallel()
	throughout(t, *keeperRounds, func(k *keptMount, before keptStatus) {
		k.install(t)
		run(t, longEnough, k.program, "upgrade", "--control", k.control())
		k.follows(t, before)
	})
}

// TestKeeperMisses: what has gone since the mount was made, and what it is not made of,
// keeps nobody from serving it.
func TestKeeperMisses(t *testing.T) {
	needRoot(t)
	watched, command := filepath.Join(tempDir(t), "watched"), filepath.Join(tempDir(t), "command")
	if err := os.Mkdir(watched, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(command, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	k := mountKept(t, mounting{flags: []string{"--watch", watched, "--on", "complete=" + command}})
	before := k.asked(t)
	for _, path := range []string{watched, command} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	k.killed(t, before)
}
