package integration

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

var allCells = flag.Bool("matrix", false, "meet every client in every way, and print the table of them")

// Where bipfs and the other one are, in their namespaces, in each family.
var (
	ourAddress   = map[bool]string{false: "10.77.9.1", true: "fd77::1"}
	theirAddress = map[bool]string{false: "10.77.9.2", true: "fd77::2"}
)

// A program is how a client of the matrix is started: as one that has the
// content in the folder, and as one that gets it there from whom its tracker
// names.
type program struct {
	seed, leech func(testing.TB, place, string, ...*torrent) *client
}

var programs = map[string]program{
	"transmission": {transmission, transmission},
	"libtorrent": {libtorrent, func(t testing.TB, at place, folder string, to ...*torrent) *client {
		return libtorrentLeech(t, at, folder, "-", to[0])
	}},
	"aria2": {aria2, aria2},
	"rtorrent": {func(t testing.TB, at place, folder string, to ...*torrent) *client {
		return rtorrent(t, at, folder, to[0].tracked(t, "http://127.0.0.1:9/announce"))
	}, rtorrent},
	"qbittorrent": {qbittorrent, qbittorrent},
}

// A stock is one content as torrents of each format, and a data folder of bipfs
// that has them all.
type stock struct {
	dir      string // that the content lies in
	torrents map[string]*torrent
	data     string
}

// stocked makes a stock. What is in the data folder came from libtorrent.
func stocked(t *testing.T) *stock {
	t.Helper()
	content := mixedV2(t)
	if err := os.RemoveAll(filepath.Join(content, "d")); err != nil { // transmission does not make empty files
		t.Fatal(err)
	}
	s := &stock{filepath.Dir(content), map[string]*torrent{}, filepath.Join(tempDir(t), "data")}
	var all []*torrent
	var files []string
	for name, format := range map[string]metainfo.Format{"v1": metainfo.V1, "hybrid": metainfo.Hybrid, "v2": metainfo.V2Only} {
		made, err := metainfo.Create(t.Context(), content, metainfo.CreateOptions{Format: format, PieceLength: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		to := &torrent{made, content, filepath.Join(tempDir(t), name+".torrent")}
		if err := os.WriteFile(to.file, made.Encode(), 0o644); err != nil {
			t.Fatal(err)
		}
		s.torrents[name] = to
		all, files = append(all, to), append(files, to.file)
	}
	seeder := libtorrent(t, place{address: "127.0.0.1"}, s.dir, all...)
	m := mountBipfs(t, mounting{data: s.data, flags: []string{"--peer", seeder.addr}, sources: files})
	for name := range strings.Lines(run(t, 10*time.Second, "ls", m.dir).out) {
		same(t, m.path(strings.TrimSpace(name)), content)
	}
	m.stop(5 * time.Second)
	seeder.kill()
	return s
}

// TestMatrix: bipfs fetches from real clients and they from it, in so many ways
// that each pair of values of the axes occurs; with -matrix in all ways.
func TestMatrix(t *testing.T) {
	long(t)
	t.Parallel()
	needFuse(t)
	needLibtorrent(t)
	s := stocked(t)
	list := pairwise(cells())
	if *allCells {
		list = cells()
	}
	var mu sync.Mutex
	met := map[cell]bool{}
	t.Run("cells", func(t *testing.T) {
		for _, c := range list {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				s.meet(t, c)
				mu.Lock()
				defer mu.Unlock()
				met[c] = true
			})
		}
	})
	if *allCells {
		fmt.Print(table(met))
	}
}

