package web

import (
	"encoding/json"
	"flag"
	"html"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"bipfs/engine/control"
)

var update = flag.Bool("update", false, "write the golden files")

// TestPages: they are whole, they run nothing that stands in them, and a name is a
// name.
func TestPages(t *testing.T) {
	s := serve(t, newFake())
	attribute := regexp.MustCompile(`(?i)<[^>]*\s(on\w+|style)\s*=`)
	for path, wants := range map[string][]string{
		"/":                                  {"29 %", "/t/" + someHash + "/"},
		"/t/" + someHash + "/":               {"film.mp4", "192.0.2.2:6881", "/t/" + someHash + "/deep", "/m3u/" + someHash, "976.6 KiB", "?play=film.mp4", "reads film.mp4 at 13 %"},
		"/t/" + someHash + "/deep/er":        {"?play=deep%2fer%2fa%3fb%23c%25d%26%c3%a9.mkv", "/f/" + someHash + "/deep/er/a%3Fb%23c%25d&amp;%C3%A9.mkv", "/t/" + someHash + "/deep\""},
		"/t/" + someHash + "/?play=film.mp4": {`<video controls autoplay playsinline preload="metadata" src="/f/` + someHash + `/film.mp4">`},
		"/t/" + someHash + "/?play=" + url.QueryEscape(evil+".mp3"): {`<audio controls`, html.EscapeString(evil)},
	} {
		answer, body := s.ask(t, "GET", path, nil)
		if answer.StatusCode != 200 || answer.Header.Get("Content-Security-Policy") != pageCSP {
			t.Errorf("%s: %d %v", path, answer.StatusCode, answer.Header)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s has no %s:\n%s", path, want, body)
			}
		}
		if strings.Contains(body, "<img src=x") || attribute.MatchString(strings.ReplaceAll(body, html.EscapeString(evil), "")) || strings.Count(body, "<script") != 1 {
			t.Errorf("%s is not what we wrote:\n%s", path, body)
		}
	}
	for path, code := range map[string]int{
		"/t/" + strings.Repeat("0", 40) + "/": 404, "/t/" + someHash + "/none": 404, "/live/x": 404, "/m3u/x": 404, "/assets/": 404,
		"/assets/list.html": 404, "/assets/none.css": 404, "/x": 404, "/t/" + someHash + "/?play=evil.html": 200, "/?from=99999999999999999999": 200, "/?from=-1": 200,
	} {
		if answer, body := s.ask(t, "GET", path, nil); answer.StatusCode != code || strings.Contains(body, "<video") {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
	for _, name := range []string{"page.css", "page.js", "icon.svg"} {
		answer, body := s.ask(t, "GET", "/assets/"+name, nil)
		if answer.StatusCode != 200 || body == "" || answer.Header.Get("ETag") == "" || answer.Header.Get("Content-Type") != assetTypes[name[strings.Index(name, "."):]] {
			t.Errorf("%s: %d %v", name, answer.StatusCode, answer.Header)
		}
	}
}

// TestLive: what the script asks for.
func TestLive(t *testing.T) {
	s := serve(t, newFake())
	var all list
	_, body := s.ask(t, "GET", "/live", nil)
	if err := json.Unmarshal([]byte(body), &all); err != nil || all.All != 1 || len(all.Torrents) != 1 || all.Status.Peers != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	var v view
	_, body = s.ask(t, "GET", "/live/"+someHash, nil)
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.Torrent.Infohash != someHash || len(v.Peers) != 2 || v.Peers[0].Downloaded != 6 {
		t.Errorf("%+v, %v", v, err)
	}
	if want := "9999999999" + strings.Repeat("0", 52); v.Map.Here != want || v.Map.Cells != 62 || len(v.Map.Fetching) != 2 || v.Map.Places[0] != (span{10, 20}) {
		t.Errorf("the map: %+v", v.Map)
	}
	if strings.Contains(body, "<") {
		t.Error("JSON that a browser could take for a page")
	}
}

// TestPieceMap: cells and pieces, at the edges.
func TestPieceMap(t *testing.T) {
	for _, pieces := range []int{1, 2, 7, 8, 9, 1599, 1600, 1601, 3199, 3201, 1 << 21} {
		full := make([]byte, (pieces+7)/8)
		for i := range full {
			full[i] = 0xff
		}
		p := control.Pieces{Pieces: pieces, Here: full, Fetching: []int{0, pieces - 1}}
		m := newPieceMap(p, []control.Reading{{Piece: pieces - 1, Until: pieces + 5}}, mostCells)
		if m.Cells != min(pieces, mostCells) || m.Here != strings.Repeat("9", m.Cells) || m.Places[0] != (span{m.Cells - 1, m.Cells - 1}) {
			t.Errorf("%d pieces, all here: %d cells, %v", pieces, m.Cells, m.Places)
		}
		next := 0
		for c := range m.Cells {
			first := m.first(c, pieces)
			if first != next {
				t.Fatalf("%d pieces: cell %d begins at %d, not %d", pieces, c, first, next)
			}
			for next = first; next < m.first(c+1, pieces); next++ {
				if m.cell(next, pieces) != c {
					t.Fatalf("%d pieces: piece %d is in cell %d, not %d", pieces, next, m.cell(next, pieces), c)
				}
			}
			if next == first {
				t.Fatalf("%d pieces: cell %d is empty", pieces, c)
			}
		}
		if next != pieces {
			t.Errorf("%d pieces: %d are in cells", pieces, next)
		}
		full[0] &^= 0x80
		if m := newPieceMap(p, nil, mostCells); m.Here[0] == '9' || m.Here[len(m.Here)-1] != '9' && pieces > 1 {
			t.Errorf("%d pieces, all but one: %.3s…", pieces, m.Here)
		}
	}
	if m := newPieceMap(control.Pieces{}, []control.Reading{{}}, mostCells); m.Cells != 0 || m.Here != "" {
		t.Errorf("no metadata: %+v", m)
	}
}

func TestMetrics(t *testing.T) {
	s := serve(t, newFake())
	s.ask(t, "GET", "/f/"+someHash+"/notes.txt", nil)
	s.ask(t, "GET", "/x", nil)
	answer, body := s.ask(t, "GET", "/metrics", nil)
	if kind := answer.Header.Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Error(kind)
	}
	body = regexp.MustCompile(`(?m)^(bipfs_goroutines|bipfs_resident_memory_bytes) \d+$`).ReplaceAllString(body, "$1 N")
	const golden = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || body != string(want) {
		t.Errorf("%v; it says:\n%s", err, body)
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) bipfs_[a-z_]+ .+|bipfs_[a-z_]+(\{[a-z]+="[^"]*"\})? (-?\d+|N))$`)
	for l := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("no line of the format: %s", l)
		}
	}
}

// TestPlaylist: what can be played, each with a key that opens it and nothing else.
func TestPlaylist(t *testing.T) {
	s := serve(t, newFake())
	answer, body := s.ask(t, "GET", "/m3u/"+someHash, nil)
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || !strings.HasPrefix(kind, "audio/x-mpegurl") {
		t.Errorf("%d %s", answer.StatusCode, kind)
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if len(lines) != 1+2*3 || lines[0] != "#EXTM3U" || strings.Contains(body, someToken) {
		t.Fatalf("it is:\n%s", body)
	}
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, "#EXTINF:-1,") {
			continue
		}
		u, err := url.Parse(line)
		if err != nil || u.Host != s.at {
			t.Fatalf("%s: %v", line, err)
		}
		answer, body := s.ask(t, "GET", u.RequestURI(), nobody)
		if answer.StatusCode != 200 || body == "" {
			t.Errorf("%s: %d", line, answer.StatusCode)
		}
		u.Path = "/f/" + someHash + "/notes.txt"
		if answer, _ := s.ask(t, "GET", u.RequestURI(), nobody); answer.StatusCode != 401 {
			t.Errorf("a key of one opens another: %d", answer.StatusCode)
		}
	}
}
