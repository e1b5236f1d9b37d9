package top

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"bipfs/engine/control"
)

// Bounds of the work.
const (
	// torrentsASecond is how many torrents of the list are asked for in a second on
	// the mean: a list of more is asked for less often, and what is on the screen
	// by itself meanwhile.
	torrentsASecond = 1000
	mostRows        = 100 // that are asked for by themselves
	mostPeers       = 200 // that are shown of a torrent
	// patience is how long a mount may be silent: one that is exchanged by its
	// keeper is back sooner.
	patience = 5 * time.Second
	// leastPause is between two looks, however long they take.
	leastPause = 200 * time.Millisecond
)

// row is a torrent of the list.
type row struct {
	control.Torrent
	key      string // its name, as it is sorted
	down, up meter
}

// traffic is what is measured of a peer.
type traffic struct{ down, up meter }

// model is all that is known, and what of it is looked at. bubbletea calls it in
// one goroutine.
//
//	list ──Enter──▶ torrent ──Esc, or it is removed──▶ list
type model struct {
	ask           func(question) tea.Cmd
	width, height int
	ink           ink
	still         bool // a frame that is printed: nobody presses keys

	// What the mount has said.
	status   control.Status
	down, up meter // of all torrents together
	rows     map[string]*row
	order    []*row // sorted by sorting
	known    bool   // the list has come
	rest     int    // looks until it is asked for again
	silent   error  // the latest look has failed
	heard    time.Time
	ended    error // the mount has gone

	// What is looked at.
	sorting sorting
	at      string // the chosen torrent
	index   int    // its place, or the one that it had
	from    int    // the first row on the screen
	torrent string // the one that is open, or ""
	detail  *detail
	peers   map[string]*traffic // of it
	scroll  int                 // lines of it above the screen
	note    string              // what has happened last

	// The looks.
	number int  // of the latest tick that counts
	asking bool // one is under way
	again  bool // ask once more when it is back
}

func newModel(torrent string) *model {
	return &model{rows: map[string]*row{}, torrent: torrent, peers: map[string]*traffic{}}
}

// tick is that it is time for another look.
type tick int

// Init asks for the first look.
func (m *model) Init() tea.Cmd { return m.soon() }

// Update takes a key, a size, or a look.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.follow()
		m.step(0)
		return m, nil
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	case tick:
		if int(msg) != m.number {
			return m, nil
		}
		return m, m.soon()
	case look:
		m.asking = false
		m.see(msg)
		if m.ended != nil {
			return m, tea.Quit
		}
		if m.again {
			return m, m.soon()
		}
		m.number++
		n := m.number
		return m, tea.Tick(max(leastPause, every-msg.took), func(time.Time) tea.Msg { return tick(n) })
	}
	return m, nil
}

// soon asks now, or when the look under way is back.
func (m *model) soon() tea.Cmd {
	m.again = m.asking
	if m.asking {
		return nil
	}
	m.number++
	m.asking = true
	return m.ask(m.question())
}

// question is what the screen needs.
func (m *model) question() (q question) {
	switch {
	case m.torrent != "":
		q.torrent = m.torrent
	case m.rest <= 0:
		q.list = true
	default:
		shown := m.order[min(m.from, len(m.order)):]
		for _, r := range shown[:min(len(shown), m.body(), mostRows)] {
			q.rows = append(q.rows, r.Infohash)
		}
	}
	return q
}

// see takes a look.
func (m *model) see(l look) {
	if l.err != nil {
		m.silent = l.err
		if m.heard.IsZero() {
			m.heard = l.at.Add(-l.took)
		}
		if l.at.Sub(m.heard) >= patience {
			m.ended = fmt.Errorf("the mount %s has gone: %w", plain(m.status.Mountpoint), l.err)
		}
		return
	}
	m.silent, m.heard, m.status = nil, l.at, l.status
	m.down.see(l.at, l.status.Downloaded)
	m.up.see(l.at, l.status.Uploaded)
	switch {
	case l.listed:
		m.list(l)
	default:
		m.rest--
	}
	for _, t := range l.rows {
		m.row(l.at, t)
	}
	switch {
	case l.of == "" || l.of != m.torrent: // it has been left
	case l.gone:
		m.note = "the torrent has been removed"
		m.close()
	default:
		m.open(l)
	}
}

// list takes all torrents. Those that it does not name have been removed.
func (m *model) list(l look) {
	was := m.rows
	m.rows = make(map[string]*row, len(l.list))
	m.order = m.order[:0]
	for _, t := range l.list {
		if r := was[t.Infohash]; r != nil {
			m.rows[t.Infohash] = r
		}
		m.order = append(m.order, m.row(l.at, t))
	}
	m.known = true
	m.rest = len(l.list) / torrentsASecond
	m.sort()
}

// row takes one torrent. What is shown as its name is its path in the mount.
func (m *model) row(at time.Time, t control.Torrent) *row {
	t.Name = path.Join(t.Folder, t.Name)
	r := m.rows[t.Infohash]
	if r == nil {
		r = &row{}
		m.rows[t.Infohash] = r
	}
	if r.key == "" || r.Name != t.Name {
		r.key = strings.ToLower(t.Name)
	}
	r.Torrent = t
	r.down.see(at, t.Downloaded)
	r.up.see(at, t.Uploaded)
	return r
}

// open takes the torrent that is open.
func (m *model) open(l look) {
	m.detail = l.detail
	m.row(l.at, l.detail.Torrent)
	was := m.peers
	m.peers = make(map[string]*traffic, len(l.detail.peers))
	for _, p := range l.detail.peers {
		key := peerKey(p)
		t := was[key]
		if t == nil {
			t = &traffic{}
		}
		t.down.see(l.at, p.Downloaded)
		t.up.see(l.at, p.Uploaded)
		m.peers[key] = t
	}
	slices.SortStableFunc(m.detail.peers, func(a, b control.Peer) int {
		return cmp.Or(cmp.Compare(m.peers[peerKey(b)].down.rate(), m.peers[peerKey(a)].down.rate()), cmp.Compare(b.Downloaded, a.Downloaded), cmp.Compare(a.Address, b.Address))
	})
}

// close goes back to the list.
func (m *model) close() { m.torrent, m.detail, m.scroll = "", nil, 0 }
