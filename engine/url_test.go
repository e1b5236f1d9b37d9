package engine

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestURLOverRestarts: a URL that was not fetched before the stop is fetched after it,
// and none that was fetched, or cannot be.
func TestURLOverRestarts(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	asked := make(chan struct{}, 16)
	ready := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if strings.HasSuffix(r.URL.Path, "/gone") {
			http.NotFound(w, r)
			return
		}
		select {
		case <-ready:
			w.Write(c.meta.Encode())
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	kept := func(client *Client) int {
		client.mu.Lock()
		defer client.mu.Unlock()
		return len(client.state.URLs)
	}
	first := testClient(t, Config{Dir: dir})
	for range 2 { // the second time it is on its way
		if err := first.AddURL(server.URL + "/x.torrent"); err != nil {
			t.Fatal(err)
		}
	}
	<-asked
	closeClient(t, first)
	b, err := os.ReadFile(filepath.Join(dir, "client"))
	if err != nil || !strings.Contains(string(b), "/x.torrent") {
		t.Fatalf("stored is %s, %v", b, err)
	}
	close(ready)
	second := testClient(t, Config{Dir: dir})
	eventually(t, "it is fetched, or not", func() bool { return second.ByInfohash(c.meta.Info.Hash.String()) != nil && kept(second) == 0 })
	if err := second.AddURL(server.URL + "/gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is fetched, or not", func() bool { return kept(second) == 0 })
	closeClient(t, second)
	for len(asked) > 0 {
		<-asked
	}
	third := testClient(t, Config{Dir: dir})
	if n := len(third.Torrents()); n != 1 || kept(third) != 0 {
		t.Errorf("%d torrents, %d URLs", n, kept(third))
	}
	if len(asked) > 0 {
		t.Error("it is asked again")
	}
}

// TestMostURLs: no more are remembered than may be.
func TestMostURLs(t *testing.T) {
	c := testClient(t, Config{Dir: t.TempDir()})
	c.mu.Lock()
	c.state.URLs = make([]string, mostURLs-1)
	c.mu.Unlock()
	if err := c.AddURL("http://127.0.0.1:1/x"); err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	c.state.URLs = make([]string, mostURLs)
	c.mu.Unlock()
	if err := c.AddURL("http://127.0.0.1:1/y"); err == nil {
		t.Error("one too many is taken")
	}
}

// TestLeftAlone: a stored torrent that cannot be read is not written over.
func TestLeftAlone(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	dir := t.TempDir()
	first := testClient(t, Config{Dir: dir})
	if _, err := first.Add(Source{Torrent: c.meta}); err != nil {
		t.Fatal(err)
	}
	closeClient(t, first)
	folder := filepath.Join(dir, "torrents", c.meta.Info.Hash.String())
	for _, name := range []string{"state", "torrent"} {
		path := filepath.Join(folder, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		client := testClient(t, Config{Dir: dir})
		if _, err := client.Add(Source{Torrent: c.meta}); err == nil || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: added: %v", name, err)
		}
		if b, _ := os.ReadFile(path); string(b) != "{damaged" {
			t.Errorf("%s was written over: %s", name, b)
		}
		closeClient(t, client)
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := testClient(t, Config{Dir: dir})
	if len(again.Torrents()) != 1 {
		t.Error("mended, it is not there")
	}
	closeClient(t, again)
	if err := os.Remove(filepath.Join(folder, "state")); err != nil { // a first add that was killed
		t.Fatal(err)
	}
	if _, err := testClient(t, Config{Dir: dir}).Add(Source{Torrent: c.meta}); err != nil {
		t.Errorf("added to what a kill has left: %v", err)
	}
}
