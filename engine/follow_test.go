package engine

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// opened opens file 0 of a torrent of one file that nobody has: what its reader
// expects is looked at, nothing comes.
func opened(t *testing.T, name string, size int64) *Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	torrent, err := testClient(t, Config{Memory: 256 << 20}).Add(Source{Torrent: create(t, path, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reads notes reads of 1 MiB from place on, in MiB.
func (r *Reader) reads(place, n int) {
	for i := range n {
		r.left(r.follow(int64(place+i)<<20, 1<<20, program{}))
	}
}

// expects is the places that are expected, in MiB.
func (r *Reader) expects() (s string) {
	for _, one := range r.sessions {
		if n := len(one.ahead); n > 0 {
			s += fmt.Sprintf("%d-%d ", one.ahead[0].piece, one.ahead[n-1].piece)
		}
	}
	return s
}

// TestFollow: who jumps leaves nothing behind; who reads at two places is read
// ahead for at both.
func TestFollow(t *testing.T) {
	r := opened(t, "file.bin", 256<<20)
	defer r.Close()
	for _, l := range []struct {
		place, n int // MiB
		want     string
	}{
		{0, 1, ""},
		{1, 4, "4-12 "},           // on in order
		{200, 1, "200-204 "},      // a jump: half of it, elsewhere
		{201, 3, "203-211 "},      // and on
		{5, 1, "5-13 "},           // back
		{204, 1, "204-212 "},      // and forth,
		{6, 1, "6-14 "},           // that is two
		{205, 1, "6-14 205-213 "}, // places
		{7, 2, "205-213 8-16 "},   // at once
		{206, 2, "8-16 207-215 "}, // which go on
		{150, 1, "8-16 207-215 "}, // whatever is between them
	} {
		if r.reads(l.place, l.n); r.expects() != l.want {
			t.Fatalf("after %d at %d: %s, not %s", l.n, l.place, r.expects(), l.want)
		}
	}
	for _, s := range r.sessions {
		s.returns[0] -= returnTime
	}
	if r.reads(8, 1); r.expects() != "8-16 " {
		t.Errorf("what was not read for long is expected: %s", r.expects())
	}
}

// TestRandom: who reads here and there gets what it asks; the places are
// bounded.
func TestRandom(t *testing.T) {
	r := opened(t, "file.bin", 256<<20)
	defer r.Close()
	for i := range 50 {
		r.reads(i*37%250, 1)
		if r.expects() != "" || len(r.sessions) > mostSessions {
			t.Fatalf("after %d reads %d places are known, and %s expected", i, len(r.sessions), r.expects())
		}
	}
	if r.reads(250, 4); r.expects() != "253-255 " {
		t.Errorf("then it reads on, and %s is expected", r.expects())
	}
}

// TestLookers: whatever its readers did, nobody looks ahead when they are
// closed.
func TestLookers(t *testing.T) {
	r := opened(t, "file.bin", 256<<20)
	c := r.t.c
	r.reads(0, 6)
	r.reads(100, 6)
	r.reads(250, 6)
	r.reads(20, 6)
	if n := c.lookers.Load(); n != 1 {
		t.Errorf("%d look ahead", n)
	}
	r.Close()
	eventually(t, "somebody looks ahead when all is closed", func() bool { return c.lookers.Load() == 0 })
	r.reads(30, 6)
	if n := c.lookers.Load(); n != 0 {
		t.Errorf("a closed reader looks ahead")
	}
}

// TestConsumers: the reads that wait for a torrent share its rate, also before any of
// them looks ahead; those of other torrents do not count.
func TestConsumers(t *testing.T) {
	r := opened(t, "file.bin", 256<<20)
	c, other := r.t.c, waits{useful: func() bool { return true }}
	for range 8 {
		for _, of := range []*waits{&r.t.waits, &other} {
			_, release, err := c.waiting.take(t.Context(), of)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
		}
	}
	if n := r.t.consumers(); n != 8 {
		t.Errorf("8 reads wait, and %d share the rate", n)
	}
	c.lookers.Add(10)
	defer c.lookers.Add(-10)
	if n := r.t.consumers(); n != 10 {
		t.Errorf("10 look ahead, and %d share the rate", n)
	}
}

// TestScanner: of who reads a little of many films nothing is fetched that it
// does not ask for.
func TestScanner(t *testing.T) {
	r := opened(t, "film.mkv", 256<<20)
	c := r.t.c
	for i := range scannedFiles + 1 {
		o, err := r.t.OpenFile(0)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 6 {
			o.left(o.follow(int64(k)<<20, 1<<20, program{name: "ffprobe"}))
		}
		if ahead := o.expects() != ""; ahead != (i < scannedFiles) {
			t.Errorf("film %d: %s is expected", i, o.expects())
		}
		if scouts := o.recall != nil; scouts != (i < scannedFiles) {
			t.Errorf("film %d: a scout goes ahead: %v", i, scouts)
		}
		o.Close()
	}
	r.reads(0, 6)
	if r.expects() == "" || r.recall == nil {
		t.Error("another program is taken for one")
	}
	r.Close()
	eventually(t, "a scout stays", func() bool { return c.scouts.Load() == 0 })
}

// TestIdle: what an idle reader wants is nobody's now.
func TestIdle(t *testing.T) {
	r := opened(t, "film.mkv", 256<<20)
	defer r.Close()
	for k := range 6 {
		r.left(r.follow(int64(k)<<20, 1<<20, program{name: "cp", idle: true}))
	}
	if r.expects() != "5-13 " || r.recall != nil {
		t.Errorf("an idle reader: %s, a scout: %v", r.expects(), r.recall != nil)
	}
	if !r.sessions[0].idle {
		t.Error("its session is not idle")
	}
}

// TestScout: the index of a film comes by itself when its head is read, and
// nothing else.
func TestScout(t *testing.T) {
	const size, moov, index = 24 << 20, 13<<20 + 5000, 1 << 20
	b := make([]byte, size)
	copy(b, "\x00\x00\x00\x20ftypisom")
	copy(b[32:], "\x00\x00\x00\x00mdat")
	binary.BigEndian.PutUint32(b[32:], moov-32)
	copy(b[moov:], "\x00\x10\x00\x00moov")
	path := filepath.Join(t.TempDir(), "film.mp4")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	meta := create(t, path, 256<<10)
	s := testClient(t, Config{})
	if _, right, err := s.Seed(t.Context(), meta, path); err != nil || right != meta.Info.Pieces() {
		t.Fatalf("%d pieces are right: %v", right, err)
	}
	leech := testClient(t, Config{Peers: []string{s.addr()}})
	torrent, err := leech.Add(Source{Torrent: meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readRange(t.Context(), r, 0, 1000); err != nil {
		t.Fatal(err)
	}
	here := func(off, n int64) bool { return isHere(torrent, off, n) }
	eventually(t, "the index does not come", func() bool { return here(moov, index) && here(size-1000, 1000) })
	eventually(t, "the scout stays", func() bool { return leech.scouts.Load() == 0 })
	have := torrent.store.Load().Have()
	if n := have.Count(); n > 1+5+1 { // head, index, tail
		t.Errorf("%d pieces have come", n)
	}
	r.Close()
}

// isHere tells whether bytes of a torrent are on this machine.
func isHere(torrent *Torrent, off, n int64) bool {
	store := torrent.store.Load()
	if store == nil {
		return false
	}
	for _, e := range torrent.Info().Extents(nil, off, n) {
		if !store.Local(e) {
			return false
		}
	}
	return true
}
