package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bipfs/engine/control"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	someHash  = "9a88fa91f19a24971922c29b5a25156b2f48ee08"
	someToken = "dGhlIHRva2VuIG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM"
	// evil is a name as a stranger gives it.
	evil = `"><img src=x onerror=alert(1)>`
)

var someTime = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// timeout is a read that found no peer.
type timeout struct{}

func (timeout) Error() string { return "connection timed out" }
func (timeout) Timeout() bool { return true }

// fake is a site with one torrent of some files.
type fake struct {
	files map[string]string // by path below the torrent
	block chan struct{}     // not nil: reads wait until it is closed, or their contexts end

	mu      sync.Mutex
	opened  int // ever
	open    int // now
	given   int // reads that ended with their contexts
	failing error
	failAt  int64
}

func newFake() *fake {
	return &fake{files: map[string]string{
		"film.mp4": strings.Repeat("0123456789", 100_000), "evil.svg": "<svg/>", "evil.html": "<script>", "notes.txt": "text", "empty.bin": "",
		"deep/er/a?b#c%d&é.mkv": "film", evil + ".mp3": "sound", "link": "->",
	}}
}

func (f *fake) Status() control.Status {
	return control.Status{API: 1, Version: "0.1.0", Started: someTime, Torrents: 1, Peers: 3, Downloaded: 1 << 40, Uploaded: 7, Free: 1 << 33, Storing: true, Seq: 12, UpLimit: 5000}
}

func (f *fake) Torrents() []control.Torrent {
	t, _ := f.Torrent(someHash)
	return []control.Torrent{t}
}

func (f *fake) Some(from, n int) ([]control.Torrent, int) {
	return f.Torrents()[min(1, from):min(1, from+n)], 1
}

func (f *fake) Torrent(infohash string) (control.Torrent, error) {
	if infohash != someHash {
		return control.Torrent{}, fmt.Errorf("no torrent %.64q: %w", infohash, control.ErrUnknown)
	}
	return control.Torrent{Infohash: someHash, Name: evil, State: "active", Length: 1_000_100, Here: 300_000, Files: len(f.files), Pieces: 62,
		PieceLength: 1 << 14, Added: someTime, Peers: 3, Known: 40, Open: 1, Error: evil}, nil
}

func (f *fake) Peers(context.Context, string) ([]control.Peer, error) {
	return []control.Peer{{Address: "192.0.2.1:6881", Client: evil, Rate: 1000, Downloaded: 5}, {Address: "192.0.2.2:6881", Downloaded: 6}}, nil
}

func (f *fake) Pieces(infohash string) (control.Pieces, error) {
	return control.Pieces{Infohash: infohash, Pieces: 62, Here: []byte{0xff, 0xc0, 0, 0, 0, 0, 0, 0}, Fetching: []int{10, 11}}, nil
}

func (f *fake) Readers(string) ([]control.Reading, error) {
	return []control.Reading{{File: "film.mp4", Program: evil, Offset: 1 << 17, Length: 1_000_000, Piece: 10, Until: 20}}, nil
}

func (f *fake) Stat(at string) (Entry, error) {
	name, below, _ := strings.Cut(at, "/")
	if at == "" {
		return Entry{Dir: true, Modified: someTime}, nil
	}
	e := Entry{Infohash: someHash, Path: below, Name: path.Base(at), Modified: someTime}
	b, isFile := f.files[below]
	switch {
	case name != someHash && name != evil:
	case below == "":
		e.Name, e.Dir = evil, true
		return e, nil
	case isFile:
		e.Length, e.Link = int64(len(b)), below == "link"
		return e, nil
	default:
		for p := range f.files {
			if strings.HasPrefix(p, below+"/") {
				e.Dir = true
				return e, nil
			}
		}
	}
	return Entry{}, control.As(control.ErrUnknown, fmt.Errorf("there is no %q", at))
}

func (f *fake) List(at string, from, n int) (entries []Entry, all int, err error) {
	if at == "" {
		e, err := f.Stat(someHash)
		return []Entry{e}[min(1, from):min(1, from+n)], 1, err
	}
	if _, err := f.Stat(at); err != nil {
		return nil, 0, err
	}
	_, below, _ := strings.Cut(at, "/")
	names := map[string]bool{}
	for p := range f.files {
		if rest, ok := strings.CutPrefix(p, strings.TrimPrefix(below+"/", "/")); ok {
			first, _, _ := strings.Cut(rest, "/")
			names[first] = true
		}
	}
	var sorted []string
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted[min(from, len(sorted)):min(from+n, len(sorted))] {
		e, err := f.Stat(join(at, name))
		if err != nil {
			return nil, 0, err
		}
		entries = append(entries, e)
	}
	return entries, len(sorted), nil
}

func (f *fake) Open(at, visitor string) (File, error) {
	_, below, _ := strings.Cut(at, "/")
	b, ok := f.files[below]
	if !ok || visitor != "http" {
		return nil, control.ErrUnknown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	f.open++
	return &fakeFile{f, b}, nil
}

// counts are the opened files, ever and now, and the reads that were given up.
func (f *fake) counts() (opened, open, given int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened, f.open, f.given
}

type fakeFile struct {
	f *fake
	b string
}

func (o *fakeFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	f := o.f
	f.mu.Lock()
	block, failing, failAt := f.block, f.failing, f.failAt
	f.mu.Unlock()
	if failing != nil && off >= failAt {
		return 0, failing
	}
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			f.mu.Lock()
			f.given++
			f.mu.Unlock()
			return 0, ctx.Err()
		}
	}
	return strings.NewReader(o.b).ReadAt(p, off)
}

func (o *fakeFile) Close() {
	o.f.mu.Lock()
	defer o.f.mu.Unlock()
	o.f.open--
}

// served is a fake that is served. It ends with the test, and has no file open
// then.
type served struct {
	*fake
	at     string // HOST:PORT
	client *http.Client
	stop   func()
}

func serve(t *testing.T, f *fake) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := Serve(ctx, l, f, Config{Token: someToken, Hosts: []string{"nas.example"}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{}
	stop := func() {
		cancel()
		serving.Wait()
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if _, open, _ := f.counts(); open != 0 {
			t.Errorf("%d files are left open", open)
		}
	})
	return &served{f, l.Addr().String(), &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, stop}
}

// ask sends one request with the token, unless change takes it away, and is the
// answer with its whole body.
func (s *served) ask(t *testing.T, method, path string, change func(r *http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.at+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+someToken)
	if change != nil {
		change(r)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if err != nil {
		b = append(b, " cut short"...)
	}
	return answer, string(b)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
