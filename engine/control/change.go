package control

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// What is asked of paths and of rates.

func (s *server) pin(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.d.Pin(r.URL.Query().Get("path"))
}

func (s *server) unpin(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.d.Unpin(r.URL.Query().Get("path"))
}

func (s *server) limit(w http.ResponseWriter, r *http.Request) (any, error) {
	l, err := readLimits(w, r)
	if err == nil {
		err = s.d.Limit("", l)
	}
	return s.d.Status(), err
}

func (s *server) limitTorrent(w http.ResponseWriter, r *http.Request) (any, error) {
	l, err := readLimits(w, r)
	if err == nil && l.Background != nil {
		err = fmt.Errorf("%w: what nobody waits for is limited of all torrents together", ErrBad)
	}
	if err != nil {
		return nil, err
	}
	infohash := r.PathValue("infohash")
	if err := s.d.Limit(infohash, l); err != nil {
		return nil, err
	}
	return s.d.Torrent(infohash)
}

func readLimits(w http.ResponseWriter, r *http.Request) (l Limits, err error) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime))
	err = readJSON(w, r, &l)
	if err == nil && l == (Limits{}) {
		err = errors.New("there is no limit")
	}
	if err != nil {
		_ = c.SetReadDeadline(time.Now().Add(restTime)) // net/http waits for what is left of it
		return l, fmt.Errorf("%w: the body cannot be used: %w", ErrBad, err)
	}
	_ = c.SetReadDeadline(time.Time{})
	return l, nil
}
