package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine/control"
)

// The pages are whole without a script: it only keeps them up to date.

//go:embed assets
var assets embed.FS

// pageCSP lets a page load what is ours and nothing else, and run nothing that
// stands in it.
const pageCSP = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"size": figure.Bytes, "percent": figure.Percent, "state": stateWords, "date": func(t time.Time) string { return t.Local().Format("2 Jan 2006 15:04") },
	"link": link,
	"sum":  func(a, b int) int { return a + b }, "before": func(from, n int) int { return max(0, from-n) },
}).ParseFS(assets, "assets/*.html"))

// listPage is the list of torrents.
type listPage struct {
	list
	Next int // where the next page begins; 0: this is the last
	Step int
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	p := listPage{list: s.part(r), Step: torrentsAPage}
	if next := p.From + len(p.Torrents); next < p.All {
		p.Next = next
	}
	s.render(w, "list.html", p)
}

// torrentPage is one torrent, and a folder of it.
type torrentPage struct {
	view
	Status  control.Status
	Folder  string
	Parents []crumb
	Entries []row
	From    int
	Next    int // where the entries go on; 0: these are the last
	All     int
	Step    int
	Plays   *row // nil: nothing is played
}

// crumb is a folder that the shown one lies in.
type crumb struct{ Name, Path string }

// row is an entry of a folder.
type row struct {
	Entry
	Class class
}

func newRow(e Entry) row {
	r := row{e, "folder"}
	if !e.Dir {
		r.Class = kindOf(e.Name).class
	}
	return r
}

// Playable reports whether the page has a player for it.
func (r row) Playable() bool { return !r.Link && (r.Class == video || r.Class == audio) }

// Shown reports whether a browser shows it by itself.
func (r row) Shown() bool { return r.Class == image || r.Class == plain || r.Class == subtitles }

func (s *server) torrent(w http.ResponseWriter, r *http.Request) {
	v, err := s.look(r, r.PathValue("infohash"))
	if err != nil {
		s.fail(w, err)
		return
	}
	p := torrentPage{view: v, Status: s.Status(), Folder: below(r.PathValue("path")), Step: entriesAPage}
	infohash := v.Torrent.Infohash
	for at := p.Folder; at != ""; at = strings.TrimPrefix(path.Dir(at), ".") {
		p.Parents = append([]crumb{{path.Base(at), at}}, p.Parents...)
	}
	p.From = number(r, "from", v.Torrent.Files)
	entries, all, err := s.List(join(infohash, p.Folder), p.From, entriesAPage)
	if err != nil && !(errors.Is(err, control.ErrRefused) && p.Folder == "") { // it is resolving
		s.fail(w, err)
		return
	}
	for _, e := range entries {
		p.Entries = append(p.Entries, newRow(e))
	}
	p.All = all
	if next := p.From + len(entries); next < all {
		p.Next = next
	}
	if plays := r.URL.Query().Get("play"); plays != "" {
		e, err := s.Stat(join(infohash, below(plays)))
		if row := newRow(e); err == nil && row.Playable() {
			p.Plays = &row
		}
	}
	s.render(w, "torrent.html", p)
}

// render answers with a page.
func (s *server) render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // our own template
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pageCSP)
	h.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	_, _ = w.Write(b.Bytes()) // who asked may have gone
}

// assetTypes are the media types of what the pages load.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// asset is a file that the pages load.
func (s *server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	kind := assetTypes[path.Ext(name)]
	b, err := fs.ReadFile(assets, "assets/"+name)
	if err != nil || kind == "" {
		refuse(w, http.StatusNotFound, "there is no such file")
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
	h.Set("Cache-Control", "no-cache") // another version of the program has others
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// link is the address of what lies at a path below /f/ or /t/: a name may have
// any character.
func link(of string, torrent control.Torrent, path string) string {
	u := url.URL{Path: "/" + of + "/" + torrent.Infohash + "/" + path}
	return u.EscapedPath()
}

// stateWords are what a torrent does; the script has the same.
func stateWords(t control.Torrent) string {
	words := t.State
	if t.Complete && t.State == "dormant" {
		words = "complete"
	}
	if t.Paused {
		words += ", paused"
	}
	if t.Pinned != "" {
		words += ", pinned"
	}
	return words
}
