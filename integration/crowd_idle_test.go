package integration

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/wire"
)

// What the crowd may cost.
const (
	crowdEach  = 1000     // peers of each of three torrents
	idleMemory = 20 << 10 // bytes of resident memory for each
	idleShare  = 50       // 1/50 of a core, for all of them
)

// once skips a test that runs the plain program in any case from a short run.
func once(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in a short run")
	}
}

// crowdTorrent is a torrent of 4,096 pieces that nobody ever sends a byte of.
func crowdTorrent(t testing.TB, name string) *torrent {
	t.Helper()
	content := filepath.Join(tempDir(t), name)
	f, err := os.Create(content)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	return torrentOf(t, content, 16<<10)
}

// TestCrowd: a thousand peers of each of three torrents that say hello and then
// nothing cost little memory and next to no time. Processor time does not depend
// on how busy the machine is.
func TestCrowd(t *testing.T) {
	once(t)
	var torrents []*torrent
	var sources []string
	for i := range 3 {
		to := crowdTorrent(t, fmt.Sprint("crowd", i, ".bin"))
		torrents, sources = append(torrents, to), append(sources, to.file)
	}
	addr := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	m := mountBipfs(t, mounting{flags: []string{"--listen", addr}, sources: sources})
	before := m.status("VmRSS")
	c := &crowd{}
	defer c.close()
	for i, to := range torrents {
		c.join(t, addr, to, i*crowdEach, crowdEach)
	}
	time.Sleep(4 * time.Second) // until the last has been told of the others
	start, begin := m.cpuTime(), time.Now()
	time.Sleep(6 * time.Second)
	used, span := m.cpuTime()-start, time.Since(begin)
	each := (m.status("VmRSS") - before) / (3 * crowdEach)
	t.Logf("%d bytes for each peer, %.2f %% of a core for all", each, 100*used.Seconds()/span.Seconds())
	if each > idleMemory {
		t.Errorf("%d bytes for each idle peer, allowed are %d", each, idleMemory)
	}
	if used > span/idleShare {
		t.Errorf("%v of processor time in %v", used, span)
	}
	if n := c.gone.Load(); n > 0 {
		t.Errorf("%d of the peers were hung up on", n)
	}
	late, err := joinCrowd(addr, torrents[0], 3*crowdEach) // one more than a torrent may have
	if err == nil {
		late.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := late.Read(make([]byte, 1)); err == nil {
			t.Error("there is no bound on the peers of a torrent")
		}
		late.Close()
	}
	m.stop(5 * time.Second)
}

// slowLoris is how a connection that wants to last says as little as it can:
// what it sends at once, and what it sends a byte a second.
var slowLoris = []struct {
	name    string
	at      func(to *torrent, number int) []byte
	dripped []byte
}{
	{"nothing", func(*torrent, int) []byte { return nil }, nil},
	{"a plain handshake", func(*torrent, int) []byte { return nil }, []byte("\x13BitTorrent protocol")},
	{"an encrypted handshake", func(_ *torrent, number int) []byte {
		r, key := rand.New(rand.NewPCG(uint64(number), 0)), make([]byte, 96)
		for i := range key {
			key[i] = byte(r.Uint32())
		}
		return key
	}, make([]byte, 600)}, // padding, without an end
	{"an extended handshake", func(to *torrent, number int) []byte {
		hello := append([]byte("\x13BitTorrent protocol"), 0, 0, 0, 0, 0, 0x10, 0, 0x04)
		hello = append(append(hello, to.Info.Hash[:20]...), fmt.Sprintf("-XX0002-%012d", number)...)
		return wire.Append(hello, wire.Message{Kind: wire.Extended, Payload: 400})
	}, make([]byte, 400)},
}

// TestSlowLoris: a thousand connections that send a byte a second, or nothing,
// are closed within ten seconds, and meanwhile an honest peer gets in within
// one.
func TestSlowLoris(t *testing.T) {
	once(t)
	const many, limit = 1000, 10 * time.Second
	to := crowdTorrent(t, "loris.bin")
	addr := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	m := mountBipfs(t, mounting{flags: []string{"--listen", addr}, sources: []string{to.file}})
	var wg sync.WaitGroup
	defer wg.Wait()
	var open [4]atomic.Int64
	var longest atomic.Int64
	whole := startWatch()
	begin := whole.begin
	for i := range many {
		wg.Add(1)
		open[i%4].Add(1)
		go func() {
			defer wg.Done()
			defer open[i%4].Add(-1)
			lasted := dripAt(t, addr, to, 10_000+i)
			for now := longest.Load(); int64(lasted) > now && !longest.CompareAndSwap(now, int64(lasted)); now = longest.Load() {
			}
		}()
	}
	honest := &crowd{}
	defer honest.close()
	for i := range 10 {
		w := startWatch()
		conn, err := joinCrowd(addr, to, 20_000+i)
		for err != nil && !w.over(time.Second) { // it came amidst the thousand, and comes again
			conn, err = joinCrowd(addr, to, 20_000+i)
		}
		if took := w.took(); err != nil || w.over(time.Second) {
			t.Errorf("honest peer %d: %v after %v", i, err, took)
		}
		if err == nil {
			honest.conns = append(honest.conns, conn)
		}
		time.Sleep(time.Until(begin.Add(time.Duration(i+1) * time.Second)))
	}
	eventually(t, limit+2*time.Second-time.Since(begin), "all are closed", func() bool {
		return open[0].Load()+open[1].Load()+open[2].Load()+open[3].Load() == 0
	})
	t.Logf("the longest lasted %v", time.Duration(longest.Load()))
	if longest := time.Duration(longest.Load()); longest > limit+time.Second+whole.hindered() {
		t.Errorf("one lasted %v", longest)
	}
	for i, conn := range honest.conns {
		conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
		for {
			if _, err := conn.Read(make([]byte, 4096)); err != nil {
				if e, ok := err.(net.Error); !ok || !e.Timeout() {
					t.Errorf("honest peer %d was hung up on: %v", i, err)
				}
				break
			}
		}
	}
	m.stop(5 * time.Second)
}

// dripAt is one slow connection, and how long it lasted.
func dripAt(t *testing.T, addr string, to *torrent, number int) time.Duration {
	l := slowLoris[number%len(slowLoris)]
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: crowdAddr(number)}, Timeout: longEnough}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Errorf("dial: %v", err)
		return 0
	}
	defer conn.Close()
	w := startWatch()
	if _, err := conn.Write(l.at(to, number)); err != nil {
		return time.Since(w.begin)
	}
	b := make([]byte, 4096)
	next, left := w.begin, l.dripped
	for !w.over(30 * time.Second) {
		next = next.Add(time.Second)
		conn.SetReadDeadline(next)
		for {
			if _, err = conn.Read(b); err != nil {
				break
			}
		}
		if e, ok := err.(net.Error); !ok || !e.Timeout() {
			break
		}
		if len(left) > 0 {
			if _, err := conn.Write(left[:1]); err != nil {
				break
			}
			left = left[1:]
		}
	}
	return time.Since(w.begin)
}
