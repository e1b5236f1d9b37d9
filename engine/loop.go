package engine

import (
	"context"
	"log/slog"
	"time"

	"bipfs/diskcache"
	"bipfs/engine/metainfo"
	"bipfs/selection"
	"bipfs/wire"
	"bipfs/wire/peer"
)

// A torrent is one loop. It asks the pure machine what to do, and does it:
//
//	readers ──wants──▶ ┌────────────┐ ──Send──▶ outboxes of peers
//	peers ───inbox───▶ │ loop: Step │ ──Load──▶ disk cache ──▶ outboxes
//	disk ────bell────▶ │   Ready    │ ──Open, Close──▶ disk cache
//	timer ───Next────▶ └────────────┘ ──Drop──▶ connections
//
// Any goroutine may wait for the loop; the loop waits for nobody. Nothing it
// does can block: the machine counts slots and room.
type loop struct {
	t   *Torrent
	log *slog.Logger
	m   *selection.Machine

	inbox chan any             // selection.Event of a peer, or one of the events below
	wants chan selection.Event // Want and Unwant of readers, ahead of the inbox
	done  chan struct{}        // closed when the loop has ended

	disk     lateDisk
	bell     <-chan struct{}  // of the disk cache; nil while there is none
	news     []diskcache.News // heard and not told to the machine yet
	barrier  int64            // blocks that had been swapped in when it was heard
	stored   int64            // blocks that the machine knows of
	trackers []*announcing
	web      webSeeds
	told     map[string]bool // infohashes and URLs of trackers that are announced to

	links      map[wire.Peer]*link
	meta       *assembly         // nil once the metadata is here
	early      []selection.Event // wants that came before the geometry
	wanting    map[wire.Reader]selection.Want
	files      *completion // nil before the geometry
	pins       pinning
	pacing     pacing
	paused     bool           // the machine is told of no wants, and uploads nothing
	layers     *layering      // nil unless the metadata is here and its piece layers are not
	leaves     *leafing       // nil unless blocks may be verified one by one
	telling    bool           // leaves are being worked out for a peer
	rests      []rest         // pieces that are completed after a read, the oldest first
	resolved   bool           // the metadata is whole: its layers are asked for, or it is being stored
	unstored   *metainfo.Info // metadata that could not be stored
	again      time.Time      // when that is tried again
	refused    string         // why it could not be stored, as logged last
	exchangeAt time.Time      // when a peer is to be told of others; zero: never
	moves      moves          // of peers, to tell the others
	searching  bool           // looking for peers
	fetches    bool           // for as many as it takes to fetch
	spent      bool           // it has given enough: uploads do not keep it awake
	leaveOpen  func()         // ends the search in the DHT and by LSD; nil before it begins
	ending     bool           // going dormant: connections are being closed
	lastUse    time.Time      // when something was last wanted or uploaded
	complete   bool           // every piece is here
	judged     time.Time      // when the peers were last judged useful or not
	unjudged   bool           // something has happened since
	lacks      bool           // a read waits, and none was useful then
	ctx        context.Context
	cancel     context.CancelFunc
}

// Events of the loop itself, beside the machine's.
type (
	// joined is a new connected peer.
	joined struct{ *link }
	// left is the end of one; its goroutines have ended.
	left struct{ *link }
	// extended is a message of BEP 10.
	extended struct {
		peer    wire.Peer
		id      uint8
		payload []byte
	}
	// metadata is the checked info dictionary; err is why it could not be
	// stored.
	metadata struct {
		info *metainfo.Info
		err  error
	}
	// unusable is that the metadata is right and can never be shown.
	unusable struct{ err error }
	// newTrackers are tiers that a torrent was added again with; none: those that
	// it has are to be asked as a private torrent does.
	newTrackers struct{ tiers [][]string }
)

