package engine

import (
	"testing"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// TestPicture: what is told of who reads, and of the pieces, while it is read.
func TestPicture(t *testing.T) {
	c := newContent(t, 64<<10, 100, 5_000_000)
	s := seeder(t, c)
	leech := testClient(t, Config{Peers: []string{s.addr()}})
	link, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: wire.Digest{1}}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := link.Pieces(); err != nil || p.Pieces != 0 || len(p.Here) != 0 || p.Fetching == nil || len(link.Readers()) != 0 {
		t.Errorf("without metadata: %+v, %v", p, err)
	}
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := torrent.Pieces(); err != nil || p.Pieces != 77 || len(p.Here) != 10 || wire.Bitfield(p.Here).Count() != 0 {
		t.Errorf("before it is read: %+v, %v", p, err)
	}
	r, err := torrent.OpenFile(1)
	if err != nil {
		t.Fatal(err)
	}
	r.For("a player")
	if all := torrent.Readers(); len(all) != 0 {
		t.Errorf("before its first read: %+v", all)
	}
	const at = 1_000_000
	if _, err := readRange(t.Context(), r, at, 200_000); err != nil {
		t.Fatal(err)
	}
	all := torrent.Readers()
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	want := torrent.Info().Files[1]
	got := all[0]
	if got.File != "d1/f1" || got.Program != "a player" || got.Offset != at+200_000 || got.Length != want.Length || got.Read != 200_000 ||
		int64(got.Piece) != (want.Offset+got.Offset)>>16 || got.Until < got.Piece {
		t.Errorf("%+v", got)
	}
	p, err := torrent.Pieces()
	if err != nil || !wire.Bitfield(p.Here).Has(wire.Piece((want.Offset+at)>>16)) {
		t.Errorf("what was read is not here: %v", err)
	}
	if _, err := readRange(t.Context(), r, want.Length-1, 1); err != nil {
		t.Fatal(err)
	}
	for _, o := range torrent.Readers() {
		if o.Piece >= p.Pieces || o.Until >= p.Pieces || o.Offset > o.Length {
			t.Errorf("at the end: %+v", o)
		}
	}
	r.Close()
	if all := torrent.Readers(); len(all) != 0 {
		t.Errorf("after its end: %+v", all)
	}
}
