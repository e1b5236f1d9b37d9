package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bipfs/engine/control"
)

// What a page shows, as JSON, for the script that keeps it up to date. It is the
// page's own: programs ask the control socket.

// Bounds of what one page shows.
const (
	torrentsAPage = 200
	entriesAPage  = 500
	mostPeers     = 100
	mostCells     = 1600 // of a piece map
)

// list is a page of the list of torrents.
type list struct {
	Status   control.Status    `json:"status"`
	Torrents []control.Torrent `json:"torrents"`
	From     int               `json:"from"`
	All      int               `json:"all"`
}

// part is the page of the list that a request asks for.
func (s *server) part(r *http.Request) list {
	l := list{Status: s.Status(), Torrents: []control.Torrent{}}
	l.From = number(r, "from", l.Status.Torrents)
	torrents, all := s.Some(l.From, torrentsAPage)
	l.Torrents, l.All = append(l.Torrents, torrents...), all
	return l
}

// number is a parameter that is a number up to most; 0 if it is none.
func number(r *http.Request, name string, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return 0
	}
	return min(n, most)
}

func (s *server) liveList(w http.ResponseWriter, r *http.Request) { s.tell(w, s.part(r)) }

// view is a torrent as its page shows it.
type view struct {
	Torrent control.Torrent   `json:"torrent"`
	Peers   []control.Peer    `json:"peers"`
	Readers []control.Reading `json:"readers"`
	Map     pieceMap          `json:"map"`
}

// look is how a torrent looks now.
func (s *server) look(r *http.Request, infohash string) (v view, err error) {
	if v.Torrent, err = s.Torrent(infohash); err != nil {
		return v, err
	}
	if v.Peers, err = s.Peers(r.Context(), v.Torrent.Infohash); err != nil {
		return v, err
	}
	slices.SortStableFunc(v.Peers, func(a, b control.Peer) int { return int(min(1, max(-1, b.Downloaded-a.Downloaded))) })
	v.Peers = append([]control.Peer{}, v.Peers[:min(len(v.Peers), mostPeers)]...)
	if v.Readers, err = s.Readers(v.Torrent.Infohash); err != nil {
		return v, err
	}
	pieces, err := s.Pieces(v.Torrent.Infohash)
	if err != nil { // the store cannot be opened: the rest is of use still
		v.Torrent.Error = err.Error()
	}
	v.Map = newPieceMap(pieces, v.Readers, mostCells)
	return v, nil
}

func (s *server) liveTorrent(w http.ResponseWriter, r *http.Request) {
	v, err := s.look(r, r.PathValue("infohash"))
	if err != nil {
		s.fail(w, err)
		return
	}
	s.tell(w, v)
}

// tell answers with JSON.
func (s *server) tell(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // who asked may have gone
}

// pieceMap is the pieces of a torrent as cells, in order: one for each piece, or
// for several where there are more pieces than cells.
type pieceMap struct {
	Cells int `json:"cells"`
	// Here is how much of each cell is here, as a digit from 0, nothing, to 9, all:
	// what is not quite here is no 9.
	Here     string `json:"here"`
	Fetching []int  `json:"fetching"` // cells of which pieces are being put together
	Places   []span `json:"places"`   // where it is read, in the order of the readers
}

// span is the cells from where somebody reads to where more is fetched ahead.
type span struct {
	At    int `json:"at"`
	Until int `json:"until"`
}

func newPieceMap(p control.Pieces, readers []control.Reading, most int) pieceMap {
	cells := min(p.Pieces, most)
	m := pieceMap{Cells: cells, Fetching: []int{}, Places: []span{}}
	if cells == 0 {
		return m
	}
	digits := make([]byte, cells)
	for c := range cells {
		first, next := m.first(c, p.Pieces), m.first(c+1, p.Pieces)
		here := 0
		for n := first; n < next; n++ {
			if p.Here[n/8]&(0x80>>(n%8)) != 0 {
				here++
			}
		}
		digits[c] = '0' + byte(here*9/(next-first))
	}
	m.Here = string(digits)
	for _, n := range p.Fetching {
		if c := m.cell(n, p.Pieces); len(m.Fetching) == 0 || m.Fetching[len(m.Fetching)-1] != c {
			m.Fetching = append(m.Fetching, c)
		}
	}
	for _, o := range readers {
		m.Places = append(m.Places, span{m.cell(min(o.Piece, p.Pieces-1), p.Pieces), m.cell(min(o.Until, p.Pieces-1), p.Pieces)})
	}
	return m
}

// first is the first piece of a cell.
func (m pieceMap) first(cell, pieces int) int {
	return int(int64(cell) * int64(pieces) / int64(m.Cells))
}

// cell is the one that a piece is in: the last that begins with it or before.
func (m pieceMap) cell(piece, pieces int) int {
	return int(((int64(piece)+1)*int64(m.Cells) - 1) / int64(pieces))
}