// meet brings a torrent over in the way of a cell.
func (s *stock) meet(t *testing.T, c cell) {
	six := c.carrier == "IPv6"
	ours, theirs := meetingPlace(t, c)
	at := place{address: theirAddress[six], prefix: theirs.prefix(), utp: c.carrier == "uTP"}
	listen := net.JoinHostPort(ourAddress[six], "6881")
	o := mounting{prefix: ours.prefix(), flags: []string{"--listen", listen, "--log-level", "debug"}}
	how := " over=tcp mse=none"
	switch c.carrier {
	case "TCP", "IPv6":
		o.flags = append(o.flags, "--no-utp", "--encryption", "off")
	case "encrypted":
		at.encryption, how = "require", " over=tcp mse=rc4"
		o.flags = append(o.flags, "--no-utp", "--encryption", "require")
	case "uTP":
		how = " over=udp "
	}
	to := s.torrents[c.format]
	var m *mount
	if c.role == "seed" {
		dir := tempDir(t) // some add the files that pad a hybrid
		run(t, 10*time.Second, "cp", "-r", to.content, dir)
		for _, f := range to.Info.Files {
			if f.Pad && c.client == "rtorrent" {
				pad(t, filepath.Join(dir, to.Info.Name, filepath.Join(f.Path...)), f.Length)
			}
		}
		seeder := programs[c.client].seed(t, at, dir, to)
		o.flags = append(o.flags, "--peer", seeder.addr)
		if o.sources = []string{to.file}; c.link == "magnet" {
			o.sources = []string{to.linked().file}
		}
		m = mountBipfs(t, o)
		resolved(t, m, to)
		same(t, to.shown(m), to.content)
		how = "source=user" + how
	} else {
		o.data = filepath.Join(tempDir(t), "data")
		run(t, 10*time.Second, "cp", "-a", s.data, o.data)
		o.sources = []string{to.file}
		m = mountBipfs(t, o)
		near := at
		if c.client == "transmission" { // it asks trackers from its address of IPv4 alone
			near.address = "127.0.0.1"
		}
		tracker := fixedTracker(t, near, listen)
		known := to.tracked(t, tracker)
		if c.link == "magnet" {
			known = to.linked(tracker)
			if c.client == "rtorrent" { // it takes no link that names two infohashes
				known.file = (&metainfo.Magnet{Hash: to.Info.Hash, Trackers: []string{tracker}}).String()
			}
		}
		dir := tempDir(t)
		programs[c.client].leech(t, at, dir, known)
		defer func() {
			if t.Failed() {
				t.Log(try(10*time.Second, "diff", "-r", "--exclude=.pad", filepath.Join(dir, to.Info.Name), to.content))
			}
		}()
		eventually(t, 30*time.Second, "the leech has it all", func() bool {
			return try(10*time.Second, "diff", "-r", "--exclude=.pad", filepath.Join(dir, to.Info.Name), to.content).code == 0
		})
		how = "source=incoming" + how
	}
	m.stop(5 * time.Second)
	if log := m.printed(); !strings.Contains(log, how) {
		t.Errorf("they did not meet as %q: %s", how, tail(log, 4<<10))
	}
}

// pad makes a file that pads a hybrid. Who does not know what it is wants it there.
func pad(t *testing.T, path string, length int64) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, length), 0o644); err != nil {
		t.Fatal(err)
	}
}

// meetingPlace is two networks for one cell. Where they are to meet over uTP, TCP
// does not get from one to the other.
func meetingPlace(t *testing.T, c cell) (ours, theirs *namespace) {
	t.Helper()
	ours, theirs = neighbours(t)
	ours.ip("address", "add", ourAddress[true]+"/64", "dev", "lan", "nodad")
	theirs.ip("address", "add", theirAddress[true]+"/64", "dev", "lan", "nodad")
	if c.carrier == "uTP" {
		run(t, 10*time.Second, append(theirs.prefix(), "nft",
			"table inet cell { chain in { type filter hook input priority 0; iifname lan meta l4proto tcp drop; }; }")...)
	}
	return ours, theirs
}

// table is what was met, for docs/PROTOCOL.md.
func table(met map[cell]bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| client | %s |\n|---|%s\n", strings.Join(axes[2], " | "), strings.Repeat("---|", len(axes[2])))
	for _, name := range axes[0] {
		for _, role := range axes[1] {
			fmt.Fprintf(&b, "| %s, %s |", name, map[string]string{"seed": "seeding", "leech": "leeching"}[role])
			for _, carrier := range axes[2] {
				fmt.Fprintf(&b, " %s |", summary(met, name, role, carrier))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// summary is the formats that came over by .torrent (t) and by magnet (m).
func summary(met map[cell]bool, name, role, carrier string) string {
	var words []string
	for _, format := range axes[4] {
		links := ""
		for _, link := range axes[3] {
			if met[cell{name, role, carrier, link, format}] {
				links += link[:1]
			}
		}
		if links != "" {
			words = append(words, format+" "+links)
		}
	}
	if words == nil {
		return "–"
	}
	return strings.Join(words, ", ")
}
