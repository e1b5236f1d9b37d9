package integration

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var profileDir = flag.String("profile", "", "the folder that BenchmarkRoad puts what perf records into")

// roadSize is what is moved in each turn.
const roadSize = 512 << 20

// A turn is what one way of moving the bytes took.
type turn struct {
	wall, cpu time.Duration
	memory    int64 // bytes at most; 0: not looked at
}

// BenchmarkRoad moves 512 MiB from one seeder without a limit, in turns: `cat`
// through the mount, `bipfs fetch` to disk, and libtorrent to disk. A turn is
// from the start of the program to the last byte, for libtorrent from when it
// listens. With -profile it has perf look at one more turn of each of ours.
func BenchmarkRoad(b *testing.B) {
	needLibtorrent(b)
	needFuse(b)
	for name, length := range map[string]int64{"256KiB": 256 << 10, "4MiB": 4 << 20} {
		b.Run(name, func(b *testing.B) {
			to := torrentOf(b, file(b, "road.bin", roadSize), length)
			seeder := scripted(b, manner{}, to)
			ways := []struct {
				name string
				way  func(testing.TB, *torrent, *peer, string) turn
			}{{"cat", catRoad}, {"fetch", fetchRoad}, {"libtorrent", libtorrentRoad}}
			took := map[string][]turn{}
			for range b.N {
				for _, w := range ways {
					warm(b)
					u := w.way(b, to, seeder, "")
					took[w.name] = append(took[w.name], u)
					b.Logf("%-10s %5.0f MB/s, %.2f s of CPU, %d MiB", w.name, roadSize/1e6/u.wall.Seconds(), u.cpu.Seconds(), u.memory>>20)
				}
			}
			for _, w := range ways {
				wall, cpu := medians(took[w.name])
				b.ReportMetric(roadSize/1e6/wall, w.name+"-MB/s")
				b.ReportMetric(cpu, w.name+"-cpu-s")
			}
			b.ReportMetric(0, "ns/op")
			if *profileDir != "" {
				for _, w := range ways[:2] {
					warm(b)
					w.way(b, to, seeder, filepath.Join(*profileDir, w.name+"-"+name+".perf"))
				}
			}
		})
	}
}

// warm has the machine touch as much memory as a turn takes. A virtual machine
// gives idle memory back to its host, and to get it again is ten times as dear as
// to copy into it: without this, turns differ by that alone.
func warm(t testing.TB) {
	t.Helper()
	sh(t, time.Minute, `dd if=/dev/zero of="$1" bs=1M count=1536 status=none; rm "$1"`, filepath.Join(tempDir(t), "warm"))
}

func medians(of []turn) (wall, cpu float64) {
	var walls, cpus []float64
	for _, u := range of {
		walls, cpus = append(walls, u.wall.Seconds()), append(cpus, u.cpu.Seconds())
	}
	return median(walls), median(cpus)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// perf has perf(1) write what a process does to a file, until the returned
// function is called.
func perf(t testing.TB, p *process, out string) (end func()) {
	if out == "" {
		return func() {}
	}
	need(t, "perf")
	watching := start(t, "perf", "perf", "record", "-q", "-F", "997", "-g", "-p", strconv.Itoa(p.pid()), "-o", out)
	time.Sleep(300 * time.Millisecond) // perf does not say when it has begun
	return func() {
		watching.signal(syscall.SIGINT)
		watching.exits(time.Minute)
	}
}

func catRoad(t testing.TB, to *torrent, seeder *peer, record string) (u turn) {
	m := mountBipfs(t, mounting{flags: append(peerFlags(seeder), "--log-level", "error"), sources: []string{to.file}})
	watched := perf(t, m.process, record)
	began := time.Now()
	run(t, time.Minute, "dd", "if="+to.shown(m), "of=/dev/null", "bs=128k", "status=none") // as cat reads
	u.wall = time.Since(began)
	watched()
	u.cpu, u.memory = processor(t, m.pid()), m.status("VmHWM")
	same(t, to.shown(m), to.content) // the pages that dd was given
	m.stop(10 * time.Second)
	os.RemoveAll(m.data)
	return u
}

func fetchRoad(t testing.TB, to *torrent, seeder *peer, record string) (u turn) {
	dir := tempDir(t)
	argv := append([]string{bipfs, "fetch", "--no-dht", "--listen", "127.0.0.1:0", "--log-level", "error", to.file, "-o", dir}, peerFlags(seeder)...)
	if record != "" {
		need(t, "perf")
		argv = append([]string{"perf", "record", "-q", "-F", "997", "-g", "-o", record, "--"}, argv...)
	}
	began := time.Now()
	p := start(t, "fetch", argv...)
	if p.exits(time.Minute) != 0 {
		t.Fatal(p.printed())
	}
	u.wall, u.cpu = time.Since(began), p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
	os.RemoveAll(dir)
	return u
}

func libtorrentRoad(t testing.TB, to *torrent, seeder *peer, _ string) (u turn) {
	dir := tempDir(t)
	leech := libtorrentLeech(t, place{address: "127.0.0.1", encryption: "off"}, dir, seeder.addr, to)
	before, began := processor(t, leech.pid()), time.Now()
	leech.prints("done", time.Minute)
	u.wall, u.cpu = time.Since(began), processor(t, leech.pid())-before
	leech.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
	os.RemoveAll(dir)
	return u
}

// processor is the time of a processor that a process has taken.
func processor(t testing.TB, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ") // after the name
	var ticks int64
	for _, field := range strings.Fields(rest)[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // of USER_HZ, which is 100 for every program
}
