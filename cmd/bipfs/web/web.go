// Package web is the torrents of a daemon as seen from a browser, a player or a
// file manager: HTTP, and nothing in it changes anything.
//
//	connection ─▶ door ─┬─▶ page      /, /t/INFOHASH/…   what there is, and plays it
//	   slots     door.go├─▶ live      /live/…            what the page shows, again and again
//	                    ├─▶ stream    /f/INFOHASH/PATH   the bytes of a file, by range
//	                    ├─▶ playlist  /m3u/INFOHASH
//	                    ├─▶ metrics   /metrics
//	                    └─▶ dav       /dav/…             the tree of the mount
//
// Whoever has no token gets nothing. Names, and bytes, are a stranger's: they are
// shown by html/template, and are never of the page's origin (stream.go).
package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"bipfs/engine/control"
)

// Bounds of what one listener serves.
const (
	mostConnections = 128
	longestHeader   = 16 << 10 // bytes
	headerTime      = 10 * time.Second
	idleTime        = 2 * time.Minute
	answerTime      = 30 * time.Second // for a page, or a part of it, to be taken
	// pauseTime is how long a player that is paused may take no byte; then it has
	// to ask again, which players do.
	pauseTime = 10 * time.Minute
	// leaveTime is how long requests may take to notice that it is the end.
	leaveTime = time.Second
)

// Torrents tells what there is. Nothing in it waits.
type Torrents interface {
	Status() control.Status
	Torrents() []control.Torrent
	// Some are n of them at most, from number from, and how many there are.
	Some(from, n int) (torrents []control.Torrent, all int)
	Torrent(infohash string) (control.Torrent, error)
	Peers(ctx context.Context, infohash string) ([]control.Peer, error)
}

// Tree is the torrents as the mount shows them. A path begins with where a torrent is,
// which may be in a folder, or with its infohash, and has no slash at its ends; "" is the
// tree's root.
// What is not there is control.ErrUnknown.
type Tree interface {
	Stat(path string) (Entry, error)
	// List is n entries of a directory at most, from entry number from, and how
	// many there are.
	List(path string, from, n int) (entries []Entry, all int, err error)
	// Open opens a file. Who reads is shown as visitor.
	Open(path, visitor string) (File, error)
}

// Entry is a torrent, or a folder or file of one, or a folder that torrents are in.
type Entry struct {
	Infohash string // "" of a folder that torrents are in
	Path     string // below the torrent's directory; "" is that; of a folder that torrents are in, below the root
	Name     string
	Dir      bool
	Link     bool  // a symbolic link: it is shown, and not followed
	Length   int64 // of a file
	Modified time.Time
}

// File is an open file.
type File interface {
	// ReadAt is io.ReaderAt's, and waits for the swarm until ctx ends.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Close()
}

// Site is all that is shown.
type Site interface {
	Torrents
	Tree
	control.Picture
}

// Config is who is let in.
type Config struct {
	Token string   // as NewToken makes them
	Hosts []string // names that clients may call us by, beside localhost and addresses
	Log   *slog.Logger
}

// Serve answers requests until ctx ends, and returns when all connections have
// ended: at once, unless the disk holds one. It closes l.
func Serve(ctx context.Context, l net.Listener, site Site, c Config) error {
	s := &server{Site: site, door: newDoor(c, l.Addr()), files: newOpenFiles(site), log: c.Log, listing: make(chan struct{}, mostListings), began: time.Now()}
	s.dav = newDAV(s)
	h := &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: longestHeader,
		ErrorLog:    slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   s.count,
	}
	stop := context.AfterFunc(ctx, func() { h.Close() })
	var tending sync.WaitGroup
	tending.Go(func() { s.files.tend(ctx) })
	err := h.Serve(&crowd{l, make(chan struct{}, mostConnections)})
	stopped := ctx.Err() != nil
	stop()
	h.Close()
	s.leave()
	tending.Wait()
	if stopped || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// server is one Serve.
type server struct {
	Site
	door      *door
	files     *openFiles
	dav       http.Handler
	log       *slog.Logger
	listing   chan struct{} // directories being told to file managers
	connected sync.WaitGroup
	began     time.Time
	served    counters
}

// leave waits for the requests, whose contexts have ended, and closes their files.
func (s *server) leave() {
	left := make(chan struct{})
	// Not joined: a frozen disk may hold a request for ever, and must not hold the stop.
	go func() {
		defer close(left)
		s.connected.Wait()
		s.files.close()
	}()
	select {
	case <-left:
	case <-time.After(leaveTime):
		s.log.Warn("requests of --http are given up: the data folder does not answer")
	}
}

// count has Serve join the goroutine of each connection.
func (s *server) count(_ net.Conn, now http.ConnState) {
	switch now {
	case http.StateNew:
		s.connected.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connected.Done()
	}
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.list)
	mux.HandleFunc("GET /t/{infohash}/{path...}", s.torrent)
	mux.HandleFunc("GET /f/{infohash}/{path...}", s.file)
	mux.HandleFunc("GET /m3u/{infohash}", s.playlist)
	mux.HandleFunc("GET /live", s.liveList)
	mux.HandleFunc("GET /live/{infohash}", s.liveTorrent)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /assets/{name}", s.asset)
	mux.Handle("/dav/", s.dav)
	mux.Handle("/dav", s.dav)
	return s.door.guard(s, mux)
}

// fail answers with an error, as a sentence.
func (s *server) fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, control.ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, control.ErrRefused):
		code = http.StatusConflict
	case errors.Is(err, errBusy):
		code = http.StatusServiceUnavailable
	case errors.Is(err, context.Canceled):
		return // nobody is there any more
	default:
		s.log.Error("a request of --http failed", "err", err)
	}
	refuse(w, code, err.Error())
}

// refuse answers in plain text.
func refuse(w http.ResponseWriter, code int, why string) {
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Length", "Content-Range", "ETag", "Last-Modified", "Accept-Ranges"} {
		h.Del(name) // they were of the answer that is not given
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, why+"\n") // who asked may have gone
}

// crowd is a listener that has no more than so many connections.
type crowd struct {
	net.Listener
	slots chan struct{}
}

// Accept is the next connection for which there is a slot; others are closed.
func (l *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &visit{Conn: conn, slots: l.slots}, nil
		default:
			conn.Close()
		}
	}
}

// visit is a connection that has one of the slots.
type visit struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

// Close gives the slot back.
func (v *visit) Close() error {
	v.once.Do(func() { <-v.slots })
	return v.Conn.Close()
}
