package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkReadAhead is what the kernel's read-ahead, which root may set, does to
// who reads at random and to a player: 40 reads of 64 KiB, and 8 MB/s with three
// seeks, in a cold file of pieces of 1 MiB, from four seeders of 4 and of 5 MB/s.
func BenchmarkReadAhead(b *testing.B) {
	needRoot(b)
	to := torrentOf(b, file(b, "ahead.bin", 256<<20), 1<<20)
	type figures map[string][]float64
	of := map[string]figures{}
	for range b.N {
		for _, ahead := range []string{"128", "1024", "4096"} {
			if of[ahead] == nil {
				of[ahead] = figures{}
			}
			note := func(name string, v float64) { of[ahead][name] = append(of[ahead][name], v) }

			m, sent := aheadMount(b, to, ahead, 4e6)
			took := seeks(b, to.shown(m), 40)
			note("seek-p50-ms", took[20])
			note("seek-p95-ms", took[37])
			note("seek-MB", sent())
			m.stop(10 * time.Second)

			m, _ = aheadMount(b, to, ahead, 5e6)
			first, late := play(b, to.shown(m))
			note("play-first-ms", first)
			note("play-late-ms", late)
			m.stop(10 * time.Second)
		}
	}
	for ahead, f := range of {
		for name, all := range f {
			b.ReportMetric(median(all), name+"-"+ahead)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// aheadMount mounts a torrent of four new seeders of so many bytes a second each;
// sent is how many MB they sent.
func aheadMount(b *testing.B, to *torrent, ahead string, rate int64) (m *mount, sent func() float64) {
	var seeders []*peer
	for range 4 {
		seeders = append(seeders, scripted(b, manner{rate: rate}, to))
	}
	m = mountBipfs(b, mounting{data: filepath.Join(tempDir(b), "data"), flags: peerFlags(seeders...), sources: []string{to.file}})
	device := strings.TrimSpace(run(b, 5*time.Second, "mountpoint", "-d", m.dir).out)
	if err := os.WriteFile("/sys/class/bdi/"+device+"/read_ahead_kb", []byte(ahead), 0); err != nil {
		b.Fatal(err)
	}
	return m, func() (all float64) {
		for _, p := range seeders {
			all += float64(p.sent.Load()) / 1e6
		}
		return all
	}
}

// seeks reads 64 KiB at n places, far from each other, by one descriptor, and
// returns the times in ms, sorted.
func seeks(b *testing.B, path string, n int) (took []float64) {
	out := run(b, time.Minute, python, "-c", `
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
n, pieces = int(sys.argv[2]), os.fstat(fd).st_size >> 20
for i in range(n):
    began = time.monotonic()
    assert len(os.pread(fd, 65536, (i * 37 % pieces << 20) + 458752)) == 65536
    print((time.monotonic() - began) * 1e3)
`, path, fmt.Sprint(n)).out
	for _, line := range strings.Fields(out) {
		var ms float64
		fmt.Sscan(line, &ms)
		took = append(took, ms)
	}
	slices.Sort(took)
	return took
}

// play reads 8 MB/s by 128 KiB, from four places for 2.5 s each. It returns how long
// the first read of a place took, in the mean, and how late the others were in all,
// in ms.
func play(b *testing.B, path string) (first, late float64) {
	out := run(b, time.Minute, python, "-c", `
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
step, first, late = 131072, 0, 0
for place in range(4):
    off, began = place * (60 << 20), time.monotonic()
    os.pread(fd, step, off)
    start = time.monotonic()
    first += (start - began) * 250
    for i in range(1, int(2.5 * 8e6 / step)):
        due = start + 0.5 + i * step / 8e6 + late / 1e3  # a player has half a second in hand
        time.sleep(max(0, due - 0.5 - time.monotonic()))
        os.pread(fd, step, off + i * step)
        late += max(0, time.monotonic() - due) * 1e3
print(first, late)
`, path).out
	fmt.Sscan(out, &first, &late)
	return first, late
}
