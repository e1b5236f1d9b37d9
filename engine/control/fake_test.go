package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var someTime = time.Date(2026, 11, 23, 6, 0, 0, 123456789, time.UTC)

const someHash = "9a88fa91f19a24971922c29b5a25156b2f48ee08"

// fake is a daemon with one torrent.
type fake struct {
	mountpoint string

	mu       sync.Mutex
	asked    []string // commands
	ring     []Event
	missed   uint64
	more     chan struct{}
	resolved chan struct{} // closed: the metadata is here
}

func newFake(mountpoint string) *fake {
	return &fake{mountpoint: mountpoint, more: make(chan struct{}), resolved: make(chan struct{})}
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

func (f *fake) Status() Status {
	return Status{API: API, Version: "0.1.0", PID: 4242, Mountpoint: f.mountpoint, Data: "/var/lib/bipfs", Started: someTime,
		Torrents: 1, Peers: 3, Downloaded: 1 << 40, Uploaded: 7, Free: 1 << 33, Storing: true, Seq: 12,
		HTTPURL: "http://127.0.0.1:8080/?token=0a1b"}
}

func (f *fake) Torrents() []Torrent {
	t, _ := f.Torrent(someHash)
	return []Torrent{t}
}

func (f *fake) Torrent(infohash string) (Torrent, error) {
	if infohash != someHash {
		return Torrent{}, fmt.Errorf("no torrent %q: %w", infohash, ErrUnknown)
	}
	return Torrent{Infohash: someHash, Name: "film.mp4", State: "active", Length: 45089281, Here: 1 << 20, Files: 1, Pieces: 172,
		PieceLength: 1 << 18, Added: someTime, Downloaded: 1 << 20, Uploaded: 9, Peers: 3, Known: 40, Open: 1,
		Trackers: []string{"https://t.example"}, WebSeeds: []string{}}, nil
}

func (f *fake) Lookup(path string) (Path, error) {
	if path != "film.mp4/film.mp4" {
		return Path{}, fmt.Errorf("no path %q: %w", path, ErrUnknown)
	}
	t, err := f.Torrent(someHash)
	return Path{Torrent: t, Path: "film.mp4", Kind: "file", Length: 45089281, Here: 1 << 20}, err
}

func (f *fake) Add(ctx context.Context, s Source) (Torrent, error) {
	f.note("add %q, %d bytes", s.Link, len(s.Torrent))
	switch s.Link {
	case "bad":
		return Torrent{}, fmt.Errorf("no link: %w", ErrBad)
	case "panic":
		panic("a bug")
	case "broken":
		return Torrent{}, errors.New("the disk\nis broken")
	case "private":
		return Torrent{}, fmt.Errorf("it is private: %w", ErrRefused)
	}
	t, err := f.Torrent(someHash)
	t.Folder = s.Folder
	return t, err
}

func (f *fake) Remove(infohash string, deleteData bool) error {
	f.note("remove %v %v", infohash, deleteData)
	return nil
}

func (f *fake) Decide(infohash string, v Verb) error {
	f.note("%v %v", v, infohash)
	_, err := f.Torrent(infohash)
	return err
}

func (f *fake) Pin(path string) (Path, error) {
	f.note("pin %s", path)
	if path == "huge" {
		return Path{}, fmt.Errorf("it does not fit: %w", ErrRefused)
	}
	p, err := f.Lookup(path)
	p.Pinned, p.Torrent.Pinned = true, "all"
	return p, err
}

func (f *fake) Unpin(path string) (Path, error) {
	f.note("unpin %s", path)
	return f.Lookup(path)
}

func (f *fake) Limit(infohash string, l Limits) error {
	for name, n := range map[string]*int64{"down": l.Down, "background": l.Background, "up": l.Up} {
		if n != nil {
			f.note("limit %v %s %d", infohash, name, *n)
		}
		if n != nil && *n < 0 {
			return fmt.Errorf("no limit: %w", ErrBad)
		}
	}
	if infohash == "" {
		return nil
	}
	_, err := f.Torrent(infohash)
	return err
}

func (f *fake) Verify(ctx context.Context, infohash string) (Verified, error) {
	_, err := f.Torrent(infohash)
	return Verified{Pieces: 172, Here: 4, Damaged: 1, Found: 2}, err
}

func (f *fake) Resolved(ctx context.Context, infohash string) error {
	if _, err := f.Torrent(infohash); err != nil {
		return err
	}
	f.note("waits")
	select {
	case <-f.resolved:
	case <-ctx.Done():
		f.note("waits no more")
	}
	return nil
}

func (f *fake) Peers(ctx context.Context, infohash string) ([]Peer, error) {
	_, err := f.Torrent(infohash)
	return []Peer{{Address: "192.0.2.1:6881", Kind: "peer", Client: "a client 1.0", Source: "tracker", Transport: "utp", Encrypted: true,
		Pieces: 172, Downloaded: 1 << 20, Uploaded: 9, Rate: 123456, RTT: 250, Outstanding: 16, Chokes: true, Choked: true, Interested: true, Snubbed: true}}, err
}

func (f *fake) Pieces(infohash string) (Pieces, error) {
	_, err := f.Torrent(infohash)
	return Pieces{Infohash: someHash, Pieces: 172, Here: append([]byte{0xf0}, make([]byte, 21)...), Fetching: []int{4, 5}}, err
}

func (f *fake) Readers(infohash string) ([]Reading, error) {
	_, err := f.Torrent(infohash)
	return []Reading{{File: "film.mp4", Program: "mpv", Offset: 1 << 20, Length: 45089281, Read: 1 << 20, Piece: 4, Until: 36}}, err
}

func (f *fake) Why(ctx context.Context, path string) (Why, error) {
	_, err := f.Lookup(path)
	return Why{Infohash: someHash, Path: "film.mp4", State: "active", Reads: 2, Waits: []Wait{{
		Piece: 91, Seconds: 12, Reads: 2, By: []string{"mpv"}, Peers: 3, Have: 2, Choking: 1, Silent: 1, Asked: 1}}}, err
}

func (f *fake) Events(since uint64) (events []Event, missed uint64, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.ring {
		if e.Seq > since {
			events = append(events, e)
		}
	}
	return events, f.missed, f.more
}

// happens adds an event.
func (f *fake) happens(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Seq, e.Time = uint64(len(f.ring))+1, someTime
	f.ring = append(f.ring, e)
	close(f.more)
	f.more = make(chan struct{})
}

func (f *fake) was(command string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if a == command {
			return true
		}
	}
	return false
}

// serve is a fake daemon at a socket, and a client of it. It ends with the test.
func serve(t *testing.T, dir string, gid int) (*fake, *Client) {
	t.Helper()
	f := newFake(filepath.Join(t.TempDir(), "mnt"))
	l, err := Listen(dir, f.mountpoint, gid)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := Serve(ctx, l, f, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		if n := len(l.slots); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return f, &Client{l.path}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
