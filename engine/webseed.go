package engine

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"bipfs/engine/control"
	"bipfs/engine/discovery"
	"bipfs/selection"
	"bipfs/wire"
	"bipfs/wire/peer"
	"bipfs/wire/webseed"
)

// Web seeds (BEP 19). While the torrent looks for peers, each URL has lanes: a
// lane is one connection after another, with pauses when it fails.
//
//	search ──▶ webSeed ──▶ lane: pause ─▶ place ─▶ connection ─┐
//	              │          ▲                                 │ idle, failed
//	              │          └─────────────────────────────────┘
//	              └──▶ over: dormant; no such file; bad data ──▶ the next URL
//
// A lane is nothing on the network until the machine asks it for a block.

// webSeeds is what the loop keeps of them.
type webSeeds struct {
	content func() *webseed.Content // made when first asked for, not by the loop: there may be 500,000 files
	all     map[string]*webSeed     // by URL, those that are over as well
	alive   int
	ctx     context.Context // of all lanes
	stop    context.CancelFunc
}

// webSeed is one URL that the torrent names.
type webSeed struct {
	url     *url.URL
	content func() *webseed.Content
	// id is whom a ban is for.
	id  netip.Addr
	end context.CancelCauseFunc

	mu    sync.Mutex
	pause time.Duration // after the last failure
	until time.Time     // when it is over
}

// webSeedEnded is that every lane of one has ended.
type webSeedEnded struct{ *webSeed }

// newWebSeeds is that the torrent knows more of them.
type newWebSeeds struct{}

// String is the URL as a log may show it: a query may be a secret.
func (s *webSeed) String() string { return discovery.Shown(s.url.String()) }

// startWebSeeds starts lanes to those URLs that have none, as far as there may
// be more.
func (l *loop) startWebSeeds() {
	w, info := &l.web, l.t.Info()
	if !l.searching || l.meta != nil || info.Pieces() == 0 {
		return
	}
	for i, raw := range l.t.webURLs() {
		if w.alive == mostWebSeeds {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || w.all[raw] != nil || l.t.barred(raw) {
			continue
		}
		if w.all == nil {
			w.all = map[string]*webSeed{}
			w.ctx, w.stop = context.WithCancel(l.ctx)
		}
		if w.content == nil {
			w.content = sync.OnceValue(func() *webseed.Content { return contentOf(info) })
		}
		s := &webSeed{url: u, content: w.content, id: webSeedID(i)}
		ctx, end := context.WithCancelCause(w.ctx)
		s.end = end
		w.all[raw] = s
		w.alive++
		l.t.c.spawn(func() {
			defer end(nil)
			var lanes sync.WaitGroup
			for range webSeedLanes {
				lanes.Go(func() { l.lane(ctx, s) })
			}
			lanes.Wait()
			l.put(l.ctx, webSeedEnded{s})
		})
	}
}

// stopWebSeeds ends every lane: the torrent is going dormant.
func (l *loop) stopWebSeeds() {
	if l.web.all != nil {
		l.web.stop()
		l.web = webSeeds{}
	}
}

// endedWebSeed lets the next URL take the place of one.
func (l *loop) endedWebSeed(s *webSeed) {
	for _, other := range l.web.all {
		if other == s {
			l.web.alive--
			l.startWebSeeds()
			return
		}
	}
}

// lane asks a web seed through one connection after another.
func (l *loop) lane(ctx context.Context, s *webSeed) {
	c := l.t.c
	client := c.net.HTTPClient(ForWebSeed)
	defer client.CloseIdleConnections()
	for s.rested(ctx) {
		select {
		case c.lanes <- struct{}{}:
		case <-ctx.Done():
			return
		}
		brought, err := l.hostWebSeed(ctx, s, client)
		<-c.lanes
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, webseed.ErrIdle):
		case hopeless(err):
			l.log.Warn("a web seed is not asked again", "url", s.String(), "err", s.plain(err))
			s.end(err)
			return
		default:
			pause := s.failed(brought, err, c.cfg.webSeedPause)
			l.log.Info("a web seed failed", "url", s.String(), "err", s.plain(err), "again", pause)
		}
	}
}

// hopeless reports whether a web seed that failed so will do so again.
func hopeless(err error) bool {
	for _, refused := range []error{ErrLocalAddress, ErrScheme, ErrNotASCII, ErrRedirect} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return webseed.Permanent(err)
}

