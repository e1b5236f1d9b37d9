package webseed

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// TestAnswers: heads of answers to a request for bytes 16384 to 32767 of a file
// of 65536.
func TestAnswers(t *testing.T) {
	p, file := part{0, block, block}, int64(4*block)
	for _, c := range []struct {
		status    int
		length    int64
		ranges    string
		encoding  string
		want      error
		skip      int64
		permanent bool
	}{
		{206, block, "bytes 16384-32767/65536", "", nil, 0, false},
		{206, -1, "bytes 16384-32767/*", "identity", nil, 0, false},
		{206, block, "Bytes 16384-32767/65536", "Identity", nil, 0, false},
		{206, block, "bytes 16384-32767/65537", "", ErrLength, 0, true},
		{206, block, "bytes 16383-32766/65536", "", ErrRange, 0, true},
		{206, block, "bytes 16384-32766/65536", "", ErrRange, 0, true},
		{206, block + 1, "bytes 16384-32767/65536", "", ErrRange, 0, true},
		{206, block, "", "", ErrRange, 0, true},
		{206, block, "bytes */65536", "", ErrRange, 0, true},
		{206, block, "bytes 16384-32767/30000", "", ErrRange, 0, true},
		{206, block, "bytes 16384--32767/65536", "", ErrRange, 0, true},
		{206, block, "bytes +16384-32767/65536", "", ErrRange, 0, true},
		{206, block, "lines 16384-32767/65536", "", ErrRange, 0, true},
		{206, block, "bytes 16384-99999999999999999999/65536", "", ErrRange, 0, true},
		{206, block, "bytes 16384-32767/65536", "gzip", ErrPacked, 0, true},
		{200, 4 * block, "", "", nil, block, false},
		{200, -1, "", "", nil, block, false},
		{200, 4*block - 1, "", "", ErrLength, 0, true},
		{200, 4 * block, "", "br", ErrPacked, 0, true},
	} {
		r := &http.Response{StatusCode: c.status, ContentLength: c.length, Header: http.Header{}}
		if c.ranges != "" {
			r.Header.Set("Content-Range", c.ranges)
		}
		if c.encoding != "" {
			r.Header.Set("Content-Encoding", c.encoding)
		}
		skip, err := check(r, p, file, time.Time{})
		if !errors.Is(err, c.want) || skip != c.skip || err != nil && Permanent(err) != c.permanent {
			t.Errorf("%+v: skip %d, %v", c, skip, err)
		}
	}
	// A whole file is let go by up to MaxSkip bytes before, and behind.
	whole := &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{}}
	for _, c := range []struct{ from, behind int64 }{{MaxSkip, MaxSkip}, {MaxSkip + 1, 0}, {0, MaxSkip + 1}} {
		_, err := check(whole, part{0, c.from, 5}, c.from+5+c.behind, time.Time{})
		if (err == nil) != (c.from <= MaxSkip && c.behind <= MaxSkip) {
			t.Errorf("200 with %+v: %v", c, err)
		}
	}
}

func TestStatus(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status    int
		retry     string
		want      time.Duration
		permanent bool
	}{
		{404, "", 0, true}, {410, "", 0, true}, {416, "", 0, true}, {403, "", 0, true}, {304, "", 0, true},
		{408, "", 0, false}, {429, "30", 30 * time.Second, false}, {500, "", 0, false},
		{503, "120", 2 * time.Minute, false}, {503, "3600", MaxRetryAfter, false}, {503, "3601", MaxRetryAfter, false},
		{503, "999999999999999999", MaxRetryAfter, false}, {503, "-5", 0, false}, {503, "soon", 0, false},
		{503, "Sun, 22 Nov 2026 12:00:10 GMT", 10 * time.Second, false},
		{503, "Sun, 22 Nov 2020 12:00:10 GMT", 0, false}, {503, "Sun, 22 Nov 2099 12:00:10 GMT", MaxRetryAfter, false},
	} {
		r := &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.retry}}}
		_, err := check(r, part{0, 0, 5}, 5, now)
		var s *StatusError
		if !errors.As(err, &s) || s.Code != c.status || s.RetryAfter != c.want || Permanent(fmt.Errorf("x: %w", err)) != c.permanent {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, err := range []error{ErrSlow, ErrIdle, ErrLong, io.ErrUnexpectedEOF, nil} {
		if Permanent(err) {
			t.Errorf("%v is permanent", err)
		}
	}
}

// TestWholeFiles: a server without ranges serves what is small.
func TestWholeFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content, all := torrentOf(4*block, 3*block, 100, 4*block, 9*block)
		w := newWorld(t, content, all)
		w.serve = func(r *http.Request) (*http.Response, error) {
			var i int
			fmt.Sscanf(r.URL.Path, "/dir/name/f%d", &i)
			f := content.Files[i]
			return w.answer(r, 200, strings.NewReader(string(all[f.Offset:f.Offset+f.Length]))), nil
		}
		w.run()
		w.send(wire.Request, w.blocks(2, 2)...)
		w.want("have-all; unchoke; GET http://seed.example/dir/name/f0 32768-49151; stored 0:32768+16384; " +
			"GET http://seed.example/dir/name/f1 0-99; GET http://seed.example/dir/name/f2 0-16283; " +
			"stored 0:49152+16384")
		w.send(wire.Request, w.blocks(12, 1)...) // 81,820 bytes of the last file are before it
		w.end(ErrRange)
	})
}

func TestURL(t *testing.T) {
	odd := []string{"a b", "#1?&=+%41;", "音楽", "\xff\x01", "it's", ".."}
	for _, c := range []struct {
		base   string
		single bool
		path   []string
		want   string
	}{
		{"http://h/dir/", false, []string{"n", "f"}, "http://h/dir/n/f"},
		{"http://h/dir", false, []string{"n", "f"}, "http://h/dir/n/f"},
		{"http://h", false, []string{"n", "f"}, "http://h/n/f"},
		{"http://h/file.iso", true, []string{"n"}, "http://h/file.iso"},
		{"http://h/dir/", true, []string{"n o"}, "http://h/dir/n%20o"},
		{"http://h/%7Ea%2Fb/", true, []string{"n"}, "http://h/%7Ea%2Fb/n"},
		{"https://u:p@h:8080/d/?key=1#top", true, []string{"n"}, "https://u:p@h:8080/d/n?key=1"},
		{"http://h/", false, odd, "http://h/a%20b/%231%3F&=+%2541%3B/%E9%9F%B3%E6%A5%BD/%FF%01/it%27s/.."},
	} {
		base, err := url.Parse(c.base)
		if err != nil {
			t.Fatal(err)
		}
		content := &Content{Single: c.single, Path: func(int) []string { return c.path }}
		if got := content.url(base, 0); got != c.want {
			t.Errorf("%s: got %s, want %s", c.base, got, c.want)
		}
	}
}

// FuzzContentRange: whatever a server says, the numbers make sense.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 16384-32767/*", "bytes */5", "bytes 5-4/9", "bytes 0-9223372036854775807/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, length, whole, ok := contentRange(s)
		if ok && (from < 0 || length <= 0 || from+length <= 0 || whole >= 0 && from+length > whole) {
			t.Errorf("%q: %d bytes from %d of %d", s, length, from, whole)
		}
		if d := retryAfter(s, time.Unix(1<<31, 0)); d < 0 || d > MaxRetryAfter {
			t.Errorf("%q: %v", s, d)
		}
	})
}
