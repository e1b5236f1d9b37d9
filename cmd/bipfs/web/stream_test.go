package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRanges(t *testing.T) {
	s := serve(t, newFake())
	film := s.files["film.mp4"]
	for _, c := range []struct {
		asked, body, says string
		code              int
	}{
		{"", film, "", 200},
		{"bytes=0-9", "0123456789", "bytes 0-9/1000000", 206},
		{"bytes=999995-", "56789", "bytes 999995-999999/1000000", 206},
		{"bytes=-3", "789", "bytes 999997-999999/1000000", 206},
		{"bytes=5-5000000", film[5:], "bytes 5-999999/1000000", 206},
		{"bytes=1000000-", "", "bytes */1000000", 416},
		{"bytes=0-1,5-6", film, "", 200}, // no player asks for several
		{"bytes=x", "", "", 416},
	} {
		answer, body := s.ask(t, "GET", "/f/"+someHash+"/film.mp4", func(r *http.Request) {
			if c.asked != "" {
				r.Header.Set("Range", c.asked)
			}
		})
		if answer.StatusCode != c.code || answer.Header.Get("Content-Range") != c.says || c.code < 400 && body != c.body {
			t.Errorf("%q: %d, %q, %d bytes", c.asked, answer.StatusCode, answer.Header.Get("Content-Range"), len(body))
		}
	}
	if opened, _, _ := s.counts(); opened != 1 {
		t.Errorf("it was opened %d times", opened)
	}
}

// TestNoByte: what asks for no byte opens nothing.
func TestNoByte(t *testing.T) {
	s := serve(t, newFake())
	head, body := s.ask(t, "HEAD", "/f/"+someHash+"/film.mp4", nil)
	tag := head.Header.Get("ETag")
	if head.StatusCode != 200 || head.ContentLength != 1_000_000 || body != "" || len(tag) != 26 || head.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("%d: %v", head.StatusCode, head.Header)
	}
	for name, value := range map[string]string{"If-None-Match": tag, "If-Modified-Since": someTime.Format(http.TimeFormat)} {
		answer, body := s.ask(t, "GET", "/f/"+someHash+"/film.mp4", func(r *http.Request) { r.Header.Set(name, value) })
		if answer.StatusCode != 304 || body != "" {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
	if other, _ := s.ask(t, "HEAD", "/f/"+someHash+"/notes.txt", nil); other.Header.Get("ETag") == tag {
		t.Error("two files have one tag")
	}
	for path, code := range map[string]int{
		"/f/" + someHash + "/empty.bin": 200, "/f/" + someHash + "/deep": 404, "/f/" + someHash + "/link": 404, "/f/" + someHash + "/": 404,
		"/f/" + someHash + "/none": 404, "/f/" + strings.Repeat("0", 40) + "/film.mp4": 404, "/f/../../etc/passwd": 404,
	} {
		if answer, _ := s.ask(t, "GET", path, nil); answer.StatusCode != code && answer.StatusCode != 307 && answer.StatusCode != 301 {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
	if opened, _, _ := s.counts(); opened != 0 {
		t.Errorf("%d files were opened", opened)
	}
}

// TestStrangersBytes: what a browser may do with them.
func TestStrangersBytes(t *testing.T) {
	s := serve(t, newFake())
	for path, want := range map[string]struct{ media, how string }{
		"film.mp4":              {"video/mp4", "inline; filename=film.mp4"},
		"deep/er/a?b#c%d&é.mkv": {"video/x-matroska", "inline; filename*=utf-8''a%3Fb#c%25d&%C3%A9.mkv"},
		"evil.svg":              {"application/octet-stream", "attachment; filename=evil.svg"},
		"evil.html":             {"application/octet-stream", "attachment; filename=evil.html"},
		"notes.txt":             {plainType, "inline; filename=notes.txt"},
		evil + ".mp3":           {"audio/mpeg", `inline; filename="\"><img src=x onerror=alert(1)>.mp3"`},
	} {
		for _, of := range []string{"/f/", "/dav/"} {
			u := url.URL{Path: of + someHash + "/" + path}
			answer, body := s.ask(t, "GET", u.EscapedPath(), nil)
			h := answer.Header
			if answer.StatusCode != 200 || body != s.files[path] || h.Get("Content-Type") != want.media || h.Get("Content-Disposition") != want.how ||
				h.Get("Content-Security-Policy") != "sandbox" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %d: %v", u.EscapedPath(), answer.StatusCode, h)
			}
		}
	}
	for name, want := range map[string]string{
		"a\"b\\c.txt": `inline; filename="a\"b\\c.txt"`, "a\r\nSet-Cookie: x.txt": "inline; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x.txt",
		"\xff.txt": "inline; filename=_.txt",
	} {
		h := http.Header{}
		if label(h, name); h.Get("Content-Disposition") != want {
			t.Errorf("%q: %s", name, h.Get("Content-Disposition"))
		}
	}
	for _, name := range []string{"x.svg", "x.SVG", "x.html", "x.htm", "x.xhtml", "x.xml", "x.pdf", "x.js", "x.css", "x.mht", "x.swf", "x", "x.mp4.html", "x.svgz"} {
		if k := kindOf(name); k.class != attachment || k.media != "application/octet-stream" {
			t.Errorf("%s is %v", name, k)
		}
	}
}

// TestWaits: a read that waits ends when the client goes; one that fails before its
// first byte is an answer, and a later one is cut short.
func TestWaits(t *testing.T) {
	f := newFake()
	f.block = make(chan struct{})
	s := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.at+"/f/"+someHash+"/film.mp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+someToken)
	gone := make(chan error, 1)
	go func() {
		answer, err := s.client.Do(r)
		if err == nil {
			answer.Body.Close()
		}
		gone <- err
	}()
	eventually(t, "it is not opened", func() bool { _, open, _ := f.counts(); return open == 1 })
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the answer: %v", err)
	}
	eventually(t, "the read goes on", func() bool { _, _, given := f.counts(); return given == 1 })
	f.mu.Lock()
	f.block, f.failing = nil, timeout{}
	f.mu.Unlock()
	answer, body := s.ask(t, "GET", "/f/"+someHash+"/film.mp4", nil)
	if answer.StatusCode != 504 || answer.Header.Get("Content-Disposition") != "" || answer.Header.Get("ETag") != "" || !strings.Contains(body, "peer") {
		t.Errorf("%d: %v: %s", answer.StatusCode, answer.Header, body)
	}
	f.mu.Lock()
	f.failAt = 300_000
	f.mu.Unlock()
	if answer, body = s.ask(t, "GET", "/f/"+someHash+"/film.mp4", nil); answer.StatusCode != 200 || !strings.HasSuffix(body, "cut short") {
		t.Errorf("%d: %d bytes", answer.StatusCode, len(body))
	}
}

// TestEndWhileWaiting: the end of the daemon ends a read that waits.
func TestEndWhileWaiting(t *testing.T) {
	f := newFake()
	f.block = make(chan struct{})
	s := serve(t, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := http.NewRequest("GET", "http://"+s.at+"/f/"+someHash+"/film.mp4", nil)
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+someToken)
		if answer, err := s.client.Do(r); err == nil {
			answer.Body.Close()
		}
	}()
	eventually(t, "it is not opened", func() bool { _, open, _ := f.counts(); return open == 1 })
	s.stop()
	<-done
}

