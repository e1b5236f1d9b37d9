package engine

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// says answers with the query that came; under /to it redirects to what the
// query names.
func says(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/to" {
		http.Redirect(w, r, r.URL.RawQuery, http.StatusFound)
		return
	}
	io.WriteString(w, "query "+r.URL.RawQuery)
}

// getKept is get through one client, whose connections are kept.
func getKept(c *http.Client, url string) (string, error) {
	res, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := ReadBounded(res.Body, 1000)
	return string(b), err
}

// TestWebSeedsAtLocalAddresses: all rows go through one client, so that each
// finds the connections that those before it have left; then once more, so that
// it finds its own.
func TestWebSeedsAtLocalAddresses(t *testing.T) {
	local, local2 := serveAt(t, "127.0.0.1", says), serveAt(t, "127.0.0.2", says)
	world, world2 := serveAt(t, "127.0.1.1", says), serveAt(t, "127.0.1.2", says)
	port := local[strings.LastIndex(local, ":"):]
	n := lab(map[string][]string{"inside.example": {"127.0.0.1"}})
	client := n.HTTPClient(ForWebSeed)
	defer client.CloseIdleConnections()
	type row struct {
		name, url, want string // "": ErrLocalAddress
	}
	rows := []row{
		{"local", local + "/x", "query "},
		{"local, with a query", local + "/reboot?now=1", "query "},
		{"local, by name", "http://inside.example" + port + "/x", "query "},
		{"local, by name, with a query", "http://inside.example" + port + "/x?now=1", "query "},
		{"world", world + "/x", "query "},
		{"world, with a query", world + "/x?key=1", "query key=1"},
		{"world to world", world + "/to?" + world2 + "/x?key=1", "query key=1"},
		{"world to local", world + "/to?" + local + "/x", ""},
		{"world to a local name", world + "/to?http://inside.example" + port + "/x", ""},
		{"world to world to local", world + "/to?" + world2 + "/to?" + local + "/x", ""},
		{"the addresses of the cloud", "http://169.254.169.254/latest/meta-data", ""},
	}
	for range 2 {
		for _, c := range rows[:len(rows)-1] {
			body, err := getKept(client, c.url)
			if body != c.want || (c.want == "") != errors.Is(err, ErrLocalAddress) {
				t.Errorf("%s: %q, %v", c.name, body, err)
			}
		}
	}
	// A redirect of a local server: it loses its query as well, and what the
	// world says after that is the world's word.
	back := serveAt(t, "127.0.1.3", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, local2+"/x", http.StatusFound) })
	for path, to := range map[string]string{"/near": local + "/x?now=1", "/far": world + "/x?key=1", "/back": back} {
		want := map[string]string{"/near": "query ", "/far": "query key=1", "/back": ""}[path]
		s := serveAt(t, "127.0.0.3", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		for range 2 {
			body, err := getKept(client, s+path)
			if body != want || (want == "") != errors.Is(err, ErrLocalAddress) {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		}
	}
}

// TestWebSeedRebinding: a name that was in the world when it sent us on cannot
// be local when it is asked again.
func TestWebSeedRebinding(t *testing.T) {
	port := outside(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	client := lab(map[string][]string{"moving.example": {"127.0.1.1", "127.0.0.1"}}).HTTPClient(ForWebSeed)
	defer client.CloseIdleConnections()
	if _, err := getKept(client, "http://moving.example"+port+"/"); !errors.Is(err, ErrLocalAddress) {
		t.Errorf("the second hop: %v", err)
	}
}

// TestWebSeedConnections: a connection is kept, and let go of; nothing is asked
// to be packed; a loop of redirects ends.
func TestWebSeedConnections(t *testing.T) {
	var opened, closed atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e := r.Header.Get("Accept-Encoding"); e != "" {
			t.Errorf("Accept-Encoding: %s", e)
		}
		if r.URL.Path == "/loop" {
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	client := lab(nil).HTTPClient(ForWebSeed)
	for range 20 {
		if _, err := getKept(client, s.URL+"/x"); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 requests", n)
	}
	if _, err := getKept(client, s.URL+"/loop"); !errors.Is(err, ErrRedirect) {
		t.Errorf("a loop: %v", err)
	}
	client.CloseIdleConnections()
	s.Close()
	if closed.Load() != opened.Load() {
		t.Errorf("%d connections, %d closed", opened.Load(), closed.Load())
	}
}
