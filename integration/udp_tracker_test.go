package integration

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"bipfs/engine/discovery"
)

// TestUDPTracker: a UDP tracker alone is enough, both ways: bipfs finds a
// seeder that announced itself to opentracker, and is found by a leech there.
func TestUDPTracker(t *testing.T) {
	t.Parallel()
	needLibtorrent(t)
	plain := torrentOf(t, smallFile(t), 64<<10)
	tr := opentracker(t, place{address: "127.0.0.1"}, plain)
	to := plain.tracked(t, tr.udp)

	seeder := libtorrent(t, place{address: "127.0.0.2"}, contentDir(), to)
	tr.knows(to, 1)
	m := mountBipfs(t, mounting{sources: []string{to.file}})
	same(t, to.shown(m), to.content)
	seeder.kill()

	// Now bipfs is the only one that has it, and that is there.
	tr.knows(to, 1)
	dir := tempDir(t)
	leech := libtorrentLeech(t, place{address: "127.0.0.3"}, dir, "-", to)
	leech.prints("done\n", time.Minute)
	leech.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)

	// The scrapes of both protocols say the same.
	u := discovery.NewUDP(func(ctx context.Context, tracker *url.URL) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", tracker.Host)
	})
	all, err := u.Scrape(t.Context(), tr.udp, [][20]byte{to.Info.Hash, {1}})
	if err != nil || len(all) != 2 || all[0].Seeders < 1 || all[1] != (discovery.Swarm{}) {
		t.Errorf("scrape by UDP: %+v, %v", all, err)
	}
	w := startWatch()
	m.stop(time.Second)
	hindered := w.hindered() > 100*time.Millisecond // the stop waits 0.2 s for its announces
	eventually(t, 10*time.Second, "bipfs has told `stopped`", func() bool {
		if hindered {
			return true
		}
		now, err := u.Scrape(t.Context(), tr.udp, [][20]byte{to.Info.Hash})
		return err == nil && now[0].Seeders < all[0].Seeders
	})
}
