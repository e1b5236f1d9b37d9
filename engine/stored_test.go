package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bipfs/engine/metainfo"
)

// TestRestartKnowsThePeersOfALink: what x.pe named is tried after a restart,
// too, when the metadata is long here; so are peers named later.
func TestRestartKnowsThePeersOfALink(t *testing.T) {
	c := newContent(t, 32<<10, 200_000)
	s := seeder(t, c)
	named := Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash, Peers: []string{s.addr()}}}
	for name, sources := range map[string][]Source{
		"resolved": {named},
		"later":    {{Torrent: c.meta}, named},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := testClient(t, Config{Dir: dir})
			for _, source := range sources {
				torrent, err := first.Add(source)
				if err != nil {
					t.Fatal(err)
				}
				resolved(t, torrent)
			}
			closeClient(t, first)
			again := testClient(t, Config{Dir: dir})
			readAll(t, again.Torrents()[0], c)
		})
	}
}

// TestStoredNamesComeFirst: a magnet link whose name is not chosen yet takes
// no name from a torrent that has it for good, whatever their infohashes.
func TestStoredNamesComeFirst(t *testing.T) {
	for seed := range 4 {
		c := newContent(t, 16<<10, 100+seed)
		dir := t.TempDir()
		client := testClient(t, Config{Dir: dir})
		if _, err := client.Add(Source{Torrent: c.meta}); err != nil {
			t.Fatal(err)
		}
		for _, first := range []byte{0, 255} { // before it and after it
			magnet := &metainfo.Magnet{Name: "folder"}
			magnet.Hash[0] = first
			if _, err := client.Add(Source{Magnet: magnet}); err != nil {
				t.Fatal(err)
			}
		}
		closeClient(t, client)
		client = testClient(t, Config{Dir: dir})
		if got := client.Torrents()[0].Name(); got != "folder" {
			t.Errorf("after a restart it is shown as %q", got)
		}
		closeClient(t, client)
	}
}

// TestBrokenState: what cannot be read of one torrent is reported, and takes
// nothing else with it.
func TestBrokenState(t *testing.T) {
	c, other := newContent(t, 16<<10, 100), newContent(t, 16<<10, 200)
	hash := c.meta.Info.Hash.String()
	for name, damage := range map[string]func(dir string) error{
		"no state":    func(dir string) error { return os.Remove(filepath.Join(dir, "state")) },
		"torn state":  func(dir string) error { return os.WriteFile(filepath.Join(dir, "state"), []byte(`{"slot":`), 0o600) },
		"empty state": func(dir string) error { return os.WriteFile(filepath.Join(dir, "state"), nil, 0o600) },
		"slot 0":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "state"), []byte(`{}`), 0o600) },
		"slot taken": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "state"), []byte(`{"slot":2,"name":"z"}`), 0o600)
		},
		"torn torrent": func(dir string) error { return os.Truncate(filepath.Join(dir, "torrent"), 40) },
		"no torrent":   func(dir string) error { return os.Remove(filepath.Join(dir, "torrent")) },
		"a folder":     func(dir string) error { return os.Mkdir(filepath.Join(dir, "magnet"), 0o700) },
		"no access":    func(dir string) error { os.RemoveAll(dir); return os.WriteFile(dir, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			client := testClient(t, Config{Dir: dir})
			for _, m := range []*metainfo.Torrent{c.meta, other.meta} {
				if _, err := client.Add(Source{Torrent: m}); err != nil {
					t.Fatal(err)
				}
			}
			closeClient(t, client)
			if err := damage(filepath.Join(dir, "torrents", hash)); err != nil {
				t.Fatal(err)
			}
			client = testClient(t, Config{Dir: dir})
			if n := len(client.Torrents()); n != 1 || client.BySlot(2) == nil {
				t.Errorf("%d torrents", n)
			}
			// Its slot is not given to another one.
			magnet := &metainfo.Magnet{Hash: [20]byte{1}}
			if added, err := client.Add(Source{Magnet: magnet}); err != nil || added.Slot() <= 2 {
				t.Errorf("added: %v", err)
			}
		})
	}
}

// TestNewerJournal: a torrent whose journal a newer version wrote is EIO, said
// once, and its bytes are left alone.
func TestNewerJournal(t *testing.T) {
	c := newContent(t, 16<<10, 100_000)
	dir := t.TempDir()
	s := seeder(t, c)
	client := testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, torrent, c)
	closeClient(t, client)
	journal := filepath.Join(dir, "torrents", c.meta.Info.Hash.String(), "journal")
	newer, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	newer[8] = 99
	if err := os.WriteFile(journal, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	client = testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
	var log bytes.Buffer
	client.log = slog.New(slog.NewTextHandler(&log, nil))
	torrent = client.Torrents()[0]
	for range 100 {
		if _, err := torrent.OpenFile(0); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "newer version") {
			t.Fatalf("opened: %v", err)
		}
		if _, err := torrent.activate(); err == nil {
			t.Fatal("it is awake")
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	if now, err := os.ReadFile(journal); err != nil || !slices.Equal(now, newer) {
		t.Errorf("the journal is changed: %v", err)
	}
}
