package engine

import (
	"testing"
	"time"
)

// TestEncryption reads from a client that requires encryption, of many
// torrents, with a client of each policy. The seeder starts anew in between: it
// knows its stored torrents by the names of encrypted handshakes, too.
func TestEncryption(t *testing.T) {
	dir := t.TempDir()
	c := newContent(t, 32<<10, 300_000, 5)
	s := testClient(t, Config{Dir: dir, Encryption: RequireEncryption})
	for i := range 5 { // others that it has
		if _, err := s.Add(Source{Torrent: newContent(t, 16<<10, 1000+i).meta}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Seed(t.Context(), c.meta, c.path); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []Encryption{PreferEncryption, RequireEncryption} {
		leech := testClient(t, Config{Peers: []string{s.addr()}, Encryption: policy})
		torrent, err := leech.Add(Source{Torrent: c.meta})
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, torrent, c)
		closeClient(t, s)
		s = testClient(t, Config{Dir: dir, Encryption: RequireEncryption})
	}
	plain := testClient(t, Config{Peers: []string{s.addr()}, Encryption: NoEncryption, ReadTimeout: 300 * time.Millisecond})
	torrent, err := plain.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := readRange(t.Context(), r, 0, 1); err == nil {
		t.Error("a client without encryption reads from one that requires it")
	}
}
