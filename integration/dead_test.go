package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deadSwarms is 14 torrents of 16 MiB pieces that never bring a byte: every
// other has peers, which unchoke and never send.
func deadSwarms(t *testing.T) (dead []*torrent, silent *peer) {
	t.Helper()
	for i := range 14 {
		dead = append(dead, madeUp(t, fmt.Sprintf("dead-%02d.bin", i), 1<<30, 16<<20, ""))
	}
	var some []*torrent
	for i := 0; i < len(dead); i += 2 {
		some = append(some, dead[i])
	}
	return dead, scripted(t, manner{silent: true, addr: "127.0.0.66"}, some...)
}

// TestDeadTorrents: what nobody seeds must not harm what somebody does.
func TestDeadTorrents(t *testing.T) {
	long(t)
	control := fuseControl(t)
	live := torrentOf(t, file(t, "live.bin", 200<<20), 1<<20)
	seeder := scripted(t, manner{rate: 40 << 20}, live)
	dead, silent := deadSwarms(t)

	alone := mountBipfs(t, mounting{flags: peerFlags(seeder), sources: []string{live.file}})
	w := startWatch()
	same(t, live.shown(alone), live.content)
	without := time.Since(w.begin)
	alone.stop(5 * time.Second)

	sources := []string{live.file}
	for _, to := range dead {
		sources = append(sources, to.file)
	}
	m := mountBipfs(t, mounting{flags: append(peerFlags(seeder, silent), "--read-timeout", "60s"), sources: sources})
	idle := listing(t, m)
	blocked := blockedReaders(t, m, control, dead)

	t.Run("live file", func(t *testing.T) {
		w := startWatch()
		same(t, live.shown(m), live.content)
		with := w.took()
		t.Logf("without dead torrents %v, with them %v", without.Round(time.Millisecond), with.Round(time.Millisecond))
		// The seeder's rate gives the time; the rest is the noise of the machine.
		if with > without+without/4 {
			t.Errorf("the live file took %v, without dead torrents %v", with, without)
		}
	})
	t.Run("ls -lR", func(t *testing.T) {
		busy := listing(t, m)
		t.Logf("without readers %v, beside them %v", idle, busy)
		if busy > idle+idle/2+20*time.Millisecond {
			t.Errorf("ls -lR takes %v, without blocked readers %v", busy, idle)
		}
	})
	t.Run("killed readers", func(t *testing.T) {
		for _, p := range blocked {
			p.signal(syscall.SIGKILL)
		}
		eventually(t, time.Second+200*time.Millisecond, "nothing of the killed readers waits", func() bool { return m.waiting(control) == 0 })
		for i, p := range blocked {
			if !p.ended(time.Second) {
				t.Errorf("reader %d does not die", i)
			}
		}
	})
	t.Logf("memory at most %d MiB", m.status("VmHWM")>>20)
	if rss := m.status("VmHWM"); rss > (256+64)<<20 {
		t.Errorf("memory: at most %d MiB, allowed are 256 and 64", rss>>20)
	}
	m.stop(time.Second)
}

// TestDeadTorrentsTimeOut: a read of what nobody seeds ends when its time is over, and
// the next one of the same torrent at once.
func TestDeadTorrentsTimeOut(t *testing.T) {
	long(t)
	t.Parallel() // it waits most of the time
	const timeout = 20 * time.Second
	control := fuseControl(t)
	dead, silent := deadSwarms(t)
	var sources []string
	for _, to := range dead {
		sources = append(sources, to.file)
	}
	m := mountBipfs(t, mounting{flags: append(peerFlags(silent), "--read-timeout", timeout.String()), sources: sources})
	w := startWatch()
	for i, p := range blockedReaders(t, m, control, dead) {
		if code := p.exits(timeout + 5*time.Second); code != 0 {
			t.Errorf("reader %d: exit code %d", i, code)
		}
		for line := range strings.Lines(p.printed()) {
			var number, ms int
			if n, _ := fmt.Sscan(line, &number, &ms); n != 2 {
				continue
			}
			if !strings.Contains(line, "connection timed out") {
				t.Errorf("a blocked read ended with %q", line)
			}
			if took := time.Duration(ms) * time.Millisecond; took < timeout-time.Second || took > timeout+2*time.Second+w.hindered() {
				t.Errorf("a blocked read ended after %v, its limit is %v", took, timeout)
			}
		}
	}
	if n := m.waiting(control); n != 0 {
		t.Errorf("%d requests still wait", n)
	}
	if r := try(10*time.Second, "dd", "if="+dead[13].shown(m), "bs=1", "count=1", "skip=700000000", "status=none"); r.code != 1 || r.own > 1200*time.Millisecond {
		t.Errorf("a read of a torrent that was dead a moment ago: %v", r)
	}
	if rss := m.status("VmHWM"); rss > (256+64)<<20 {
		t.Errorf("memory: at most %d MiB, allowed are 256 and 64", rss>>20)
	}
	m.stop(time.Second)
}

// blockedReaders are two readers of each of the torrents, waiting.
func blockedReaders(t *testing.T, m *mount, control string, dead []*torrent) (blocked []*process) {
	t.Helper()
	for _, to := range dead {
		blocked = append(blocked, readers(t, to.shown(m), 2, 0, 500<<20))
	}
	eventually(t, 10*time.Second, "28 readers wait", func() bool { return m.waiting(control) >= 28 })
	time.Sleep(time.Second)
	return blocked
}

// listing is how long a listing of all of the mount takes, at best.
func listing(t *testing.T, m *mount) time.Duration {
	t.Helper()
	best := time.Minute
	for range 5 {
		best = min(best, run(t, 10*time.Second, "ls", "-lR", m.dir).own)
	}
	return best
}

// TestStopWithBlockedReads: however many reads wait, a stop is a stop.
func TestStopWithBlockedReads(t *testing.T) {
	control := fuseControl(t)
	dead, silent := deadSwarms(t)
	m := mountBipfs(t, mounting{flags: append(peerFlags(silent), "--read-timeout", "0"), sources: []string{dead[0].file, dead[1].file}})
	first := readers(t, dead[0].shown(m), 128, 0, 1<<23)
	second := readers(t, dead[1].shown(m), 128, 0, 1<<23)
	eventually(t, 10*time.Second, "256 reads wait", func() bool { return m.waiting(control) >= 256 })
	m.stop(5 * time.Second)
	for _, p := range []*process{first, second} {
		if code := p.exits(5 * time.Second); code != 0 {
			t.Errorf("the readers ended with %d", code)
		}
	}
}
