package engine

import (
	"path/filepath"
	"testing"
	"time"
)

// fetched reports whether every byte of file i is on this machine.
func fetched(torrent *Torrent, i int) bool {
	f, info := torrent.Info().Files[i], torrent.Info()
	for _, e := range info.Geometry.Extents(nil, f.Offset, f.Length) {
		if !torrent.store.Load().Local(e) {
			return false
		}
	}
	return true
}

// readFile reads the last n bytes of file i, or all of it.
func readFile(t *testing.T, torrent *Torrent, c *content, i, n int) {
	t.Helper()
	want := c.files[filepath.Join(torrent.Info().Files[i].Path...)]
	r, err := torrent.OpenFile(i)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n = min(n, len(want))
	if got, err := readRange(t.Context(), r, int64(len(want)-n), n); err != nil || string(got) != string(want[len(want)-n:]) {
		t.Fatalf("file %d: %v", i, err)
	}
}

// TestWalk: of who reads file after file, the next ones are expected; of who
// reads one, or the end of each, no other is.
func TestWalk(t *testing.T) {
	const size, all = 100_000, 1 << 20 // bytes
	for name, l := range map[string]struct {
		read []int // files
		n    int   // bytes of each, at its end
		look int   // whether this file
		next bool  // comes by itself
	}{
		"one file":             {[]int{0}, all, 1, false},
		"file after file":      {[]int{0, 1}, all, 2, true},
		"over one left out":    {[]int{0, 2}, all, 3, true},
		"the end of each":      {[]int{0, 1, 2}, 1000, 3, false},
		"against the order":    {[]int{1, 0}, all, 2, false},
		"the same again":       {[]int{1, 1}, all, 2, false},
		"with a far one first": {[]int{29, 0, 1}, all, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sizes := make([]int, 30)
			for i := range sizes {
				sizes[i] = size
			}
			c := newContent(t, 16<<10, sizes...)
			leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
			torrent, err := leech.Add(Source{Torrent: c.meta})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range l.read {
				readFile(t, torrent, c, i, l.n)
			}
			if l.next {
				eventually(t, "the next file does not come", func() bool { return fetched(torrent, l.look) })
			} else if time.Sleep(50 * time.Millisecond); fetched(torrent, l.look) {
				t.Error("a file came that nobody reads")
			}
			eventually(t, "a session stays though nobody reads on", func() bool {
				torrent.walks.mu.Lock()
				defer torrent.walks.mu.Unlock()
				return len(torrent.walks.left) == 0
			})
		})
	}
}

// TestWalksBound: more walks at once than are kept leave nothing behind.
func TestWalksBound(t *testing.T) {
	sizes := make([]int, 2*mostWalks)
	for i := range sizes {
		sizes[i] = 1<<21 + 1
	}
	c := newContent(t, 64<<10, sizes...)
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(sizes); i += 2 { // too far apart for one walk
		readFile(t, torrent, c, i, 1<<22)
		torrent.walks.mu.Lock()
		n := len(torrent.walks.left)
		torrent.walks.mu.Unlock()
		if n > mostWalks {
			t.Fatalf("%d walks are kept, at most %d are to be", n, mostWalks)
		}
	}
	readAll(t, torrent, c)
}
