package web

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
)

// TestDAV: a file manager sees the tree, and nothing is opened for that; nothing
// can be changed, and no list is endless.
func TestDAV(t *testing.T) {
	s := serve(t, newFake())
	depth := func(d string) func(*http.Request) {
		return func(r *http.Request) {
			r.SetBasicAuth("me", someToken)
			if d != "" {
				r.Header.Set("Depth", d)
			}
		}
	}
	type multistatus struct {
		Responses []struct {
			Href string `xml:"href"`
			Type string `xml:"propstat>prop>getcontenttype"`
			Tag  string `xml:"propstat>prop>getetag"`
			Size string `xml:"propstat>prop>getcontentlength"`
		} `xml:"response"`
	}
	for path, want := range map[string]int{"/dav/": 2, "/dav": 2, "/dav/" + someHash: 1 + 7, "/dav/" + someHash + "/deep/er/": 2, "/dav/" + someHash + "/film.mp4": 1} {
		answer, body := s.ask(t, "PROPFIND", path, depth("1"))
		var m multistatus
		if err := xml.Unmarshal([]byte(body), &m); err != nil || answer.StatusCode != 207 || len(m.Responses) != want {
			t.Errorf("%s: %d, %v: %d of %d:\n%s", path, answer.StatusCode, err, len(m.Responses), want, body)
		}
		for _, r := range m.Responses {
			if strings.HasSuffix(r.Href, "film.mp4") && (r.Type != "video/mp4" || r.Size != "1000000" || len(r.Tag) != 26) {
				t.Errorf("%+v", r)
			}
			if strings.HasSuffix(r.Href, "link") || strings.Contains(r.Href, "<") {
				t.Errorf("%s is told of", r.Href)
			}
		}
	}
	for _, c := range []struct {
		method, path, depth string
		code                int
	}{
		{"PROPFIND", "/dav/", "0", 207}, {"PROPFIND", "/dav/", "infinity", 403}, {"PROPFIND", "/dav/", "", 403}, {"PROPFIND", "/dav/none", "1", 404},
		{"PROPFIND", "/dav/..%2f..%2fetc", "1", 404},
		{"OPTIONS", "/dav/", "", 200}, {"GET", "/dav/" + someHash + "/notes.txt", "", 200}, {"GET", "/dav/", "", 404}, {"HEAD", "/dav/" + someHash + "/film.mp4", "", 200},
		{"PUT", "/dav/x", "", 405}, {"DELETE", "/dav/" + someHash, "", 405}, {"MKCOL", "/dav/x", "", 405}, {"MOVE", "/dav/" + someHash, "", 405},
		{"COPY", "/dav/" + someHash, "", 405}, {"LOCK", "/dav/" + someHash, "", 405}, {"UNLOCK", "/dav/" + someHash, "", 405}, {"PROPPATCH", "/dav/" + someHash, "", 405},
	} {
		if answer, body := s.ask(t, c.method, c.path, depth(c.depth)); answer.StatusCode != c.code {
			t.Errorf("%s %s, depth %q: %d: %.200s", c.method, c.path, c.depth, answer.StatusCode, body)
		}
	}
	if opened, _, _ := s.counts(); opened != 1 {
		t.Errorf("%d files were opened", opened)
	}
}
