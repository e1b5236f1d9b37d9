package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// longEnough is how long a test waits for what is sure to come on a busy machine.
const longEnough = 30 * time.Second

// content is a folder with bytes made from a seed.
type content struct {
	path  string
	files map[string][]byte
	meta  *metainfo.Torrent
}

func newContent(t *testing.T, pieceLength int64, sizes ...int) *content {
	t.Helper()
	c := &content{path: filepath.Join(t.TempDir(), "folder"), files: map[string][]byte{}}
	chance := rand.NewChaCha8([32]byte{byte(len(sizes))})
	for i, n := range sizes {
		name := fmt.Sprintf("d%d/f%d", i%2, i)
		b := make([]byte, n)
		chance.Read(b)
		c.files[name] = b
		file := filepath.Join(c.path, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.meta = create(t, c.path, pieceLength)
	return c
}

func create(t *testing.T, path string, pieceLength int64) *metainfo.Torrent {
	t.Helper()
	m, err := metainfo.Create(t.Context(), path, metainfo.CreateOptions{PieceLength: pieceLength})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Memory == 0 {
		cfg.Memory = LeastMemory
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = longEnough
	}
	cfg.Listen, cfg.Version = []string{"127.0.0.1:0"}, "0"
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClient(t, c) })
	return c
}

func closeClient(t testing.TB, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	c.Close(ctx)
}

// seeder is a client that has all of the content.
func seeder(t *testing.T, c *content) *Client {
	t.Helper()
	s := testClient(t, Config{})
	_, right, err := s.Seed(t.Context(), c.meta, c.path)
	if err != nil || right != c.meta.Info.Pieces() {
		t.Fatalf("%d of %d pieces are right: %v", right, c.meta.Info.Pieces(), err)
	}
	return s
}

func (c *Client) addr() string { return fmt.Sprintf("127.0.0.1:%d", c.Port()) }

// readRange reads one range through a reader.
func readRange(ctx context.Context, r *Reader, off int64, n int) ([]byte, error) {
	loans, err := r.Read(ctx, off, n, Caller{})
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, l := range loans {
		b = append(b, l.Bytes...)
		l.Of.Release()
	}
	return b, nil
}

// readAll reads every file in order and compares it.
func readAll(t *testing.T, torrent *Torrent, c *content) {
	t.Helper()
	for i, f := range torrent.Info().Files {
		want := c.files[filepath.Join(f.Path...)]
		r, err := torrent.OpenFile(i)
		if err != nil {
			t.Fatal(err)
		}
		for off := 0; off < len(want); off += 128 << 10 {
			got, err := readRange(t.Context(), r, int64(off), 128<<10)
			if err != nil {
				t.Fatalf("%v at %d: %v", f.Path, off, err)
			}
			if !bytes.Equal(got, want[off:min(off+128<<10, len(want))]) {
				t.Fatalf("%v at %d: wrong bytes", f.Path, off)
			}
		}
		r.Close()
	}
}

func resolved(t *testing.T, torrent *Torrent) {
	t.Helper()
	select {
	case <-torrent.Resolved():
	case <-time.After(2 * longEnough):
		t.Fatal("the magnet link is not resolved")
	}
}

func TestReadFromSeeders(t *testing.T) {
	c := newContent(t, 64<<10, 1, 0, 300_000, 5_000_000, 16<<10)
	a, b := seeder(t, c), seeder(t, c)
	leech := testClient(t, Config{Peers: []string{a.addr(), b.addr()}})
	torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err != nil {
		t.Fatal(err)
	}
	if got := torrent.Name(); got != c.meta.Info.Hash.String() {
		t.Errorf("an unresolved magnet link without a name is shown as %q", got)
	}
	resolved(t, torrent)
	if got := torrent.Name(); got != "folder" {
		t.Errorf("shown as %q", got)
	}
	readAll(t, torrent, c)
}

func TestRestartReadsWithoutPeers(t *testing.T) {
	c := newContent(t, 32<<10, 700_000, 3)
	dir := t.TempDir()
	func() {
		leech := testClient(t, Config{Dir: dir, Peers: []string{seeder(t, c).addr()}})
		torrent, err := leech.Add(Source{Torrent: c.meta})
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, torrent, c)
		closeClient(t, leech)
	}()
	again := testClient(t, Config{Dir: dir})
	torrent, listed := again.ByName("folder")
	if torrent == nil || !listed {
		t.Fatal("the torrent is not there after a restart")
	}
	readAll(t, torrent, c)
	if torrent.running() != nil {
		t.Error("reading what is here has woken the torrent")
	}
}

func TestReadWithoutPeersTimesOut(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	leech := testClient(t, Config{ReadTimeout: 300 * time.Millisecond})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if _, err := readRange(t.Context(), r, 0, 1); !errors.Is(err, ErrNoPeers) {
			t.Errorf("read without a peer: %v", err)
		}
	}
}

