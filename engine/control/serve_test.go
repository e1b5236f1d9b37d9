package control

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// raw sends one request and is the whole answer but for the header.
func raw(t *testing.T, c *Client, method, path, kind, body string) (code int, answer string) {
	t.Helper()
	var got bytes.Buffer
	err := c.exchange(t.Context(), method, path, kind, []byte(body), func(r io.Reader) error {
		_, err := io.Copy(&got, r)
		return err
	})
	var failed *Failed
	if errors.As(err, &failed) {
		return failed.Code, failed.Message + "\n"
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return http.StatusOK, got.String()
}

// TestGolden: the shapes of v1. A field that is there stays: a change to these
// files but an added field breaks somebody's program.
func TestGolden(t *testing.T) {
	f, c := serve(t, t.TempDir(), -1)
	f.mountpoint = "/mnt"
	close(f.resolved)
	for _, e := range []Event{
		{Event: "added", Infohash: someHash, Name: "film.mp4"},
		{Event: "file-complete", Infohash: someHash, Name: "film.mp4", Path: "film.mp4/film.mp4"},
		{Event: "peer-banned", Infohash: someHash, Name: "film.mp4", Peer: "192.0.2.1", Error: "it sent bad blocks"},
		{Event: "tracker-failed", Infohash: someHash, Name: "film.mp4", Tracker: "https://t.example", Error: "no route"},
	} {
		f.happens(e)
	}
	var all strings.Builder
	for _, r := range []struct{ method, path, kind, body string }{
		{"GET", "status", "", ""},
		{"GET", "torrents", "", ""},
		{"GET", "torrents/" + someHash, "", ""},
		{"GET", "torrents/" + someHash + "?wait=5", "", ""},
		{"GET", "torrents/" + someHash + "/peers", "", ""},
		{"GET", "torrents/" + someHash + "/pieces", "", ""},
		{"GET", "torrents/" + someHash + "/readers", "", ""},
		{"GET", "path?path=film.mp4%2Ffilm.mp4", "", ""},
		{"GET", "why?path=film.mp4%2Ffilm.mp4", "", ""},
		{"POST", "torrents", "application/json", `{"link": "magnet:?xt=urn:btih:` + someHash + `"}`},
		{"POST", "torrents", TorrentType, "d4:infode"},
		{"POST", "torrents", "application/json", `{"link": "magnet:?xt=urn:btih:` + someHash + `", "folder": "films/2024"}`},
		{"POST", "torrents?folder=films%2F2024", TorrentType, "d4:infode"},
		{"POST", "torrents/" + someHash + "/stop", "", ""},
		{"POST", "torrents/" + someHash + "/verify", "", ""},
		{"POST", "limits", "application/json", `{"down": 5000000, "background": 0}`},
		{"POST", "torrents/" + someHash + "/limits", "application/json", `{"up": 100000}`},
		{"POST", "path/pin?path=film.mp4%2Ffilm.mp4", "", ""},
		{"POST", "path/unpin?path=film.mp4%2Ffilm.mp4", "", ""},
		{"DELETE", "torrents/" + someHash + "?delete_data=true", "", ""},
		{"GET", "events", "", ""},
		{"GET", "events?since=3", "", ""},

		{"GET", "torrents/1234", "", ""},
		{"DELETE", "torrents/1234", "", ""},
		{"GET", "torrents/" + someHash + "?wait=-1", "", ""},
		{"GET", "torrents/" + someHash + "?wait=999999999999", "", ""},
		{"DELETE", "torrents/" + someHash + "?delete_data=yes", "", ""},
		{"GET", "events?since=x", "", ""},
		{"GET", "path?path=..%2F..%2Fetc%2Fpasswd", "", ""},
		{"POST", "limits", "application/json", `{}`},
		{"POST", "limits", "application/json", `{"down": "5MB"}`},
		{"POST", "limits", "application/json", `{"down": -1}`},
		{"POST", "torrents/" + someHash + "/limits", "application/json", `{"background": 1}`},
		{"POST", "torrents/1234/limits", "application/json", `{"up": 1}`},
		{"POST", "path/pin?path=huge", "", ""},
		{"POST", "path/unpin?path=..", "", ""},
		{"GET", "nothing", "", ""},
		{"POST", "torrents/" + someHash + "/explode", "", ""},
		{"POST", "torrents", "application/json", `{"link": "bad"}`},
		{"POST", "torrents", "application/json", `{"link": "private"}`},
		{"POST", "torrents", "application/json", `{"link": "broken"}`},
		{"POST", "torrents", "application/json", `{"link": ""}`},
		{"POST", "torrents", "application/json", `{"link": "x", "path": "/etc/passwd"}`},
		{"POST", "torrents", "application/json", `{"link": "x"} {"link": "y"}`},
		{"POST", "torrents", "application/json", `[`},
		{"POST", "torrents", "text/plain", "x"},
		{"POST", "torrents", TorrentType, ""},
		{"POST", "torrents", "application/json", `{"link": "` + strings.Repeat("x", longestJSON) + `"}`},
	} {
		code, answer := raw(t, c, r.method, r.path, r.kind, r.body)
		if len(r.body) > 100 {
			r.body = fmt.Sprintf("%d bytes", len(r.body))
		}
		fmt.Fprintf(&all, "%s /v1/%s %s %s\n%d %s\n", r.method, r.path, r.kind, r.body, code, answer)
	}
	golden := filepath.Join("testdata", "v1.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("it is not as in %s; it is:\n%s", golden, all.String())
	}
	for _, command := range []string{
		"stop " + someHash, "remove " + someHash + " true", "limit  down 5000000", "limit  background 0",
		"limit " + someHash + " up 100000", "pin film.mp4/film.mp4", "unpin film.mp4/film.mp4",
	} {
		if !f.was(command) {
			t.Errorf("the daemon was not told to %s", command)
		}
	}
}

// TestMethods: another method than a resource has is refused, and does nothing.
func TestMethods(t *testing.T) {
	f, c := serve(t, t.TempDir(), -1)
	for _, r := range []struct{ method, path string }{
		{"POST", "status"}, {"DELETE", "torrents"}, {"PUT", "torrents/" + someHash}, {"GET", "torrents/" + someHash + "/stop"},
		{"DELETE", "torrents/" + someHash + "/peers"}, {"POST", "events"},
	} {
		if code, answer := raw(t, c, r.method, r.path, "", ""); code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d %s", r.method, r.path, code, answer)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the daemon was asked: %q", f.asked)
	}
}

