package integration

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestAlone: every tracker and the DHT are dead, and readers wait: that costs
// next to no time of a processor, and nobody is asked again and again.
func TestAlone(t *testing.T) {
	foreign(t)
	t.Parallel() // it waits, and measures processor time alone
	// A socket that is never read: what is sent there is not refused either.
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused := "127.0.0.1:" + freePort(t, "127.0.0.1")
	var sources []string
	for i := range 8 {
		hash := strings.Repeat(string("01234567"[i]), 40)
		sources = append(sources, "magnet:?xt=urn:btih:"+hash+"&tr=http://"+refused+"/announce&tr=udp://"+refused+"/announce&tr=udp://"+silent.LocalAddr().String()+"/announce")
	}
	to := torrentOf(t, smallFile(t), 256<<10).tracked(t, "http://"+refused+"/announce", "udp://"+silent.LocalAddr().String()+"/announce")
	m := mountBipfs(t, mounting{
		flags: []string{"--dht-node", silent.LocalAddr().String(), "--peer", refused}, sources: append(sources, to.file),
	})
	readers(t, to.shown(m), 4, 0, 256<<10)
	time.Sleep(3 * time.Second)
	start, begin := m.cpuTime(), time.Now()
	time.Sleep(10 * time.Second)
	used, span := m.cpuTime()-start, time.Since(begin)
	t.Logf("%.2f %% of a core", 100*used.Seconds()/span.Seconds())
	if used > span/100 {
		t.Errorf("%v of processor time in %v", used, span)
	}
	asked := 0
	for b := make([]byte, 2048); ; asked++ {
		silent.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, _, err := silent.ReadFrom(b); err != nil {
			break
		}
	}
	t.Logf("%d packets went to who never answers", asked)
	// Nine torrents: 4 connects each to the tracker in 30 s, and the DHT's pings.
	if asked < 9 || asked > 200 {
		t.Errorf("%d packets were sent to who never answers", asked)
	}
	m.stop(5 * time.Second)
}
