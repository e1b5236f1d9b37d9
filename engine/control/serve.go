package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what one socket serves. Whoever gets here may stop the daemon
// anyway: they are against programs that have gone wrong.
const (
	mostConnections = 64
	mostAdding      = 4        // requests with a body at a time
	longestHeader   = 16 << 10 // bytes
	longestJSON     = 64 << 10 // bytes of a body that is JSON: links are long
	longestTorrent  = 64 << 20 // bytes of a .torrent
	headerTime      = 5 * time.Second
	bodyTime        = 30 * time.Second // for all of a body
	restTime        = time.Second      // for the rest of a body that was refused
	answerTime      = 30 * time.Second // for the writing of an answer, or of an event
	idleTime        = 30 * time.Second
	longestWait     = 24 * time.Hour
)

// TorrentType is the media type of a .torrent in a request.
const TorrentType = "application/x-bittorrent"

// Serve answers requests until ctx ends, and returns when all connections have
// ended: at once, but for those that net/http keeps for half a second so that a
// refusal is read. It closes l.
func Serve(ctx context.Context, l net.Listener, d Daemon, log *slog.Logger) error {
	s := &server{d: d, log: log, adding: make(chan struct{}, mostAdding)}
	h := &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: longestHeader,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   s.count,
	}
	stop := context.AfterFunc(ctx, func() { h.Close() })
	err := h.Serve(l)
	stop()
	h.Close()
	s.connected.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// server is one Serve.
type server struct {
	d         Daemon
	log       *slog.Logger
	adding    chan struct{}
	connected sync.WaitGroup // the goroutines of connections, which net/http starts
}

// count has Serve join the goroutine of each connection: net/http tells of it
// before it starts, and at its end.
func (s *server) count(_ net.Conn, now http.ConnState) {
	switch now {
	case http.StateNew:
		s.connected.Add(1)
	case http.StateClosed:
		s.connected.Done()
	}
}

