package engine

import (
	"testing"

	"bipfs/engine/metainfo"
)

// TestFetchSelected: of a link that selects files only their pieces are fetched,
// and a read brings any other.
func TestFetchSelected(t *testing.T) {
	c := newContent(t, 64<<10, 1_000_000, 1_000_000, 10)
	for so, file := range map[string]int{"0": 0, "1-1": 1, "2-99": 2} {
		t.Run(so, func(t *testing.T) {
			leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
			torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash, SelectOnly: so}})
			if err != nil {
				t.Fatal(err)
			}
			var last, all int64
			if err := torrent.Fetch(t.Context(), func(here, of int64) { last, all = here, of }); err != nil {
				t.Fatal(err)
			}
			info := torrent.Info()
			f := info.Files[file]
			whole := (f.Offset+f.Length-1)/info.PieceLength - f.Offset/info.PieceLength + 1
			want := min(whole*info.PieceLength, info.Length-f.Offset/info.PieceLength*info.PieceLength)
			if last != want || all != want || torrent.missing() != info.Length-want {
				t.Errorf("%d of %d bytes, want %d; %d are missing", last, all, want, torrent.missing())
			}
			for i := range info.Files {
				if torrent.Selects(i) != (i == file) {
					t.Errorf("file %d", i)
				}
			}
			r, err := torrent.OpenFile((file + 1) % 3)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := readRange(t.Context(), r, 0, 10); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFetchSelectedNothing: a link that selects no file of the torrent says so.
func TestFetchSelectedNothing(t *testing.T) {
	c := newContent(t, 64<<10, 1_000_000)
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash, SelectOnly: "7"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := torrent.Fetch(t.Context(), func(int64, int64) {}); err == nil {
		t.Error("something was fetched")
	}
}