// TestWaitEnds: a wait ends with who asked, and with the daemon.
func TestWaitEnds(t *testing.T) {
	for _, who := range []string{"client", "daemon"} {
		t.Run(who, func(t *testing.T) {
			f := newFake("/mnt")
			l, err := Listen(t.TempDir(), f.mountpoint, -1)
			if err != nil {
				t.Fatal(err)
			}
			serveCtx, stop := context.WithCancel(context.Background())
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			defer stop()
			var wg sync.WaitGroup
			wg.Go(func() { Serve(serveCtx, l, f, discard()) })
			c := &Client{l.path}
			wg.Go(func() {
				var torrent Torrent
				if err := c.Get(ctx, "torrents/"+someHash+"?wait=3600", &torrent); err == nil && who == "client" {
					t.Error("the wait ended by itself") // a daemon that ends may still answer
				}
			})
			eventually(t, "nobody waits", func() bool { return f.was("waits") })
			if who == "client" {
				cancel()
			} else {
				stop()
			}
			eventually(t, "it is still waited for", func() bool { return f.was("waits no more") })
			stop()
			cancel()
			wg.Wait()
		})
	}
}

// TestStream: who follows gets what happens, in order; a gap is said; who has been
// overtaken is dropped with a word.
func TestStream(t *testing.T) {
	f, c := serve(t, t.TempDir(), -1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.happens(Event{Event: "first"})
	lines := make(chan Event, 10)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(lines)
		c.Events(ctx, 0, true, func(e Event, _ []byte) error {
			lines <- e
			return nil
		})
	})
	if e := <-lines; e.Seq != 1 || e.Event != "first" {
		t.Fatalf("%+v", e)
	}
	f.happens(Event{Event: "second"})
	if e := <-lines; e.Seq != 2 || e.Event != "second" {
		t.Fatalf("%+v", e)
	}
	f.mu.Lock()
	f.missed = 40
	f.mu.Unlock()
	f.happens(Event{Event: "third"})
	if e := <-lines; e.Event != Dropped || e.Missed != 40 || e.Seq != 2 {
		t.Fatalf("%+v", e)
	}
	if e, more := <-lines; more {
		t.Fatalf("the stream goes on: %+v", e)
	}
	wg.Wait()
	var got []string
	err := c.Events(ctx, 2, false, func(e Event, _ []byte) error {
		got = append(got, fmt.Sprint(e.Seq, e.Event, e.Missed))
		return nil
	})
	if err != nil || fmt.Sprint(got) != "[2 gap 40 3 third 0]" && fmt.Sprint(got) != "[2gap40 3third0]" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSlowReader: one that does not read its events holds up nobody, and ends.
