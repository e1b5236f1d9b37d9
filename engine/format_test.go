package engine

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var updateFormat = flag.Bool("update-format", false, "write testdata/format-N of the present format anew")

// formatContent is what the torrent in every fixture holds.
var formatContent = bytes.Repeat([]byte("every format that ever landed must mount\n"), 1000)

// TestFormatsMount opens a copy of a data folder of each format, and reads its
// torrent without a peer.
func TestFormatsMount(t *testing.T) {
	if *updateFormat {
		writeFormat(t, "testdata/format-1")
	}
	for _, format := range []string{"format-1"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", format))); err != nil {
			t.Fatal(err)
		}
		client := testClient(t, Config{Dir: dir})
		torrent, listed := client.ByName("format.txt")
		if torrent == nil || !listed || torrent.Slot() != 7 || torrent.Mtime().Unix() != 1_700_000_000 {
			t.Fatalf("%s: the torrent is not what it was: %+v", format, torrent)
		}
		if earlier, _ := client.ByName("earlier name"); earlier != torrent {
			t.Errorf("%s: its earlier name is lost", format)
		}
		r, err := torrent.OpenFile(0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readRange(t.Context(), r, 0, len(formatContent))
		if err != nil || !bytes.Equal(got, formatContent) {
			t.Errorf("%s: read %d bytes: %v", format, len(got), err)
		}
		r.Close()
	}
}

// writeFormat makes a data folder with one torrent that is all here.
func writeFormat(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "format.txt")
	if err := os.WriteFile(path, formatContent, 0o644); err != nil {
		t.Fatal(err)
	}
	meta := create(t, path, 16<<10)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	client := testClient(t, Config{Dir: dir})
	client.state.NextSlot = 7
	torrent, _, err := client.Seed(t.Context(), meta, path)
	if err != nil {
		t.Fatal(err)
	}
	state := torrent.state
	state.Earlier, state.Mtime = []string{"earlier name"}, 1_700_000_000
	if err := torrent.save(torrent.Info(), state); err != nil {
		t.Fatal(err)
	}
	closeClient(t, client)
}
