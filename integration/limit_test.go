package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLimit: no more comes than a limit lets by; it is changed and taken away while
// the mount runs; that of a torrent is kept over a restart.
func TestLimit(t *testing.T) {
	t.Parallel()
	const rate = 1_000_000
	c := torrentOf(t, file(t, "limited.bin", 6_000_000), 64<<10)
	seeder := scripted(t, manner{}, c)
	o := mounting{data: tempDir(t), flags: append(peerFlags(seeder), "--control", tempDir(t), "--down", "1MB/s", "--max-peers", "7", "--max-peers-per-torrent", "5")}
	m := mountBipfs(t, o)
	command := func(args ...string) result {
		return try(20*time.Second, append([]string{bipfs, args[0], "--control", m.control()}, args[1:]...)...)
	}
	begin := time.Now()
	for _, args := range [][]string{{"add", c.file}, {"pin", c.hash()}} {
		if r := command(args...); r.code != 0 {
			t.Fatal(r)
		}
	}
	eventually(t, 20*time.Second, "nothing comes", func() bool { return seeder.sent.Load() > 1_500_000 })
	if most := int64(rate*time.Since(begin).Seconds()) + rate/2; seeder.sent.Load() > most {
		t.Errorf("%d bytes came, %d may have", seeder.sent.Load(), most)
	}
	limits := func(what ...string) (l struct {
		Down int64 `json:"down_limit"`
		Up   int64 `json:"up_limit"`
	}) {
		t.Helper()
		r := command(append([]string{"limit", "--json"}, what...)...)
		if err := json.Unmarshal([]byte(r.out), &l); err != nil {
			t.Fatalf("%v: %v", r, err)
		}
		return l
	}
	if l := limits(); l.Down != rate || l.Up != 0 {
		t.Errorf("limits: %+v", l)
	}
	for _, args := range [][]string{{"limit", "--down", "1B/s"}, {"limit", "--background", "1MB", c.hash()}} {
		if r := command(args...); r.code != 2 {
			t.Errorf("%v", r)
		}
	}
	if r := command("limit", "--down", "off", "--up", "2MB/s"); r.code != 0 || !strings.Contains(r.out, "2MB/s") {
		t.Error(r)
	}
	if r := command("limit", c.hash(), "--up", "100KB/s"); r.code != 0 {
		t.Error(r)
	}
	if r := command("status"); !strings.Contains(r.out, "up 2MB/s") {
		t.Error(r)
	}
	eventually(t, 20*time.Second, "it does not come", func() bool { return strings.Contains(command("ls").out, "100 %") })
	m.stop(5 * time.Second)
	o.dir = m.dir
	m = mountBipfs(t, o)
	if l := limits(c.hash()); l.Up != 100_000 || l.Down != 0 {
		t.Errorf("after a restart: %+v", l)
	}
	if l := limits(); l.Up != 0 || l.Down != rate {
		t.Errorf("those of all, after a restart: %+v", l)
	}
}

// BenchmarkDown is what comes in ten seconds under --down 5MB/s, in MB/s, of one
// torrent and of eight, with a peer that sends as fast as it can.
func BenchmarkDown(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprint(n, " torrents"), func(b *testing.B) {
			var all []*torrent
			for i := range n {
				all = append(all, torrentOf(b, file(b, fmt.Sprintf("down-%d-%d.bin", n, i), int64(80_000_000/n)), 256<<10))
			}
			seeder := scripted(b, manner{}, all...)
			m := mountBipfs(b, mounting{flags: append(peerFlags(seeder), "--control", tempDir(b), "--down", "5MB/s")})
			for _, to := range all {
				run(b, 10*time.Second, bipfs, "add", "--control", m.control(), to.file)
				run(b, 10*time.Second, bipfs, "pin", "--control", m.control(), to.hash())
			}
			eventually(b, 20*time.Second, "nothing comes", func() bool { return seeder.sent.Load() > 4_000_000 })
			for b.Loop() {
				before, begin := seeder.sent.Load(), time.Now()
				time.Sleep(10 * time.Second)
				b.ReportMetric(float64(seeder.sent.Load()-before)/1e6/time.Since(begin).Seconds(), "MB/s")
				run(b, 10*time.Second, bipfs, "limit", "--control", m.control(), "--down", "2MB/s")
				time.Sleep(time.Second)
				before, begin = seeder.sent.Load(), time.Now()
				time.Sleep(2 * time.Second)
				b.ReportMetric(float64(seeder.sent.Load()-before)/1e6/time.Since(begin).Seconds(), "MB/s-1s-after-2MB/s")
			}
		})
	}
}

// BenchmarkReadBesidePin is the time to the first byte of a read at random, in ms, of
// a client that does nothing else, and of one that fetches what is pinned as fast as
// four peers bring it, or as a limit lets by; the median of many.
func BenchmarkReadBesidePin(b *testing.B) {
	for _, limit := range []string{"off", "5MB/s"} {
		for _, pins := range []string{"idle", "pinned", "another pinned"} {
			b.Run("down "+limit+" "+pins, func(b *testing.B) { readBesidePin(b, limit, pins) })
		}
	}
}

func readBesidePin(b *testing.B, limit, pins string) {
	c := torrentOf(b, file(b, "beside-pin.bin", 512<<20), 256<<10)
	other := torrentOf(b, file(b, "beside-pin-other.bin", 512<<20), 256<<10)
	flags := []string{"--control", tempDir(b), "--down", limit}
	for range 4 {
		flags = append(flags, peerFlags(scripted(b, manner{rate: 2 << 20, strict: true}, c, other))...)
	}
	m := mountBipfs(b, mounting{flags: flags, sources: []string{c.file, other.file}})
	read := func(at int64) float64 {
		r := sh(b, 20*time.Second, `dd if="$1" bs=4096 count=1 skip=$2 status=none | wc -c`, c.shown(m), fmt.Sprint(at/4096))
		return r.took.Seconds() * 1000
	}
	read(0)
	switch pins {
	case "pinned":
		run(b, 10*time.Second, bipfs, "pin", "--control", m.control(), c.hash())
	case "another pinned":
		run(b, 10*time.Second, bipfs, "pin", "--control", m.control(), other.hash())
	}
	time.Sleep(3 * time.Second)
	chance := rand.New(rand.NewPCG(3, 4))
	for b.Loop() {
		var took []float64
		for range 21 { // at random: what is pinned is not there yet, as a rule
			took = append(took, read(chance.Int64N(c.Info.Length)))
			time.Sleep(300 * time.Millisecond)
		}
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2], "ms-median")
		b.ReportMetric(took[len(took)*9/10], "ms-90%")
	}
}