func TestFetchWhole(t *testing.T) {
	c := newContent(t, 64<<10, 3_000_000, 10)
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err != nil {
		t.Fatal(err)
	}
	var last, all int64
	if err := torrent.Fetch(t.Context(), func(here, of int64) { last, all = here, of }); err != nil {
		t.Fatal(err)
	}
	if last != all || all != c.meta.Info.Length {
		t.Errorf("%d of %d bytes", last, all)
	}
	for i, f := range torrent.Info().Files {
		got, err := os.ReadFile(torrent.DataFile(i))
		if err != nil || !bytes.Equal(got, c.files[filepath.Join(f.Path...)]) {
			t.Errorf("%v is not stored right: %v", f.Path, err)
		}
	}
}

func TestSecondClientOnOneFolder(t *testing.T) {
	dir := t.TempDir()
	testClient(t, Config{Dir: dir, Mountpoint: "/mnt/here"})
	_, err := Open(Config{Dir: dir, Memory: LeastMemory, Log: slog.New(slog.DiscardHandler)})
	want := fmt.Sprintf("already mounted at /mnt/here by pid %d", os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, not %q", err, want)
	}
}

func TestNewerFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: dir, Memory: LeastMemory, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("a folder of a newer format was opened")
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "torrents")); len(entries) != 0 {
		t.Error("something was written into it")
	}
}

func TestAddTwiceIsOneTorrent(t *testing.T) {
	c := newContent(t, 32<<10, 10)
	client := testClient(t, Config{})
	first, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err != nil || again != first || len(client.Torrents()) != 1 {
		t.Errorf("added again: %v, %d torrents", err, len(client.Torrents()))
	}
}

func TestTorrentGoesDormantAndWakes(t *testing.T) {
	c := newContent(t, 32<<10, 200_000)
	s := seeder(t, c)
	leech := testClient(t, Config{Peers: []string{s.addr()}, dormantAfter: 50 * time.Millisecond})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	if torrent.running() != nil {
		t.Error("a torrent that nobody has read is awake")
	}
	for range 2 {
		r, err := torrent.OpenFile(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readRange(t.Context(), r, 0, 1); err != nil {
			t.Fatal(err)
		}
		l := torrent.running()
		time.Sleep(100 * time.Millisecond)
		r.Close()
		if l == nil {
			break // the second time the byte is here: nothing wakes
		}
		select {
		case <-l.done:
		case <-time.After(longEnough):
			t.Fatal("the torrent stays awake")
		}
		if n := len(torrent.live); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	}
	// A peer that comes wakes it, and is served.
	other := testClient(t, Config{Peers: []string{leech.addr()}})
	reading, err := other.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := reading.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := readRange(t.Context(), r, 0, 1); err != nil {
		t.Errorf("a dormant torrent does not serve: %v", err)
	}
}

func TestNamesOfTorrents(t *testing.T) {
	first, second := newContent(t, 32<<10, 10), newContent(t, 32<<10, 11)
	dir := t.TempDir()
	client := testClient(t, Config{Dir: dir, Peers: []string{seeder(t, first).addr()}})
	magnet := &metainfo.Magnet{Hash: first.meta.Info.Hash, Name: "a name/of its own"}
	resolving, err := client.Add(Source{Magnet: magnet})
	if err != nil {
		t.Fatal(err)
	}
	clash, err := client.Add(Source{Torrent: second.meta})
	if err != nil {
		t.Fatal(err)
	}
	resolved(t, resolving)
	hash := first.meta.Info.Hash.String()
	if got, want := resolving.Name(), "folder ["+hash[:8]+"]"; got != want || clash.Name() != "folder" {
		t.Errorf("shown as %q and %q", got, clash.Name())
	}
	old := metainfo.SafeName(magnet.Name)
	for range 2 { // before and after a restart
		for _, name := range []string{old, hash, strings.ToUpper(hash)} {
			if got, listed := client.ByName(name); got == nil || got.Hash() != first.meta.Info.Hash || listed {
				t.Errorf("%q is not a hidden name of the torrent", name)
			}
		}
		if got, listed := client.ByName("folder [" + hash[:8] + "]"); got == nil || !listed {
			t.Error("its name is not shown")
		}
		closeClient(t, client)
		client = testClient(t, Config{Dir: dir})
	}
	if slots := []uint32{client.Torrents()[0].Slot(), client.Torrents()[1].Slot()}; slots[0] != 1 || slots[1] != 2 {
		t.Errorf("the slots are %v", slots)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(longEnough); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestWokenByAPeerLooksForNoOthers(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	stranger := testClient(t, Config{}) // has the torrent, and nothing of it
	if _, err := stranger.Add(Source{Torrent: c.meta}); err != nil {
		t.Fatal(err)
	}
	asleep := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	torrent, err := asleep.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	// The stranger is made to look for peers, and finds the sleeper.
	reading, _ := stranger.ByName("folder")
	stranger.cfg.Peers = []string{asleep.addr()}
	if err := reading.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sleeper is woken", func() bool { return torrent.running() != nil })
	time.Sleep(200 * time.Millisecond)
	if n := asleep.hand.Stats(c.meta.Info.Hash); n.Standing > 1 {
		t.Errorf("a torrent that nobody reads has %d peers", n.Standing)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := readRange(t.Context(), r, 0, 1); err != nil {
		t.Errorf("a read does not begin the search: %v", err)
	}
}
