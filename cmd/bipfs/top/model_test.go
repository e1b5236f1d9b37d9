package top

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"bipfs/engine/control"
)

// TestKeys: what each does in the list, and in a torrent.
func TestKeys(t *testing.T) {
	c := newCatalogue()
	for i := range 40 {
		c.add(control.Torrent{Infohash: hash(i), Name: fmt.Sprintf("n%02d", i)})
	}
	s := newScreen(t, c, 80, 14, "") // 10 rows
	for _, o := range []struct {
		key, chosen string
		from        int
	}{
		{"up", "n00", 0}, {"down", "n01", 0}, {"j", "n02", 0}, {"k", "n01", 0}, {"pgdown", "n11", 2}, {"end", "n39", 30}, {"down", "n39", 30},
		{"up", "n38", 30}, {"pgup", "n28", 28}, {"home", "n00", 0}, {"G", "n39", 30}, {"g", "n00", 0}, {"x", "n00", 0}, {"esc", "n00", 0},
		{"ctrl+f", "n10", 1}, {"ctrl+b", "n00", 0},
	} {
		s.press(o.key)
		if got := s.chosenName(); got != o.chosen || s.from != o.from {
			t.Fatalf("%s: %s is chosen, and row %d the first; not %s, %d", o.key, got, s.from, o.chosen, o.from)
		}
	}
	for _, in := range []string{"enter", "right", "l"} {
		for _, out := range []string{"esc", "left", "h", "backspace"} {
			s.press(in)
			if s.torrent != hash(0) || s.wants == nil || s.wants.torrent != hash(0) {
				t.Fatalf("%s opens nothing: %+v", in, s.wants)
			}
			s.look()
			s.press(in, "s", "down", "down", "end", "up", "home", out)
			if s.torrent != "" || s.sorting != byName {
				t.Fatalf("%s does not go back", out)
			}
			s.look()
		}
	}
	for _, end := range []string{"q", "ctrl+c"} {
		s.quit = false
		s.press(end)
		if !s.quit {
			t.Errorf("%s does not end it", end)
		}
	}
	if _, cmd := s.Update(tea.KeyPressMsg{Code: 'z', Mod: tea.ModCtrl}); cmd == nil {
		t.Error("ctrl+z does nothing")
	}
}

// TestNoTorrents: nothing can be chosen, and nothing breaks.
func TestNoTorrents(t *testing.T) {
	s := newScreen(t, newCatalogue(), 80, 10, "")
	s.press("enter", "down", "end", "pgup", "s", "s", "s", "s", "esc", "enter")
	if s.torrent != "" || !strings.Contains(s.text(), "bipfs add") {
		t.Errorf("%s", s.text())
	}
}

// names are those on the screen, in order.
func (s *screen) names() (all []string) {
	for _, r := range s.order {
		all = append(all, r.Name)
	}
	return all
}

// TestFolder: what stands in a folder of the mount is shown by its path, and sorted by it.
func TestFolder(t *testing.T) {
	s := newScreen(t, newCatalogue(
		control.Torrent{Infohash: hash(1), Name: "b"}, control.Torrent{Infohash: hash(2), Name: "a", Folder: "films/2024"},
	), 80, 10, "")
	if got := s.names(); !slices.Equal(got, []string{"b", "films/2024/a"}) {
		t.Errorf("shown are %q", got)
	}
}

// TestSort: by each of the four, and the chosen torrent stays chosen, also when
// others come and go.
func TestSort(t *testing.T) {
	c := newCatalogue(
		control.Torrent{Infohash: hash(1), Name: "b", Length: 100, Here: 100, Peers: 1},
		control.Torrent{Infohash: hash(2), Name: "C", Length: 100, Here: 10, Peers: 7},
		control.Torrent{Infohash: hash(3), Name: "a", Peers: 7},
		control.Torrent{Infohash: hash(4), Name: "d", Length: 100, Here: 50},
	)
	s := newScreen(t, c, 80, 10, "")
	c.more(hash(4), 1000, 0)
	c.more(hash(2), 0, 2000)
	s.look()
	s.press("end")
	for _, o := range []struct{ by, order string }{{"name", "abCd"}, {"rate", "Cdab"}, {"progress", "bdCa"}, {"peers", "aCbd"}, {"name", "abCd"}} {
		if got := strings.Join(s.names(), ""); got != o.order || s.sorting.String() != o.by || s.chosenName() != "d" {
			t.Errorf("by %s: %s, %s is chosen; not %s", s.sorting, got, s.chosenName(), o.order)
		}
		s.press("s")
	}
	s.press("s", "s", "s")
	c.add(control.Torrent{Infohash: hash(0), Name: "A"})
	c.remove(hash(1))
	s.look()
	if got := strings.Join(s.names(), ""); got != "aACd" && got != "AaCd" || s.chosenName() != "d" {
		t.Errorf("%s, %s is chosen", got, s.chosenName())
	}
	c.remove(hash(4))
	s.look()
	if s.chosenName() != "C" {
		t.Errorf("%s is chosen after the last was removed", s.chosenName())
	}
}

