package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestKill kills bipfs at random moments under load, 50 times: each restart
// mounts over the dead mount at once, every byte is right, next to nothing is
// fetched twice, and nothing that was marked is hashed again.
func TestKill(t *testing.T) {
	long(t)
	const (
		rounds      = 50
		rate        = 20 << 20 // bytes a second, of the one seeder
		pieceLength = 256 << 10
	)
	to := torrentOf(t, file(t, "killed.bin", 256<<20), pieceLength)
	seeder := scripted(t, manner{rate: rate}, to)
	o := mounting{dir: tempDir(t), data: tempDir(t) + "/data", flags: peerFlags(seeder), sources: []string{to.file}}
	chance := rand.New(rand.NewPCG(1, 2))
	var slowest time.Duration
	for round := range rounds {
		m := mountBipfs(t, o)
		if slowest = max(slowest, m.took); m.took > 2*time.Second {
			t.Errorf("round %d: mounted after %v", round, m.took)
		}
		// The load goes on from where the last round was killed; beside it a
		// place that was read long ago is looked at.
		load := start(t, "load", "cmp", to.shown(m), to.content)
		old := chance.IntN(max(1, int(seeder.sent.Load()>>20)/2)) % 200
		sh(t, 20*time.Second, fmt.Sprintf(`for f in "$1" "$2"; do dd if="$f" bs=64k skip=%d count=4 status=none | sha256sum; done | uniq | wc -l | grep -qx 1`, old*16),
			to.shown(m), to.content)
		time.Sleep(time.Duration(50+chance.IntN(250)) * time.Millisecond)
		m.kill()
		// It either had everything or lost its mount; what it compared was right.
		if code := load.exits(5 * time.Second); code != 0 && !isReadError(load.printed()) {
			t.Fatalf("round %d: cmp ended with %d: %s", round, code, load.printed())
		}
	}
	before := seeder.sent.Load()
	m := mountBipfs(t, o)
	same(t, to.shown(m), to.content)
	m.stop(5 * time.Second)
	sent := seeder.sent.Load()
	if hashed, came := hashedBy(t, m), sent-before; hashed > came {
		t.Errorf("after the last kill %d KiB were hashed, and %d KiB had come", hashed>>10, came>>10)
	}
	t.Logf("slowest start %v; %d MiB were sent in %d killed rounds, %d MiB after them", slowest, before>>20, rounds, (sent-before)>>20)
	// A kill loses 100 ms of traffic, and what is in open pieces: the window of
	// one reader in order, half full on average, and the other reader's.
	lost := (sent - to.Info.Length) / rounds
	if allowed := int64(rate/10 + 8*pieceLength); lost > allowed {
		t.Errorf("a kill loses %d KiB on average, allowed are %d KiB", lost>>10, allowed>>10)
	} else {
		t.Logf("a kill loses %d KiB on average", lost>>10)
	}
	m = mountBipfs(t, mounting{data: o.data}) // complete: no peer is needed
	same(t, to.shown(m), to.content)
	m.stop(5 * time.Second)
	if hashed := hashedBy(t, m); hashed != 0 {
		t.Errorf("%d KiB of a file that is stored were hashed again", hashed>>10)
	}
}

// hashedBy is how many bytes a bipfs that has stopped had hashed.
func hashedBy(t testing.TB, m *mount) int64 {
	t.Helper()
	return int64(attribute(t, diskCacheLine.FindString(m.printed()), "hashed"))
}

// isReadError reports whether cmp ended because its file could no longer be
// read, which is no wrong byte.
func isReadError(printed string) bool {
	return strings.Contains(printed, "not connected") || strings.Contains(printed, "connection abort") || strings.Contains(printed, "Input/output error")
}

// TestDeadMount: what a killed bipfs left is cleaned at the next start, by the
// unmount command too.
func TestDeadMount(t *testing.T) {
	m := mountBipfs(t, mounting{})
	m.kill()
	if !isMounted(m.dir) {
		t.Fatal("the mount of a killed bipfs is gone by itself: the test tests nothing")
	}
	run(t, 5*time.Second, bipfs, "unmount", m.dir)
	if isMounted(m.dir) {
		t.Error("bipfs unmount leaves a dead mount")
	}
}
