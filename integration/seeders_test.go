package integration

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var soak = flag.Bool("soak", false, "read everything with every tool from every seeder in every way")

// A swarm is one torrent of each content, and who seeds it. The contents are
// the same in all swarms; the lengths of the pieces, so the infohashes, differ,
// which lets one tracker keep the swarms apart.
type swarm struct {
	name    string
	clients []*client
	addrs   []string
	small   *torrent
	big     *torrent
	folder  *torrent
	film    *torrent
}

// realSwarms starts the seeders and the tracker: a swarm for each program, and
// one of all three.
func realSwarms(t *testing.T, tr *tracker, swarms []*swarm) {
	t.Helper()
	all := swarms[len(swarms)-1]
	starts := []func(testing.TB, place, string, ...*torrent) *client{transmission, libtorrent, aria2}
	for i, startClient := range starts {
		// aria2 does not seed one file in two torrents: one process for each swarm.
		for j, s := range []*swarm{swarms[i], all} {
			var seeds []*torrent
			for _, to := range s.torrents() {
				seeds = append(seeds, to.tracked(t, tr.url))
			}
			at := place{address: fmt.Sprintf("127.0.%d.%d", j, 2+i), prefix: tr.at.prefix}
			s.clients = append(s.clients, startClient(t, at, contentDir(), seeds...))
		}
	}
	for _, s := range swarms {
		for _, c := range s.clients {
			s.addrs = append(s.addrs, c.addr)
		}
		for _, to := range s.torrents() {
			tr.knows(to, len(s.clients))
		}
	}
}

func (s *swarm) torrents() []*torrent {
	list := []*torrent{s.small}
	if s.big != nil {
		list = append(list, s.folder, s.big, s.film)
	}
	return list
}

// The ways to find peers.
type way struct {
	name    string
	magnet  bool
	tracker bool // in the torrent or magnet
	exact   bool // x.pe in the magnet
	flag    bool // --peer
}

var ways = []way{
	{name: "torrent, tracker", tracker: true},
	{name: "torrent, --peer", flag: true},
	{name: "magnet, tracker", magnet: true, tracker: true},
	{name: "magnet, x.pe", magnet: true, exact: true},
	{name: "magnet, --peer", magnet: true, flag: true},
}

// ourAddressFor is whence bipfs speaks to the swarms in one way: transmission lets in
// one peer of an address.
func ourAddressFor(w way) string { return fmt.Sprintf("127.0.4.%d", 1+slices.Index(ways, w)) }

// mounting is how bipfs is told of a torrent in one way.
func (s *swarm) mounting(t testing.TB, w way, to *torrent, tr *tracker) (o mounting) {
	o.prefix, o.flags = tr.at.prefix, []string{"--bind", ourAddressFor(w)}
	var trackers, exact []string
	if w.tracker {
		trackers = []string{tr.url}
	}
	if w.exact {
		exact = s.addrs
	}
	if w.flag {
		for _, addr := range s.addrs {
			o.flags = append(o.flags, "--peer", addr)
		}
	}
	switch {
	case w.magnet:
		o.sources = []string{to.magnet(trackers, exact)}
	default:
		o.sources = []string{to.tracked(t, trackers...).file}
	}
	return o
}

// reads mounts a torrent, waits for a magnet's metadata, and compares all of
// it.
func reads(t *testing.T, to *torrent, o mounting) {
	t.Helper()
	m := mountBipfs(t, o)
	resolved(t, m, to)
	begin := time.Now()
	if to.Info.Single {
		same(t, to.shown(m), to.content)
	} else {
		sameTree(t, to.shown(m), to.content)
	}
	t.Logf("read %.0f MB/s, memory at most %d MiB", float64(to.Info.Length)/1e6/time.Since(begin).Seconds(), m.status("VmHWM")>>20)
	m.stop(5 * time.Second)
}

// resolved waits until a torrent's directory can be listed.
func resolved(t *testing.T, m *mount, to *torrent) {
	t.Helper()
	eventually(t, 30*time.Second, "the metadata comes", func() bool {
		r := try(10*time.Second, "ls", m.path(to.Info.Name))
		return r.code == 0 && strings.TrimSpace(r.out) != ""
	})
}

// TestSeeders reads from real seeders, one at a time and together, found in
// every way: the small file in all of them, the large contents and each of the
// tools in one, so that each seeder and each way has carried each content; of
// the tools, transmission, which takes its time, has to do with a few. With
// -soak everything is read from all seeders in all ways.
func TestSeeders(t *testing.T) {
	foreign(t)
	needFuse(t)
	t.Parallel() // with the other test that waits for transmission most of the time
	tr, swarms := seederSwarms(t)
	for i, s := range swarms {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel() // the others are done while transmission waits
			for j, w := range ways {
				t.Run(w.name, func(t *testing.T) {
					if i == 0 && j > 0 {
						long(t) // transmission lets nobody in for up to 10 s
					}
					t.Parallel()
					reads(t, s.small, s.mounting(t, w, s.small, tr))
					if s.big != nil && (*soak || j == i) {
						t.Run("large file", func(t *testing.T) { reads(t, s.big, s.mounting(t, w, s.big, tr)) })
					}
					if s.folder != nil && (*soak || j == (i+2)%len(ways)) {
						t.Run("300 files", func(t *testing.T) { reads(t, s.folder, s.mounting(t, w, s.folder, tr)) })
					}
					for k, u := range tools {
						if s.folder != nil && (*soak || j == (i+k)%len(ways) && (i > 0 || k%4 == 0)) {
							t.Run(u.name, func(t *testing.T) { u.reads(t, s, w, tr) })
						}
					}
				})
			}
		})
	}
}

// seederSwarms are the swarms of each seeder and of all of them, in a tracker.
func seederSwarms(t *testing.T) (*tracker, []*swarm) {
	small := smallFile(t)
	names := []string{"transmission", "libtorrent", "aria2", "all together"}
	var swarms []*swarm
	var tracked []*torrent
	for i, name := range names {
		length := int64(256<<10) << i
		s := &swarm{name: name}
		if s.small = torrentOf(t, small, length); i == 3 {
			s.small = madeBy(t, "mktorrent", small, length)
		}
		if !testing.Short() {
			s.big, s.folder, s.film = torrentOf(t, bigFile(t), length), torrentOf(t, folder(t), length), torrentOf(t, film(t), length>>2)
			if i == 3 {
				s.big, s.folder = madeBy(t, "bipfs", bigFile(t), length), madeBy(t, "mktorrent", folder(t), length)
			}
		}
		swarms = append(swarms, s)
		tracked = append(tracked, s.torrents()...)
	}
	ns := newNamespace(t)
	for _, w := range ways {
		ns.ip("address", "add", ourAddressFor(w)+"/32", "dev", "lo")
	}
	tr := opentracker(t, place{address: "127.0.0.1", prefix: ns.prefix()}, tracked...)
	realSwarms(t, tr, swarms)
	return tr, swarms
}