// plain is err without the URL, which may hold a secret.
func (s *webSeed) plain(err error) error { return discovery.ShownError(err, s.url.String()) }

// failed notes that a connection failed, and returns the pause. The pause
// doubles with each failure, but not for what the other lane has met as well,
// and begins anew with a connection that brought something.
func (s *webSeed) failed(brought bool, err error, first time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case brought:
		s.pause = first
	case now.Before(s.until):
	default:
		s.pause = min(max(2*s.pause, first), longestWebSeedPause)
	}
	pause := s.pause
	var status *webseed.StatusError
	if errors.As(err, &status) {
		pause = max(pause, status.RetryAfter)
	}
	if until := now.Add(pause); until.After(s.until) {
		s.until = until
	}
	return pause
}

// rested waits for the end of the pause; false is the end of ctx.
func (s *webSeed) rested(ctx context.Context) bool {
	for {
		s.mu.Lock()
		wait := time.Until(s.until)
		s.mu.Unlock()
		if wait <= 0 {
			return ctx.Err() == nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}

// hostWebSeed is the life of one connection; brought: a block came.
func (l *loop) hostWebSeed(ctx context.Context, s *webSeed, client *http.Client) (brought bool, err error) {
	k := &link{id: wire.Peer(l.t.c.peers.Add(1)), loop: l, seed: s}
	conn := webseed.New(webseed.Config{
		Peer: k.id, URL: s.url, Content: s.content(), Client: client,
		Disk: &l.disk, Torrent: webLink{k}, Slots: messageSlots,
	})
	k.conn = webConn{conn}
	if err := l.put(ctx, joined{k}); err != nil {
		return false, err
	}
	l.t.met(k.id, k.conn)
	err = conn.Run(ctx)
	l.t.parted(k.id)
	l.put(context.Background(), left{k})
	if errors.Is(err, webseed.ErrPanic) {
		l.log.Error("a web seed ended by a bug", "url", s.String(), "err", err)
	}
	downloaded, _ := conn.Counters()
	return downloaded >= wire.BlockSize, err
}

// joinWebSeed makes a connection to a web seed known to the machine.
func (l *loop) joinWebSeed(k *link) {
	l.step(selection.PeerConnect{Peer: k.id, Slots: messageSlots, Kind: selection.Ranges, Fast: true, Addr: k.seed.id})
	l.step(selection.Limits{Peer: k.id, Reqq: requestQueue})
}

// dropWebSeed obeys the machine if c is about a web seed. A web seed is dropped
// for bad data only: all else that it says to the machine is ours. The torrent
// does not ask it again.
func (l *loop) dropWebSeed(c selection.Drop) bool {
	if c.Addr.Zone() == "" {
		return false
	}
	for i, raw := range l.t.webURLs() {
		if webSeedID(i) != c.Addr {
			continue
		}
		l.t.bar(raw)
		if s := l.web.all[raw]; s != nil {
			l.log.Warn("a web seed is banned", "url", s.String(), "reason", c.Reason)
			s.end(errBanned)
			l.t.happens(control.Event{Event: evBanned, Peer: discovery.Shown(raw), Error: c.Reason})
		}
		return true
	}
	return false
}

// webConn is a connection to a web seed as the loop uses it.
type webConn struct{ *webseed.Conn }

// Send hands over a message.
func (w webConn) Send(o peer.Outgoing) { w.Conn.Send(o.Message) }

// Counters are those of a peer that is sent nothing.
func (w webConn) Counters() peer.Counters {
	downloaded, wasted := w.Conn.Counters()
	return peer.Counters{Downloaded: downloaded, DownloadedPayload: downloaded, Wasted: wasted}
}

// webLink is the loop as a web seed sees it; Stored is the link's.
type webLink struct{ *link }

// Received hands a message to the loop.
func (k webLink) Received(ctx context.Context, p wire.Peer, m wire.Message) error {
	return k.loop.put(ctx, selection.Received{Peer: p, Message: m})
}

// Written gives slots back to the loop.
func (k webLink) Written(ctx context.Context, p wire.Peer, n int) error {
	return k.loop.put(ctx, selection.Written{Peer: p, Messages: n})
}
