package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestThousandStored: mounting 1,000 stored torrents and listing them sends not
// one packet, to trackers, peers or anybody.
func TestThousandStored(t *testing.T) {
	foreign(t)
	t.Parallel()
	need(t, "find")
	net := newNamespace(t)
	net.nowhere()
	const count = 1000
	var list strings.Builder
	for i := range count {
		fmt.Fprintln(&list, madeUp(t, fmt.Sprintf("stored-%04d.bin", i), 1<<30, 1<<20, fmt.Sprintf("http://198.51.100.%d/announce", i%250)).file)
	}
	o := mounting{dir: tempDir(t), data: tempDir(t) + "/data", prefix: net.prefix(), within: 60 * time.Second,
		flags: []string{"--peer", "198.51.100.7:6881", "--listen", "0.0.0.0:0", "--lsd", "--dht-node", "198.51.100.8:6881"}, sources: []string{"-"}, list: list.String()}
	first := mountBipfs(t, o)
	t.Logf("%d torrents were added in %v", count, first.took.Round(time.Millisecond))
	first.stop(5 * time.Second)

	o.sources, o.list = nil, ""
	before := net.packets()
	m := mountBipfs(t, o)
	t.Logf("the restart took %v", m.took.Round(time.Millisecond))
	if m.took > 3*time.Second {
		t.Errorf("the restart took %v", m.took)
	}
	out := run(t, 20*time.Second, "ls", "-lR", m.dir).out
	if n := strings.Count(out, "stored-"); n != 3*count {
		t.Errorf("ls -lR names the torrents %d times, expected are %d", n, 3*count)
	}
	run(t, 20*time.Second, "find", m.dir, "-type", "f", "-printf", "%s %b\n")
	time.Sleep(2 * time.Second)
	if n := net.packets() - before; n != 0 {
		t.Errorf("mounting and listing sent %d packets", n)
	}
	t.Logf("memory at most %d MiB, %d open files", m.status("VmHWM")>>20, openFiles(m.pid()))
	// The count counts: a read does send something.
	readers(t, m.path("stored-0000.bin", "stored-0000.bin"), 1, 0, 0)
	eventually(t, 10*time.Second, "a read sends a packet", func() bool { return net.packets() > before })
	m.stop(5 * time.Second)
}

// TestNobodyReads: a torrent that nobody reads fetches nothing, though its
// peers are there.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	to := torrentOf(t, smallFile(t), 256<<10)
	seeder := scripted(t, manner{}, to)
	m := mountBipfs(t, mounting{flags: peerFlags(seeder), sources: []string{to.file}})
	run(t, 5*time.Second, "ls", "-lR", m.dir)
	time.Sleep(time.Second)
	if n := seeder.asked.Load(); n > 0 {
		t.Errorf("%d blocks were asked for", n)
	}
	same(t, to.shown(m), to.content)
	asked := seeder.asked.Load()
	if n := openFiles(m.pid()); n > 100 {
		t.Errorf("%d open files", n)
	}
	time.Sleep(time.Second)
	if n := seeder.asked.Load(); n > asked {
		t.Errorf("%d blocks were asked for after the last read", n-asked)
	}
	m.stop(time.Second)
}
