package top

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	tea "charm.land/bubbletea/v2"

	"bipfs/engine/control"
)

var update = flag.Bool("update", false, "write the frames of testdata anew")

// golden compares a frame with the one that is kept.
func golden(t *testing.T, name, frame string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(frame+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil || string(kept) != frame+"\n" {
		t.Errorf("%s (%v):\n%s\nis now:\n%s", path, err, kept, frame)
	}
}

// fits reports what of a frame does not fit on the screen.
func fits(t *testing.T, frame string, width, height int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) > height {
		t.Errorf("%d × %d: %d lines", width, height, len(lines))
	}
	for _, l := range lines {
		if w, wc := ansi.StringWidth(l), ansi.StringWidthWc(l); w > width || w != wc {
			t.Errorf("%d × %d: a line is %d wide, or %d: %q", width, height, w, wc, l)
		}
	}
}

// films is a mount with some torrents, of which the first is read.
func films() *catalogue {
	c := newCatalogue(
		control.Torrent{Infohash: hash(1), Name: "Sintel.2010.1080p.mkv", State: "active", Length: 1180 << 20, Here: 495 << 20, Files: 1, Pieces: 590, PieceLength: 2 << 20,
			Downloaded: 1 << 30, Peers: 3, Known: 140, Open: 1, Pinned: "part", DownLimit: 8 << 20},
		control.Torrent{Infohash: hash(2), Name: "debian-12.8.0-amd64-netinst.iso", State: "seeding", Length: 631 << 20, Here: 631 << 20, Files: 1, Pieces: 2524, PieceLength: 1 << 18, Complete: true, Peers: 9},
		control.Torrent{Infohash: hash(3), Name: "映画コレクション 2019", State: "dormant", Length: 90 << 30, Files: 212, Pieces: 5760, PieceLength: 16 << 20},
		control.Torrent{Infohash: hash(4), Name: "resolved-one-day", State: "resolving"},
		control.Torrent{Infohash: hash(5), Name: "a broken one", State: "unusable", Error: "the metadata cannot be used: pieces are missing"},
	)
	c.readers[hash(1)] = []control.Reading{
		{File: "Sintel.2010.1080p.mkv", Program: "mpv", Offset: 470 << 20, Length: 1180 << 20, Piece: 235, Until: 262},
		{File: "Sintel.2010.1080p.mkv", Offset: 1179 << 20, Length: 1180 << 20, Piece: 589, Until: 589},
	}
	c.peers[hash(1)] = []control.Peer{
		{Address: "192.0.2.7:6881", Kind: "peer", Client: "qBittorrent 5.0.2", Transport: "tcp", Encrypted: true, Pieces: 590, Downloaded: 100, Rate: 9 << 20, Interested: true},
		{Address: "[2001:db8::42]:51413", Kind: "peer", Client: "Transmission 4.0.6", Transport: "utp", Pieces: 118, Downloaded: 7000, Rate: 1 << 20, Chokes: true, Choked: true, Snubbed: true},
		{Address: "https://cdn.example", Kind: "web seed", Transport: "http", Pieces: 590},
		{Address: "https://cdn.example", Kind: "web seed", Transport: "http", Pieces: 590},
	}
	here := make([]byte, (590+7)/8)
	for p := range 590 {
		if p < 240 || p%16 == 0 {
			here[p/8] |= 0x80 >> (p % 8)
		}
	}
	c.pieces[hash(1)] = control.Pieces{Infohash: hash(1), Pieces: 590, Here: here, Fetching: []int{250, 251, 260}}
	return c
}

// pour has a second go by in which bytes come.
func pour(s *screen) {
	s.c.more(hash(1), 5<<20, 1<<17)
	s.c.more(hash(2), 0, 300<<10)
	peers := s.c.peers[hash(1)]
	peers[0].Downloaded += 3 << 20
	peers[2].Downloaded += 1 << 20
	peers[3].Downloaded += 1 << 20
	s.look()
}

// TestFrames: what a mount looks like, and one of its torrents.
func TestFrames(t *testing.T) {
	for _, o := range []struct {
		name          string
		width, height int
		keys          []string
	}{
		{"list", 110, 14, nil},
		{"list-80", 80, 12, nil},
		{"list-40", 40, 10, nil},
		{"list-rate", 80, 12, []string{"s", "down"}},
		{"torrent", 100, 24, []string{"G", "up", "enter"}},
		{"torrent-50", 50, 30, []string{"G", "up", "enter"}},
		{"torrent-scrolled", 100, 12, []string{"G", "up", "enter", "pgdown"}},
	} {
		t.Run(o.name, func(t *testing.T) {
			s := newScreen(t, films(), o.width, o.height, "")
			pour(s)
			if len(o.keys) > 0 {
				s.press(o.keys[0])
			}
			pour(s)
			for _, k := range o.keys[min(1, len(o.keys)):] {
				s.press(k)
				pour(s)
			}
			pour(s)
			fits(t, s.text(), o.width, o.height)
			golden(t, o.name, s.text())
		})
	}
}

// TestSizes: a frame fits on every screen, also on one that is no use.
func TestSizes(t *testing.T) {
	for _, torrent := range []string{"", hash(1)} {
		s := newScreen(t, films(), 80, 24, torrent)
		s.press("G", "pgdown", "pgdown")
		for width := range 130 {
			for _, height := range []int{0, 1, 2, 3, 4, 5, 9, 60} {
				s.Update(tea.WindowSizeMsg{Width: width, Height: height})
				frame := s.text()
				fits(t, frame, width, max(1, height))
				if torrent == "" && height > 4 && width > 10 && s.chosenName() == "" {
					t.Errorf("%d × %d: the chosen torrent is not on the screen:\n%s", width, height, frame)
				}
			}
		}
	}
}

// bare is a frame without its orders, and without the spaces at the ends of lines.
func bare(frame string) string {
	lines := strings.Split(ansi.Strip(frame), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

// TestColours: only what is asked for, and the text is the same.
func TestColours(t *testing.T) {
	for _, torrent := range []string{"", hash(1)} {
		s := newScreen(t, films(), 100, 30, torrent)
		pour(s)
		text := s.text()
		if strings.Contains(text, "\x1b") {
			t.Errorf("orders in a plain frame: %q", text)
		}
		s.ink = mono
		if frame := s.text(); bare(frame) != text || strings.Contains(frame, "\x1b[3") || !strings.Contains(frame, "\x1b[1m") {
			t.Errorf("without colours: %q", frame)
		}
		s.ink = colours
		if frame := s.text(); bare(frame) != text || !strings.Contains(frame, "\x1b[32m") {
			t.Errorf("with colours: %q", frame)
		}
	}
}

// TestHidden: a store that cannot be opened, or pieces that are not known, hide the
// map alone.
func TestHidden(t *testing.T) {
	c := films()
	c.refuses = "the store cannot be opened: input/output error"
	s := newScreen(t, c, 100, 30, hash(1))
	if frame := s.text(); !strings.Contains(frame, c.refuses) || !strings.Contains(frame, "qBittorrent") {
		t.Errorf("%s", frame)
	}
	c.refuses = ""
	c.pieces[hash(1)] = control.Pieces{}
	s.look()
	if frame := s.text(); !strings.Contains(frame, "no pieces are known") || !strings.Contains(frame, "qBittorrent") {
		t.Errorf("%s", frame)
	}
	c.pieces[hash(1)] = control.Pieces{Pieces: 100, Here: []byte{0xff}}
	s.look()
	if s.silent == nil {
		t.Error("a bitfield that is too short is taken")
	}
}