func newLoop(t *Torrent) *loop {
	l := &loop{
		t: t, log: t.c.log.With("torrent", t.id),
		inbox: make(chan any, inboxEvents), wants: make(chan selection.Event, wantEvents),
		done: make(chan struct{}), links: map[wire.Peer]*link{}, told: map[string]bool{}, wanting: map[wire.Reader]selection.Want{},
		lastUse: time.Now(),
	}
	l.paused = t.Paused()
	l.m = selection.New(selection.Config{Seed: uint64(t.slot)<<32 | uint64(t.c.me.key), Upload: l.uploads()})
	l.ctx, l.cancel = context.WithCancel(t.c.ctx)
	return l
}

// put hands an event to the loop, waiting while it is busy.
func (l *loop) put(ctx context.Context, e any) error {
	select {
	case l.inbox <- e:
		return nil
	case <-l.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// want is put for the lane of readers.
func (l *loop) want(e selection.Event) error {
	select {
	case l.wants <- e:
		return nil
	case <-l.done:
		return ErrClosed
	}
}

// run is the loop, from waking up to going dormant or closing.
func (l *loop) run() {
	defer l.t.settle() // which waits for the disk: nobody waits for the loop any more
	defer close(l.done)
	defer l.cancel()
	defer l.t.setUseful(false)
	l.start()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case e := <-l.wants:
			l.wanted(e)
		case e := <-l.inbox:
			l.event(e)
		case <-l.bell:
		case <-timer.C:
			l.step(selection.Wake{})
			l.askMetadata()
			l.askLayers()
			l.storeAgain()
			l.tellPeers()
		case <-l.ctx.Done():
			l.shut()
			return
		}
		l.batch()
		l.hear()
		l.judge()
		l.strive()
		l.pace()
		if l.sleep() {
			return
		}
		l.wind(timer)
	}
}

// start gives the machine what is known, and begins the search for peers.
func (l *loop) start() {
	if info := l.t.Info(); info != nil {
		l.begin(info)
	} else {
		l.meta = newAssembly(l.t.id)
		if bare := l.t.bare; bare != nil {
			l.wantLayers(bare)
		}
	}
	if l.meta != nil || l.t.sought() {
		l.search()
	}
}

// begin gives the machine the geometry: from here on it can fetch and serve.
// The torrent has been opened.
func (l *loop) begin(info *metainfo.Info) {
	store := l.t.store.Load()
	l.meta, l.layers = nil, nil
	l.disk.set(store)
	l.bell = store.Bell()
	have := store.Listen()
	complete := have.Count() == info.Pieces()
	if complete {
		l.t.finished.Store(true)
	}
	if info.HasV2() {
		l.leaves = newLeafing(info)
	}
	l.files = newCompletion(info, have)
	l.step(selection.Geometry{Geometry: info.Geometry, Have: have, Leaves: info.HasV2()})
	l.setComplete(complete)
	for _, k := range l.links {
		l.allow(k)
	}
	l.completeLayers(info)
	early := l.early
	l.early = nil
	for _, e := range early {
		l.wanted(e)
	}
}

// batch takes in what else has come, so that one burst is one round.
func (l *loop) batch() {
	for range batchEvents {
		select {
		case e := <-l.wants:
			l.wanted(e)
			continue
		default:
		}
		select {
		case e := <-l.inbox:
			l.event(e)
		default:
			return
		}
	}
}

// event takes one event of the inbox.
func (l *loop) event(e any) {
	switch e := e.(type) {
	case selection.Event:
		switch e := e.(type) {
		case selection.Written:
			l.wrote(e)
		case selection.Stored:
			l.storedBlock(e)
			return
		}
		l.step(e)
	case arrivals:
		for _, a := range e.all[:e.n] {
			l.storedBlock(selection.Stored{Peer: e.peer, Block: a.Block, Lease: a.Lease})
		}
	case joined:
		l.join(e.link)
	case left:
		l.leave(e.link)
	case extended:
		l.extension(e)
	case extendedWritten:
		l.extendedWrote(e)
	case metadata:
		l.gotMetadata(e)
	case unusable:
		l.giveUp(e.err)
	case woken:
		l.rouse()
	case newTrackers:
		l.learnTrackers(e.tiers)
	case otherTracker:
		l.leaveSwarm()
	case seedingChanged:
		l.seed(e)
	case newWebSeeds:
		l.startWebSeeds()
	case webSeedEnded:
		l.endedWebSeed(e.webSeed)
	case unreachable:
		l.unreached(e.addr)
	case layersWanted:
		l.wantLayers(e.info)
	case hashMessage:
		l.hashes(e)
	case leavesTold:
		l.toldLeaves(e)
	case leavesRested:
		l.restedLeaves()
	case order:
		e(l)
	}
}

