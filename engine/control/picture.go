package control

import (
	"net/http"
	"net/http/pprof"
)

// What is looked at by people who wonder: a torrent's pieces and readers, and the
// program itself.

func (s *server) pieces(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.d.Pieces(r.PathValue("infohash"))
}

// ReadingList is the places at which a torrent is read.
type ReadingList struct {
	Infohash string    `json:"infohash"`
	Readers  []Reading `json:"readers"`
}

func (s *server) readers(_ http.ResponseWriter, r *http.Request) (any, error) {
	t, err := s.d.Torrent(r.PathValue("infohash"))
	if err != nil {
		return nil, err
	}
	all, err := s.d.Readers(t.Infohash)
	return ReadingList{t.Infohash, append([]Reading{}, all...)}, err
}

// profiles are what `go tool pprof` asks. They are not of v1: Go says what they
// are. They show paths and names, and cost time: nobody gets them but who may stop
// the daemon.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