// TestRemoved: a torrent that is looked into goes, and the list comes back.
func TestRemoved(t *testing.T) {
	c := films()
	s := newScreen(t, c, 80, 20, hash(1))
	c.remove(hash(1))
	s.look()
	if s.torrent != "" || !strings.Contains(s.text(), "has been removed") {
		t.Errorf("%s", s.text())
	}
	s.look()
	if got := s.names(); len(got) != 4 || slices.Contains(got, "Sintel.2010.1080p.mkv") {
		t.Errorf("%v", got)
	}
}

// TestGone: a mount that is silent for a moment is waited for, and one that stays
// silent is the end.
func TestGone(t *testing.T) {
	c := films()
	s := newScreen(t, c, 80, 20, "")
	c.gone = true
	for range patience/time.Second - 1 {
		s.look()
		if s.quit || !strings.Contains(s.text(), "does not answer") || !strings.Contains(s.text(), "Sintel") {
			t.Fatalf("%s", s.text())
		}
	}
	c.gone = false
	s.look()
	if strings.Contains(s.text(), "does not answer") {
		t.Fatalf("%s", s.text())
	}
	c.gone = true
	for range patience / time.Second {
		s.look()
	}
	if !s.quit || s.ended == nil || !strings.Contains(s.ended.Error(), "the mount /mnt/torrents has gone: ") {
		t.Errorf("%v: %v", s.quit, s.ended)
	}

	never := newModel("")
	late := look{at: someTime.Add(time.Minute), took: lookTime, err: context.DeadlineExceeded}
	if never.see(late); never.ended == nil {
		t.Error("a mount that never answered is waited for")
	}
}

// TestOneLookAtATime: keys while a look is under way have one more follow, and the
// tick of before counts no more.
func TestOneLookAtATime(t *testing.T) {
	s := newScreen(t, films(), 80, 20, "")
	asked := 0
	var first question
	s.model.ask = func(q question) tea.Cmd {
		if asked++; asked == 1 {
			first = q
		}
		s.wants = &q
		return nil
	}
	old := tick(s.number)
	s.press("enter", "esc", "enter", "esc", "enter")
	s.Update(old)
	if asked != 1 || first.torrent == "" {
		t.Fatalf("%d looks, the first at %q", asked, first.torrent)
	}
	s.look() // and the answer to the first asks again, for what is on the screen now
	if asked != 2 || s.wants == nil || s.wants.torrent != s.torrent {
		t.Fatalf("%d looks, %+v", asked, s.wants)
	}
	s.look()
	if s.Update(old); asked != 2 {
		t.Fatal("an old tick has asked")
	}
	if s.Update(tick(s.number)); asked != 3 {
		t.Fatal("the tick has not asked")
	}
}

// TestLateLook: the answer of a torrent that was left is not shown as another's.
func TestLateLook(t *testing.T) {
	s := newScreen(t, films(), 80, 20, hash(1))
	l := ask(context.Background(), s.c, question{torrent: hash(1)})
	s.press("esc")
	s.see(l)
	if s.detail != nil || s.torrent != "" {
		t.Error("a torrent that was left comes back")
	}
	s.look()
	s.press("g", "enter")
	s.see(look{at: s.now, of: hash(1), gone: true})
	if s.note != "" || s.torrent == "" {
		t.Error("a torrent that was left is missed")
	}
}

// TestThousands: with 10,000 torrents the list is asked for every ten seconds, and
// meanwhile only what is on the screen.
func TestThousands(t *testing.T) {
	c := newCatalogue()
	const all, height, looks = 10_000, 50, 100
	for i := range all {
		c.add(control.Torrent{Infohash: hash(i), Name: fmt.Sprintf("torrent %05d", all-i)})
	}
	s := newScreen(t, c, 100, height, "")
	c.asked = nil
	s.press("end")
	for i := range looks {
		before := len(c.asked)
		s.look()
		if n := len(c.asked) - before; n > 1+height {
			t.Fatalf("look %d asks %d times", i, n)
		}
	}
	lists := 0
	for _, path := range c.asked {
		if path == "torrents" {
			lists++
		}
	}
	if most := looks/(all/torrentsASecond) + 1; lists > most || lists < most-2 {
		t.Errorf("the list is asked for %d times in %d looks", lists, looks)
	}
	if !strings.Contains(s.text(), "torrent 10000") || !strings.Contains(s.text(), "9955 to 10000 shown") {
		t.Errorf("%s", s.text())
	}
	c.more(hash(0), 1<<30, 0) // the last on the screen
	s.look()
	if s.rest > 0 && !strings.Contains(s.text(), "MiB/s") {
		t.Errorf("what is on the screen is not up to date:\n%s", s.text())
	}
	s.Update(tea.WindowSizeMsg{Width: 100, Height: 1 << 20})
	s.rest = 1
	if q := s.question(); len(q.rows) != mostRows {
		t.Errorf("a high screen asks for %d rows", len(q.rows))
	}
}

// BenchmarkThousands is a look at the list of 10,000, sorted anew.
func BenchmarkThousands(b *testing.B) {
	var all []control.Torrent
	for i := range 10_000 {
		all = append(all, control.Torrent{Infohash: hash(i), Name: fmt.Sprintf("torrent %05d", 10_000-i)})
	}
	m := newModel("")
	m.width, m.height = 100, 50
	for i := 0; b.Loop(); i++ {
		m.see(look{at: someTime.Add(time.Duration(i) * time.Second), listed: true, list: all})
		m.text()
	}
}