// step gives the machine one event and does what it then says.
func (l *loop) step(e selection.Event) {
	l.m.Step(l.t.c.clock.now(), e)
	for _, c := range l.m.Ready() {
		l.obey(c)
	}
}

// obey does one command. None of it waits.
func (l *loop) obey(c selection.Command) {
	store := l.disk.get()
	switch c := c.(type) {
	case selection.Send:
		if k := l.links[c.Peer]; k != nil {
			l.askLeaves(k, c.Message)
			k.conn.Send(peer.Outgoing{Message: c.Message, Payload: c.Payload})
		}
	case selection.Load:
		l.load(store, c)
	case selection.Open:
		l.lastUse = time.Now()
		store.Open(c.Piece, c.Deadline)
	case selection.Only:
		store.Only(c.Piece, c.Peer)
	case selection.Reprioritise:
		store.Reprioritise(c.Piece, c.Deadline)
	case selection.Close:
		l.closed(c.Piece)
		store.Close(c.Piece)
	case selection.Drop:
		l.drop(c)
	}
}

// hear takes the news of the disk cache. A verdict is often quicker than the
// peers' own word of the last blocks. The machine would take those for requests
// that nobody will answer any more, and cancel them: so the news waits until the
// word of every block that was swapped in before it is here.
func (l *loop) hear() {
	store := l.disk.get()
	if store == nil {
		return
	}
	for {
		if len(l.news) == 0 {
			l.news = store.News(l.news)
			l.barrier = l.disk.swaps.Load()
		}
		if len(l.news) == 0 {
			return
		}
		for i, n := range l.news {
			if n.Kind.IsOfBlocks() && l.stored < min(l.barrier, l.disk.swaps.Load()) {
				l.news = l.news[i:]
				return
			}
			l.tell(n)
		}
		l.news = l.news[:0]
	}
}

// tell gives the machine one piece of news.
func (l *loop) tell(n diskcache.News) {
	switch n.Kind {
	case diskcache.Proven, diskcache.Spoiled:
		l.leafNews(n)
	case diskcache.Granted:
		l.step(selection.Granted{Piece: n.Piece, Lease: n.Lease, Room: n.N})
	case diskcache.Room:
		l.step(selection.Room{Lease: n.Lease, N: n.N})
	case diskcache.Revoke:
		l.closed(n.Piece)
		l.step(selection.Revoke{Lease: n.Lease})
	case diskcache.Verified:
		l.verified(n)
	case diskcache.Evicted:
		l.evicted(n.Piece)
	}
}

// wind sets the timer to when the machine or the loop wants to be woken.
func (l *loop) wind(timer *time.Timer) {
	wait := dormantAfter // while it is ending, the peers' leaving wakes it
	if !l.ending {
		wait = l.sleepy()
	}
	if at, ok := l.m.Next(); ok {
		wait = min(wait, at-l.t.c.clock.now())
	}
	if l.unjudged {
		wait = min(wait, time.Until(l.judged.Add(judgeEvery)))
	}
	if l.lacks {
		wait = min(wait, time.Until(l.judged.Add(lackEvery)))
	}
	wait = min(wait, l.pinWait(), l.paceWait())
	if !l.exchangeAt.IsZero() {
		wait = min(wait, time.Until(l.exchangeAt))
	}
	switch now := time.Now(); {
	case l.unstored != nil:
		wait = min(wait, l.again.Sub(now))
	case l.meta != nil && !l.resolved:
		wait = min(wait, l.meta.next(now))
	case l.layers != nil:
		wait = min(wait, l.layers.wait(now))
	}
	timer.Reset(max(wait, 0))
}
