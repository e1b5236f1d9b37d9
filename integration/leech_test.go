package integration

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// trackerEnv makes the test's own program a tracker: LISTEN PEER.
const trackerEnv = "BIPFS_INTEGRATION_TRACKER"

// fixedTracker is a tracker that always gives one peer, but to those only who ask
// by the infohash that it was asked by first: libtorrent 2.0.8 hangs up on a peer
// of a hybrid that it hears of by both while it shakes hands with it. It is a process, as it
// runs in another network than the test.
func fixedTracker(t testing.TB, at place, peer string) (url string) {
	t.Helper()
	listen := net.JoinHostPort(at.address, freePort(t, "127.0.0.1"))
	argv := append(at.prefix, os.Args[0])
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), trackerEnv+"="+listen+" "+peer)
	startCommand(t, "tracker", cmd)
	at.listening(t, listen)
	return "http://" + listen + "/announce"
}

func trackerMain(job string) int {
	listen, peer, _ := strings.Cut(job, " ")
	addr, err := netip.ParseAddrPort(peer)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	answer := "d8:intervali60e5:peers6:"
	if addr.Addr().Is6() {
		answer = "d8:intervali60e5:peers0:6:peers618:"
	}
	answer += string(addr.Addr().AsSlice()) + string([]byte{byte(addr.Port() >> 8), byte(addr.Port())}) + "e"
	var mu sync.Mutex
	first := ""
	fmt.Println(http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		hash := r.URL.Query().Get("info_hash")
		if first = cmp.Or(first, hash); hash != first {
			_, _ = io.WriteString(w, "d8:intervali60e5:peers0:e")
			return
		}
		_, _ = io.WriteString(w, answer)
	})))
	return 1
}

// A leeching is a network in which bipfs listens, and others are. Transmission does
// not connect to 127.0.0.0/8: the loopback device has other addresses, too.
type leeching struct {
	ns              *namespace
	listen, tracker string
}

func newLeeching(t *testing.T) leeching {
	t.Helper()
	l := leeching{ns: newNamespace(t), listen: "10.77.1.1:6881"}
	for i := range 4 {
		l.ns.ip("address", "add", fmt.Sprintf("10.77.1.%d/24", 1+i), "dev", "lo")
	}
	l.tracker = fixedTracker(t, l.at(1), l.listen)
	return l
}

func (l leeching) at(i int) place {
	return place{address: fmt.Sprintf("10.77.1.%d", i), prefix: l.ns.prefix()}
}

// mount mounts a torrent that a libtorrent has.
func (l leeching) mount(t *testing.T, to *torrent) (m *mount, seeder *client) {
	t.Helper()
	seeder = libtorrent(t, l.at(2), contentDir(), to)
	m = mountBipfs(t, mounting{prefix: l.ns.prefix(), flags: []string{"--listen", l.listen, "--peer", seeder.addr}, sources: []string{to.file}})
	return m, seeder
}

// TestLeech: libtorrent and transmission download the large file with bipfs as their
// only seeder, first from what it has, then from what it is still fetching.
func TestLeech(t *testing.T) {
	long(t)
	t.Parallel() // with the other test that waits for transmission most of the time
	needLibtorrent(t)
	to := torrentOf(t, bigFile(t), 1<<20)
	leeches := map[string]func(*testing.T, leeching){
		"libtorrent":   func(t *testing.T, l leeching) { leechLibtorrent(t, l.at(3), l.listen, to) },
		"transmission": func(t *testing.T, l leeching) { leechTransmission(t, l.at(4), to.tracked(t, l.tracker)) },
	}
	t.Run("complete", func(t *testing.T) {
		t.Parallel()
		l := newLeeching(t)
		m, seeder := l.mount(t, to)
		// What is only read need not be stored, when the disk is slower than the swarm.
		run(t, time.Minute, bipfs, "fetch", "--control", m.control(), to.shown(m))
		same(t, to.shown(m), to.content)
		seeder.kill()
		for name, leech := range leeches {
			t.Run(name, func(t *testing.T) { leech(t, l) })
		}
		m.stop(5 * time.Second)
	})
	for name, leech := range leeches {
		t.Run("while fetching, "+name, func(t *testing.T) {
			t.Parallel()
			l := newLeeching(t)
			m, _ := l.mount(t, to)
			// The reader is no faster than a good line, so the leech is there
			// before the file is.
			reader := start(t, "reader", "sh", "-euc", `for i in $(seq 0 24); do dd if="$0" of=/dev/null bs=1M skip=$((i*$1/25)) count=$(($1/25)) status=none; sleep 0.3; done`,
				to.shown(m), fmt.Sprint(bigSize()>>20))
			leech(t, l)
			if code := reader.exits(30 * time.Second); code != 0 {
				t.Errorf("the reader ended with %d", code)
			}
			m.stop(5 * time.Second)
		})
	}
}

func leechLibtorrent(t *testing.T, at place, from string, to *torrent) {
	t.Helper()
	dir := tempDir(t)
	begin := time.Now()
	c := libtorrentLeech(t, at, dir, from, to)
	c.prints("done\n", time.Minute)
	t.Logf("libtorrent downloaded %.0f MB/s", float64(to.Info.Length)/1e6/time.Since(begin).Seconds())
	c.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
}

func leechTransmission(t *testing.T, at place, to *torrent) {
	t.Helper()
	dir := tempDir(t)
	begin := time.Now()
	c := transmission(t, at, dir, to)
	var err error
	for err = c.done(to); err != nil && time.Since(begin) < 100*time.Second; err = c.done(to) {
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("transmission downloaded %.0f MB/s", float64(to.Info.Length)/1e6/time.Since(begin).Seconds())
	c.signal(15)
	if !c.ended(20 * time.Second) {
		t.Error("transmission does not end")
	}
	same(t, filepath.Join(dir, to.Info.Name), to.content)
}
