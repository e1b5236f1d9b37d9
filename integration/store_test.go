package integration

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSlowStore: a disk that takes 5 MB/s, or nothing at all, does not slow a
// reader down. The seeder's rate is the measure, as the machine's own speed is
// none.
func TestSlowStore(t *testing.T) {
	long(t)
	const rate = 20 << 20 // what a busy machine does with ease
	to := torrentOf(t, file(t, "stream.bin", 128<<20), 1<<20)
	speed := func(t *testing.T, o mounting, during func(*mount)) float64 {
		t.Helper()
		o.flags = append(o.flags, peerFlags(scripted(t, manner{rate: rate}, to))...)
		o.flags = append(o.flags, "--memory", "64MiB", "--keep-free", "0")
		o.sources = []string{to.file}
		m := mountBipfs(t, o)
		if during != nil {
			during(m)
		}
		begin := time.Now()
		same(t, to.shown(m), to.content)
		speed := float64(to.Info.Length) / time.Since(begin).Seconds()
		if rss := m.status("VmHWM"); rss > (64+64)<<20 {
			t.Errorf("memory: at most %d MiB, allowed are 64 and 64", rss>>20)
		}
		return speed / 1e6
	}
	usual := speed(t, mounting{}, nil)
	check := func(t *testing.T, got float64) {
		t.Helper()
		t.Logf("%.1f MB/s, on a usual disk %.1f MB/s", got, usual)
		if got < 0.9*usual {
			t.Errorf("%.1f MB/s, less than 0.9 of %.1f MB/s", got, usual)
		}
	}
	t.Run("5 MB/s", func(t *testing.T) {
		disk := loopDisk(t, 1<<30, true)
		group := newCgroup(t, "io", "blkio")
		limit := fmt.Sprintf("%s 5000000", disk.device)
		if group.v2 {
			limit = fmt.Sprintf("%s wbps=5000000", disk.device)
		}
		group.set("blkio.throttle.write_bps_device", "io.max", limit)
		check(t, speed(t, mounting{data: disk.dir + "/data", prefix: group.prefix()}, nil))
	})
	t.Run("frozen", func(t *testing.T) {
		disk := loopDisk(t, 1<<30, false)
		var thaw func()
		got := speed(t, mounting{data: disk.dir + "/data"}, func(m *mount) {
			// Some of it is stored before the disk stops.
			run(t, 20*time.Second, "dd", "if="+to.shown(m), "of=/dev/null", "bs=1M", "count=16", "status=none")
			freshPages(t, to.shown(m))
			thaw = disk.freeze()
		})
		thaw() // a stop may wait for the disk
		check(t, got)
	})
}

// diskCacheLine is the line that bipfs logs when it stops.
var diskCacheLine = regexp.MustCompile(`msg="disk cache" .*`)

// attribute is a number of a log line.
func attribute(t testing.TB, line, name string) int {
	t.Helper()
	for field := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(field, name+"="); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skipf("the log line has no %s: %s", name, line)
	return 0
}

// TestSecondReadFromMemory: a file of a quarter of the memory is read twice,
// and the second time comes from memory: neither the disk nor the swarm is
// asked.
func TestSecondReadFromMemory(t *testing.T) {
	to := torrentOf(t, file(t, "twice.bin", 32<<20), 256<<10)
	seeder := scripted(t, manner{}, to)
	m := mountBipfs(t, mounting{flags: append(peerFlags(seeder), "--memory", "128MiB"), sources: []string{to.file}})
	// Who has the file open keeps the kernel from reading it in the store itself.
	asked, err := os.Open(to.shown(m))
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	same(t, to.shown(m), to.content)
	sent := seeder.sent.Load()
	freshPages(t, to.shown(m))
	same(t, to.shown(m), to.content)
	if more := seeder.sent.Load() - sent; more > 0 {
		t.Errorf("the second read fetched %d bytes again", more)
	}
	asked.Close()
	m.stop(5 * time.Second)
	line := diskCacheLine.FindString(m.printed())
	blocks := int(to.Info.Length / (16 << 10))
	hits, misses := attribute(t, line, "hits"), attribute(t, line, "misses")
	if hits < 2*blocks*95/100 {
		t.Errorf("%d hits for two reads of %d blocks: %s", hits, blocks, line)
	}
	if misses > blocks*5/100 {
		t.Errorf("%d of %d blocks came from the disk, 5 %% are allowed: %s", misses, blocks, line)
	}
}

// TestSmallCgroup: in a cgroup of 256 MiB a torrent of 16 MiB pieces and 500
// more are mounted and read, and nothing is killed for lack of memory.
func TestSmallCgroup(t *testing.T) {
	long(t)
	group := newCgroup(t, "memory", "memory")
	group.set("memory.limit_in_bytes", "memory.max", "268435456")
	to := torrentOf(t, bigFile(t), 16<<20)
	seeder := scripted(t, manner{}, to)
	var list strings.Builder
	for i := range 500 {
		fmt.Fprintln(&list, madeUp(t, fmt.Sprintf("one-of-500-%03d", i), 1<<30, 1<<20, "").file)
	}
	m := mountBipfs(t, mounting{prefix: group.prefix(), flags: peerFlags(seeder), sources: []string{to.file, "-"}, list: list.String()})
	same(t, to.shown(m), to.content)
	if got := strings.Count(run(t, 20*time.Second, "ls", "-R", m.dir).out, "one-of-500"); got != 3*500 {
		t.Errorf("ls -R names the 500 torrents %d times, expected are 1500", got)
	}
	freshPages(t, to.shown(m))
	same(t, to.shown(m), to.content)
	if n := group.killed(); n > 0 || !m.runs() {
		t.Errorf("%d processes were killed for lack of memory", n)
	}
	t.Logf("memory at most %d MiB", m.status("VmHWM")>>20)
	m.stop(5 * time.Second)
}

// TestKeepFree: on a filesystem of 1 GiB 2 GiB are read to the end, and there
// is never less free than was asked for.
func TestKeepFree(t *testing.T) {
	long(t)
	disk := loopDisk(t, 1<<30, false)
	const keep, size = 300 << 20, 2 << 30 // three times what may be stored
	// The content is a sparse file: what matters is how much it is.
	path := tempDir(t) + "/zeros.bin"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(size)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	to := torrentOf(t, path, 4<<20)
	seeder := scripted(t, manner{}, to)
	m := mountBipfs(t, mounting{data: disk.dir + "/data", flags: append(peerFlags(seeder), "--keep-free", fmt.Sprint(keep)), sources: []string{to.file}})

	least, stop := int64(1<<62), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			var st syscall.Statfs_t
			if err := syscall.Statfs(disk.dir, &st); err == nil {
				least = min(least, int64(st.Bavail)*int64(st.Bsize))
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	begin := time.Now()
	r := try(2*time.Minute, "cmp", to.shown(m), path)
	close(stop)
	watching.Wait()
	if r.code != 0 {
		t.Errorf("2 GiB on a disk of 1 GiB: %v", r)
	}
	t.Logf("%.0f MB/s; at least %d MiB were free, %d are to be kept", size/1e6/time.Since(begin).Seconds(), least>>20, keep>>20)
	if least < keep {
		t.Errorf("%d MiB were free, %d are to be kept", least>>20, keep>>20)
	}
	if n := strings.Count(m.printed(), "level=WARN"); n != 0 {
		t.Errorf("%d warnings, expected is none: what was read gives way", n)
	}
	m.stop(5 * time.Second)
}
