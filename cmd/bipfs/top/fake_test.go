package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"

	"bipfs/engine/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var someTime = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// catalogue is a daemon that answers what is written in it.
type catalogue struct {
	mu      sync.Mutex
	status  control.Status
	order   []string
	all     map[string]control.Torrent
	peers   map[string][]control.Peer
	readers map[string][]control.Reading
	pieces  map[string]control.Pieces
	refuses string // to show pieces
	gone    bool
	asked   []string
}

func newCatalogue(all ...control.Torrent) *catalogue {
	c := &catalogue{all: map[string]control.Torrent{}, peers: map[string][]control.Peer{}, readers: map[string][]control.Reading{}, pieces: map[string]control.Pieces{}}
	c.status = control.Status{Mountpoint: "/mnt/torrents", Storing: true, Free: 3 << 33, Peers: 12}
	for _, t := range all {
		c.add(t)
	}
	return c
}

func (c *catalogue) add(t control.Torrent) {
	c.all[t.Infohash] = t
	c.order = append(c.order, t.Infohash)
	c.status.Torrents++
}

func (c *catalogue) remove(infohash string) {
	delete(c.all, infohash)
}

// more has bytes come and go.
func (c *catalogue) more(infohash string, down, up int64) {
	t := c.all[infohash]
	t.Downloaded, t.Uploaded = t.Downloaded+down, t.Uploaded+up
	c.all[infohash] = t
	c.status.Downloaded, c.status.Uploaded = c.status.Downloaded+down, c.status.Uploaded+up
}

// Get answers, by way of JSON as the socket does.
func (c *catalogue) Get(ctx context.Context, path string, into any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.gone {
		return errors.New("the mount does not answer: connection refused")
	}
	c.asked = append(c.asked, path)
	v, err := c.answer(path)
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return json.Unmarshal(b, into)
}

func (c *catalogue) answer(path string) (any, error) {
	switch path {
	case "status":
		return c.status, nil
	case "torrents":
		list := control.List{Torrents: []control.Torrent{}}
		for _, infohash := range c.order {
			if t, here := c.all[infohash]; here {
				list.Torrents = append(list.Torrents, t)
			}
		}
		return list, nil
	}
	parts := strings.Split(path, "/")
	t, here := c.all[parts[1]]
	if !here {
		return nil, &control.Failed{Code: http.StatusNotFound, Message: "there is no such torrent"}
	}
	switch {
	case len(parts) == 2:
		return t, nil
	case parts[2] == "peers":
		return control.PeerList{Infohash: t.Infohash, Peers: c.peers[t.Infohash]}, nil
	case parts[2] == "readers":
		return control.ReadingList{Infohash: t.Infohash, Readers: c.readers[t.Infohash]}, nil
	case parts[2] == "pieces" && c.refuses != "":
		return nil, &control.Failed{Code: http.StatusInternalServerError, Message: c.refuses}
	case parts[2] == "pieces":
		return c.pieces[t.Infohash], nil
	}
	panic(path)
}

// screen is a model before a catalogue, with a clock of its own. Nothing in it runs
// beside the test: what the model asks is answered by look.
type screen struct {
	*testing.T
	*model
	c     *catalogue
	now   time.Time
	wants *question // what has been asked, and not answered
	quit  bool
}

func newScreen(t *testing.T, c *catalogue, width, height int, torrent string) *screen {
	s := &screen{T: t, model: newModel(torrent), c: c, now: someTime}
	s.model.ask = func(q question) tea.Cmd {
		s.wants = &q
		return nil
	}
	s.Init()
	s.Update(tea.WindowSizeMsg{Width: width, Height: height})
	s.look()
	return s
}

// look answers what was asked, a second after the look before; if nothing was, it
// is the tick's turn.
func (s *screen) look() {
	s.Helper()
	s.now = s.now.Add(time.Second)
	if s.wants == nil {
		s.Update(tick(s.number))
	}
	if s.wants == nil {
		s.Fatal("the tick has asked nothing")
	}
	q := *s.wants
	s.wants = nil
	l := ask(context.Background(), s.c, q)
	l.at, l.took = s.now, time.Millisecond
	_, cmd := s.Update(l)
	s.quits(cmd)
}

// quits runs a command, if it is the end: all others would wait.
func (s *screen) quits(cmd tea.Cmd) {
	if cmd != nil && fmt.Sprintf("%p", cmd) == fmt.Sprintf("%p", tea.Quit) {
		s.quit = true
	}
}

var keyCodes = map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "home": tea.KeyHome,
	"end": tea.KeyEnd, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "left": tea.KeyLeft, "right": tea.KeyRight, "backspace": tea.KeyBackspace}

// press presses keys, one after the other.
func (s *screen) press(keys ...string) {
	s.Helper()
	for _, k := range keys {
		var msg tea.KeyPressMsg
		switch code, named := keyCodes[k]; {
		case named:
			msg.Code = code
		case strings.HasPrefix(k, "ctrl+"):
			msg.Code, msg.Mod = rune(k[5]), tea.ModCtrl
		default:
			msg.Code, msg.Text = rune(k[0]), k
		}
		if msg.String() != k {
			s.Fatalf("%s is called %s", k, msg)
		}
		_, cmd := s.Update(msg)
		s.quits(cmd)
	}
}

// chosenName is the name in the chosen row.
func (s *screen) chosenName() string {
	for _, l := range strings.Split(s.text(), "\n") {
		if rest, is := strings.CutPrefix(l, "> "); is {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}

func hash(n int) string { return fmt.Sprintf("%040x", n) }
