package engine

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestBlocklistHolds: a peer on the list is neither dialled nor let in, and one
// that stands is sent away when the list is read again.
func TestBlocklistHolds(t *testing.T) {
	c := newContent(t, 64<<10, 3_000_000)
	s := seeder(t, c)
	file := filepath.Join(t.TempDir(), "list")
	write := func(list string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nobody:127.0.0.0-127.255.255.255\n")
	leech := testClient(t, Config{Peers: []string{s.addr()}, Blocklist: file, ReadTimeout: 500 * time.Millisecond})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := readRange(t.Context(), r, 0, 1000); err == nil {
		t.Error("a read from a blocked peer")
	}
	guest := testClient(t, Config{Peers: []string{leech.addr()}, ReadTimeout: 500 * time.Millisecond})
	visiting, err := guest.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	v, err := visiting.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	readRange(t.Context(), v, 0, 1)
	if n := leech.hand.Stats(torrent.hash).Standing; n != 0 {
		t.Errorf("%d connections with blocked peers", n)
	}

	write("# nobody\n")
	if err := leech.LoadBlocklist(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a peer that is blocked no more is not met", func() bool {
		_, err := readRange(t.Context(), r, 0, 1000)
		return err == nil
	})
	write("127.0.0.1\n")
	if err := leech.LoadBlocklist(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a blocked peer stays", func() bool { return leech.hand.Stats(torrent.hash).Standing == 0 })
	write("<html>\n")
	if err := leech.LoadBlocklist(t.Context()); err == nil {
		t.Error("a page is taken for a list")
	}
	if !leech.net.Blocked(netip.MustParseAddrPort(s.addr()).Addr()) {
		t.Error("a list that cannot be used has replaced the one before")
	}
}

// TestBlocklistURL: a list is fetched, kept, and holds while its server does
// not answer.
func TestBlocklistURL(t *testing.T) {
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Write([]byte("9.9.9.9\n"))
	}))
	defer server.Close()
	dir := t.TempDir()
	for range 2 {
		c := testClient(t, Config{Dir: dir, Blocklist: server.URL})
		if !c.net.Blocked(netip.MustParseAddr("9.9.9.9")) || c.net.Blocked(netip.MustParseAddr("9.9.9.8")) {
			t.Error("the list does not hold")
		}
		closeClient(t, c)
		broken.Store(true)
	}
	for name, list := range map[string]string{"a URL that fails": server.URL, "no such file": filepath.Join(dir, "none")} {
		cfg := Config{Dir: t.TempDir(), Memory: LeastMemory, Blocklist: list, Log: slog.New(slog.DiscardHandler)}
		if c, err := Open(cfg); err == nil {
			c.Close(context.Background())
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), "--blocklist "+list) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