// handler answers one request with a value for JSON, or an error.
type handler func(w http.ResponseWriter, r *http.Request) (any, error)

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /v1/status":                         s.status,
		"GET /v1/torrents":                       s.torrents,
		"POST /v1/torrents":                      s.add,
		"GET /v1/torrents/{infohash}":            s.torrent,
		"DELETE /v1/torrents/{infohash}":         s.remove,
		"GET /v1/torrents/{infohash}/peers":      s.peers,
		"POST /v1/torrents/{infohash}/verify":    s.verify,
		"POST /v1/torrents/{infohash}/{command}": s.decide,
		"GET /v1/path":                           s.path,
		"POST /v1/limits":                        s.limit,
		"POST /v1/torrents/{infohash}/limits":    s.limitTorrent,
		"POST /v1/path/pin":                      s.pin,
		"POST /v1/path/unpin":                    s.unpin,
		"GET /v1/why":                            s.why,
		"GET /v1/torrents/{infohash}/pieces":     s.pieces,
		"GET /v1/torrents/{infohash}/readers":    s.readers,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := h(w, r)
			s.answer(w, v, err)
		})
	}
	mux.HandleFunc("GET /v1/events", s.events)
	profiles(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses, pattern := mux.Handler(r); pattern == "" {
			s.answer(w, nil, refusal(refuses, r))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// refusal is why the mux has nobody for a request: it says so in plain text.
func refusal(refuses http.Handler, r *http.Request) error {
	said := &codeWriter{header: http.Header{}}
	refuses.ServeHTTP(said, r)
	if said.code == http.StatusMethodNotAllowed {
		return errMethod
	}
	return fmt.Errorf("%w: there is no %s in v%d", ErrUnknown, r.URL.Path, API)
}

// codeWriter is an answer of which only the code is of interest.
type codeWriter struct {
	header http.Header
	code   int
}

func (w *codeWriter) Header() http.Header         { return w.header }
func (w *codeWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *codeWriter) WriteHeader(code int)        { w.code = code }

// Failure is the body of an answer that is not 200.
type Failure struct {
	Error string `json:"error"` // a sentence
}

func (s *server) answer(w http.ResponseWriter, v any, err error) {
	code := http.StatusOK
	if err != nil {
		switch {
		case errors.Is(err, ErrUnknown):
			code = http.StatusNotFound
		case errors.Is(err, errMethod):
			code = http.StatusMethodNotAllowed
		case errors.Is(err, ErrBad):
			code = http.StatusBadRequest
		case errors.Is(err, ErrRefused):
			code = http.StatusConflict
		default:
			code = http.StatusInternalServerError
		}
		v = Failure{strings.Join(strings.Fields(err.Error()), " ")}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // who asked may have gone
}

func (s *server) status(http.ResponseWriter, *http.Request) (any, error) { return s.d.Status(), nil }

// List is all torrents, in the order in which they were added.
type List struct {
	Torrents []Torrent `json:"torrents"`
}

func (s *server) torrents(http.ResponseWriter, *http.Request) (any, error) {
	return List{append([]Torrent{}, s.d.Torrents()...)}, nil
}

// torrent waits, if it is asked to, for the metadata first. That the time is over
// is no error: the state tells.
func (s *server) torrent(_ http.ResponseWriter, r *http.Request) (any, error) {
	infohash := r.PathValue("infohash")
	wait, err := seconds(r, "wait")
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		defer cancel()
		if err := s.d.Resolved(ctx, infohash); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	return s.d.Torrent(infohash)
}

// seconds is a parameter that is a number of seconds; 0 if there is none.
func seconds(r *http.Request, name string) (time.Duration, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 || time.Duration(n)*time.Second > longestWait {
		return 0, fmt.Errorf("%w: %s is not a number of seconds up to %d", ErrBad, name, longestWait/time.Second)
	}
	return time.Duration(n) * time.Second, nil
}

// boolean is a parameter that is true or false; false if there is none.
func boolean(r *http.Request, name string) (bool, error) {
	v := r.URL.Query().Get(name)
	switch v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, fmt.Errorf("%w: %s is neither true nor false", ErrBad, name)
}

func (s *server) add(w http.ResponseWriter, r *http.Request) (any, error) {
	select {
	case s.adding <- struct{}{}:
		defer func() { <-s.adding }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime))
	source, err := readSource(w, r)
	if err != nil {
		_ = c.SetReadDeadline(time.Now().Add(restTime)) // net/http waits for what is left of it
		return nil, err
	}
	_ = c.SetReadDeadline(time.Time{}) // or the wait for the end of the connection would end
	return s.d.Add(r.Context(), source)
}

func readSource(w http.ResponseWriter, r *http.Request) (source Source, err error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch kind {
	case TorrentType:
		source.Torrent, err = readTorrent(w, r)
		source.Folder = r.URL.Query().Get("folder")
	case "application/json":
		source, err = readLink(w, r)
	default:
		err = fmt.Errorf("its type is neither application/json nor %s", TorrentType)
	}
	if err != nil {
		return Source{}, fmt.Errorf("%w: the body cannot be used: %w", ErrBad, err)
	}
	return source, nil
}

// bounded is the body of a request, which ends with an error after longest bytes.
// One that says that it is longer is refused before it is read.
func bounded(w http.ResponseWriter, r *http.Request, longest int64) (io.Reader, error) {
	if r.ContentLength > longest {
		return nil, fmt.Errorf("it is longer than %d bytes", longest)
	}
	return http.MaxBytesReader(w, r.Body, longest), nil
}

func readTorrent(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := bounded(w, r, longestTorrent)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	return b, err
}

func readLink(w http.ResponseWriter, r *http.Request) (source Source, err error) {
	err = readJSON(w, r, &source)
	if err == nil && source.Link == "" {
		err = errors.New("there is no link")
	}
	return source, err
}

// readJSON reads a body that is one object, with no other fields than into has.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := bounded(w, r, longestJSON)
	if err != nil {
		return err
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("more follows the object")
	}
	return err
}

// Removed is the answer to a removal.
type Removed struct {
	Infohash    string `json:"infohash"`
	DataDeleted bool   `json:"data_deleted"`
}

func (s *server) remove(_ http.ResponseWriter, r *http.Request) (any, error) {
	deleteData, err := boolean(r, "delete_data")
	if err != nil {
		return nil, err
	}
	t, err := s.d.Torrent(r.PathValue("infohash"))
	if err == nil {
		err = s.d.Remove(t.Infohash, deleteData)
	}
	return Removed{t.Infohash, deleteData}, err
}

func (s *server) decide(_ http.ResponseWriter, r *http.Request) (any, error) {
	verb, infohash := Verb(r.PathValue("command")), r.PathValue("infohash")
	switch verb {
	case Start, Stop, Pause, Resume:
	default:
		return nil, fmt.Errorf("%w: there is no command %q", ErrUnknown, verb)
	}
	if err := s.d.Decide(infohash, verb); err != nil {
		return nil, err
	}
	return s.d.Torrent(infohash)
}

func (s *server) verify(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.d.Verify(r.Context(), r.PathValue("infohash"))
}

// PeerList is the connected peers of a torrent.
type PeerList struct {
	Infohash string `json:"infohash"`
	Peers    []Peer `json:"peers"`
}

func (s *server) peers(_ http.ResponseWriter, r *http.Request) (any, error) {
	t, err := s.d.Torrent(r.PathValue("infohash"))
	if err != nil {
		return nil, err
	}
	peers, err := s.d.Peers(r.Context(), t.Infohash)
	return PeerList{t.Infohash, append([]Peer{}, peers...)}, err
}

func (s *server) why(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.d.Why(r.Context(), r.URL.Query().Get("path"))
}

func (s *server) path(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.d.Lookup(r.URL.Query().Get("path"))
}