func TestSlowReader(t *testing.T) {
	f, c := serve(t, t.TempDir(), -1)
	conn, err := dial(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 1000 {
		f.happens(Event{Event: "added", Name: strings.Repeat("n", 2000)})
	}
	var s Status
	if err := c.Get(t.Context(), "status", &s); err != nil {
		t.Error(err)
	}
}

// TestHostile: what is too much, too slow or no request ends, and the others are
// served.
func TestHostile(t *testing.T) {
	t.Parallel() // it waits for a time-out
	f, c := serve(t, t.TempDir(), -1)
	send := func(text string) net.Conn {
		conn, err := dial(c.socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, text)
		return conn
	}
	for name, text := range map[string]string{
		"no HTTP":        "\x13BitTorrent protocol\x00\x00\x00\x00\r\n\r\n",
		"a long header":  "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*longestHeader) + "\r\n\r\n",
		"a bad length":   "POST /v1/torrents HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"a huge torrent": fmt.Sprintf("POST /v1/torrents HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\nxxxx", TorrentType, longestTorrent+1),
		"a long link":    fmt.Sprintf("POST /v1/torrents HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n{\"link\": \"%s", 2*longestJSON, strings.Repeat("x", longestJSON)),
		"half a header":  "GET /v1/sta",
	} {
		conn := send(text)
		answer, err := io.ReadAll(conn)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Errorf("%s: it is not ended", name)
		}
		if strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			t.Errorf("%s: %.200s", name, answer)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the daemon was asked: %q", f.asked)
	}
	if code, _ := raw(t, c, "GET", "status", "", ""); code != http.StatusOK {
		t.Errorf("the next one gets %d", code)
	}
}

// TestPanic: a bug in the daemon ends one request.
func TestPanic(t *testing.T) {
	_, c := serve(t, t.TempDir(), -1)
	if err := c.Do(t.Context(), "POST", "torrents", "application/json", []byte(`{"link":"panic"}`), &Torrent{}); err == nil {
		t.Error("a panic is an answer")
	}
	if code, _ := raw(t, c, "GET", "status", "", ""); code != http.StatusOK {
		t.Errorf("the next one gets %d", code)
	}
}

// TestManyConnections: a thousand connections take no more than their bound, and
// when they have gone there is room.
func TestManyConnections(t *testing.T) {
	_, c := serve(t, t.TempDir(), -1)
	var conns []net.Conn
	for range 1000 {
		conn, err := dial(c.socket)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	// Those over the bound are closed: the last of them hear it.
	last := conns[len(conns)-1]
	last.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection 1,000 is not closed: %v", err)
	}
	for _, conn := range conns {
		conn.Close()
	}
	eventually(t, "there is no room afterwards", func() bool { return c.Get(t.Context(), "status", &Status{}) == nil })
}

// TestEventsThatNobodyTakes: what is wrong with who is told of events is no fault of the
// daemon.
func TestEventsThatNobodyTakes(t *testing.T) {
	f, c := serve(t, t.TempDir(), -1)
	f.happens(Event{Event: "first"})
	full := errors.New("no space left")
	if err := c.Events(t.Context(), 0, false, func(Event, []byte) error { return full }); err != full {
		t.Error(err)
	}
}