// TestOpenFiles: a file stays open between the requests of one client, for a while,
// and no more than so many do.
func TestOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := newOpenFiles(f)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			o.tend(ctx)
		}()
		get := func(client string) *openFile {
			t.Helper()
			file, err := o.open(someHash+"/film.mp4", client)
			if err != nil {
				t.Fatal(err)
			}
			return file
		}
		one, again, other := get("one"), get("one"), get("other")
		if one != again || one == other {
			t.Error("files and clients do not belong together")
		}
		o.release(one)
		time.Sleep(3 * keepTime)
		if _, open, _ := f.counts(); open != 2 {
			t.Errorf("%d are open while two are in use", open)
		}
		o.release(again)
		o.release(other)
		time.Sleep(keepTime / 4)
		if get("one") != one {
			t.Error("it was closed at once")
		}
		time.Sleep(2 * keepTime)
		if _, open, _ := f.counts(); open != 1 {
			t.Errorf("%d are open", open)
		}
		var many []*openFile
		for i := range mostIdle + 10 {
			many = append(many, get(strings.Repeat("x", i)))
		}
		o.release(one)
		for _, file := range many {
			o.release(file)
			time.Sleep(time.Millisecond)
		}
		if _, open, _ := f.counts(); open != mostIdle {
			t.Errorf("%d are idle", open)
		}
		if _, err := o.open(someHash+"/none", "one"); err == nil {
			t.Error("nothing was opened")
		}
		cancel()
		<-done
		o.close()
		if _, err := o.open(someHash+"/film.mp4", "late"); err == nil {
			t.Error("opened after the end")
		}
		if _, open, _ := f.counts(); open != 0 {
			t.Errorf("%d are open at the end", open)
		}
	})
}
