package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is to be true after a while without a network.
const (
	hole       = 12 * time.Second // nothing passes for so long; make soak: 60 s
	asleep     = 3 * time.Second  // of them bipfs does not run either
	bytesAgain = 10 * time.Second
	knownAgain = 30 * time.Second
)

// TestAway: nothing passes for a while, as on a train; then the machine is on
// another network, with another address. A read that waited gets its bytes, the
// tracker and the DHT know where we are, and nobody was banned. (That the clock
// has jumped by hours too is for TestWake: a test may not set the clock.)
func TestAway(t *testing.T) {
	foreign(t)
	t.Parallel()
	needFuse(t)
	needLibtorrent(t)
	need(t, "tc", "nft", "opentracker")
	ours, theirs := neighbours(t)
	for _, address := range []string{"10.77.9.3/24", "10.77.9.4/24"} {
		theirs.ip("address", "add", address, "dev", "lan")
	}
	run(t, 5*time.Second, append(theirs.prefix(), "tc", "qdisc", "add", "dev", "lan", "root", "tbf", "rate", "8mbit", "burst", "32k", "latency", "100ms")...)

	to := torrentOf(t, bigFile(t), 256<<10)
	url := opentracker(t, place{address: "10.77.9.3", prefix: theirs.prefix()}, to).url
	to = to.tracked(t, url)
	seeder := libtorrent(t, place{address: "10.77.9.2", prefix: theirs.prefix()}, contentDir(), to)
	node := net.JoinHostPort("10.77.9.4", freePort(t, "127.0.0.1"))
	mountBipfs(t, mounting{prefix: theirs.prefix(), flags: []string{"--listen", node, "--dht-node", "127.0.0.1:9"}})
	long := hole
	if *soak {
		long = time.Minute
	}
	port := freePort(t, "127.0.0.1")
	m := mountBipfs(t, mounting{prefix: ours.prefix(), sources: []string{to.file}, flags: []string{
		"--listen", "0.0.0.0:" + port, "--dht-node", node, "--read-timeout", (long + 30*time.Second).String(),
	}})
	out := filepath.Join(tempDir(t), "out")
	reader := start(t, "reader", "dd", "if="+to.shown(m), "of="+out, "bs=64k", "status=none")
	size := func() int64 {
		st, err := os.Stat(out)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	known := func(address, how, where string) func() bool {
		return func() bool {
			r := try(5*time.Second, append(theirs.prefix(), python, "testdata/ask.py", how, where, to.hash())...)
			return slices.Contains(strings.Fields(r.out), net.JoinHostPort(address, port))
		}
	}
	eventually(t, 20*time.Second, "bytes come", func() bool { return size() > 1<<20 })
	eventually(t, knownAgain, "the tracker knows us", known("10.77.9.1", "tracker", url))
	eventually(t, knownAgain, "the DHT knows us", known("10.77.9.1", "dht", node))

	block := append(theirs.prefix(), "nft", `add table ip hole; add chain ip hole in { type filter hook input priority 0; }; add chain ip hole out { type filter hook output priority 0; }; add rule ip hole in iifname "lan" drop; add rule ip hole out oifname "lan" drop`)
	run(t, 5*time.Second, block...)
	time.Sleep(long - asleep)
	m.signal(syscall.SIGSTOP)
	time.Sleep(asleep)
	ours.ip("address", "del", "10.77.9.1/24", "dev", "lan")
	ours.ip("address", "add", "10.77.9.77/24", "dev", "lan")
	run(t, 5*time.Second, append(theirs.prefix(), "nft", "delete", "table", "ip", "hole")...)
	before := size()
	m.signal(syscall.SIGCONT)
	up := time.Now()

	eventually(t, bytesAgain, "the read that waited gets bytes", func() bool { return size() > before })
	t.Logf("bytes after %v", time.Since(up).Round(10*time.Millisecond))
	eventually(t, knownAgain-time.Since(up), "the tracker knows the new address", known("10.77.9.77", "tracker", url))
	t.Logf("the tracker knows after %v", time.Since(up).Round(10*time.Millisecond))
	eventually(t, knownAgain-time.Since(up), "the DHT knows the new address", known("10.77.9.77", "dht", node))
	t.Logf("the DHT knows after %v", time.Since(up).Round(10*time.Millisecond))
	if strings.Contains(m.printed(), "banned") {
		t.Error("somebody was banned")
	}
	if !reader.runs() {
		t.Error("the reader has ended")
	}
	got := size()
	reader.kill()
	run(t, 20*time.Second, "cmp", "-n", fmt.Sprint(got), out, to.content)
	m.stop(5 * time.Second)
	seeder.kill()
}
