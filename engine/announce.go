package engine

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"bipfs/engine/control"
	"bipfs/engine/discovery"
	"bipfs/handshake"
	"bipfs/selection"
	"bipfs/wire"
)

// What trackers are told of a torrent, and who tells them.

// trackerWays are the ways to trackers: each family of addresses is one, so
// that a tracker with both learns both of ours (BEP 7). A proxy, which has its
// own addresses, is one way.
func trackerWays(n *Network) (ways []discovery.Way) {
	families := []Family{IPv4, IPv6}
	if n.Proxied() {
		families = families[:1]
	}
	for _, f := range families {
		ways = append(ways, discovery.Way{
			HTTP: discovery.HTTP{Client: n.TrackerClient(f)},
			UDP: discovery.NewUDP(func(ctx context.Context, tracker *url.URL) (net.Conn, error) {
				return n.DialTracker(ctx, f, tracker)
			}),
		})
	}
	return ways
}

// announceTo starts announcing to trackers, but for those that are told
// already.
func (l *loop) announceTo(tiers [][]string) {
	for _, hash := range l.t.infohashes() {
		l.announceAs(hash, tiers)
	}
}

// announceAs is announceTo for one infohash. One goroutine is the trackers' whole
// life: when the loop's context ends it says `stopped`, to those that were told
// `started`.
func (l *loop) announceAs(hash wire.Digest, tiers [][]string) {
	t := l.t
	var fresh [][]string
	for _, tier := range tiers {
		tier = slices.DeleteFunc(slices.Clone(tier), func(u string) bool { return l.told[string(hash[:])+u] })
		for _, u := range tier {
			l.told[string(hash[:])+u] = true
		}
		if len(tier) > 0 {
			fresh = append(fresh, tier)
		}
	}
	if len(fresh) == 0 {
		return
	}
	cfg := discovery.Config{
		Tiers: fresh, Ways: t.c.ways, Least: t.c.cfg.announceEvery,
		State: func() discovery.Announce { return t.announce(hash) }, Log: l.log, Seed: uint64(t.identity().key) ^ uint64(t.slot),
		Peers: func(addrs []netip.AddrPort) { t.c.hand.Offer(hash, handshake.Tracker, addrs...) },
		Us: func(tracker, us netip.Addr) {
			if t.c.dht != nil {
				t.c.dht.Us(tracker, us)
			}
		},
		Seeders: t.seenSeeders,
		News: func(tracker, text string) {
			t.happens(control.Event{Event: evTrackerFailed, Tracker: tracker, Error: text})
		},
		Private: l.private(),
		Switched: func() {
			t.c.hand.Withdraw(t.hash, handshake.Tracker) // now: those of the other one are offered next
			l.put(l.ctx, otherTracker{})
		},
	}
	farewell := t.c.farewell
	if t.mayBePrivate() {
		cfg.Ledger = ledger{t}
		t.c.hand.Offer(t.hash, handshake.Tracker, t.keptPeers()...)
	}
	if cfg.Private {
		farewell = t.c.lastWord
	}
	ctx, end := context.WithCancel(l.ctx)
	a := &announcing{discovery.NewTrackers(cfg), end, make(chan struct{})}
	l.trackers = append(l.trackers, a)
	if cfg.Private && t.owes() {
		a.Completed()
	}
	t.c.spawn(func() {
		defer close(a.ended)
		defer end()
		a.Run(ctx)
		ctx, cancel := context.WithTimeout(farewell, stoppedAnnounce)
		defer cancel()
		a.Stop(ctx)
	})
}

// seenSeeders notes how many a tracker says have all of t.
func (t *Torrent) seenSeeders(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Seeders = n
}

// owes reports whether the end of the download is still to be told.
func (t *Torrent) owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record.Owed
}

// announceEnd announces, once in the torrent's life, that every piece is here: a
// piece may go and come back. A private tracker that cannot be told now is told
// by another process.
func (l *loop) announceEnd() {
	if l.t.finished.Swap(true) {
		return
	}
	if l.private() {
		ledger{l.t}.Owe(true)
	}
	for _, t := range l.trackers {
		t.Completed()
	}
}

// announceSooner has trackers asked for peers before they want to be: a read waits, and
// who has what it needs may have come since, or have another address.
func (l *loop) announceSooner() {
	for _, a := range l.trackers {
		a.More()
	}
}

// reading reports whether a read waits.
func (l *loop) reading() bool {
	for _, w := range l.wanting {
		if w.Class == selection.Now {
			return true
		}
	}
	return false
}

// announcing is trackers that are being announced to.
type announcing struct {
	*discovery.Trackers
	end   context.CancelFunc
	ended chan struct{} // closed when `stopped` is said
}

// announcePrivately has the trackers that were all asked, as those of a torrent
// that nobody knew to be private, be told `stopped`, and asked one at a time
// from then on.
func (l *loop) announcePrivately() {
	before := l.trackers
	l.trackers = nil
	clear(l.told)
	l.t.c.spawn(func() {
		for _, a := range before {
			a.end()
			select {
			case <-a.ended:
			case <-l.ctx.Done():
			}
		}
		l.put(l.ctx, newTrackers{})
	})
}

// learnTrackers announces to trackers that are new. A private torrent has one
// list, which is told one at a time.
func (l *loop) learnTrackers(tiers [][]string) {
	if l.private() {
		if len(l.trackers) > 0 || !l.searching {
			return
		}
		l.t.mu.Lock()
		tiers = l.t.trackers
		l.t.mu.Unlock()
	}
	l.announceTo(tiers)
}

// announce is what trackers are told.
func (t *Torrent) announce(hash wire.Digest) discovery.Announce {
	me := t.identity()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := discovery.Announce{
		Infohash: hash, PeerID: me.peerID, Port: max(t.c.outerPort(), 1), Key: me.key,
		Left: 1, // unknown, but not nothing, while there is no metadata
	}
	a.Downloaded, a.Uploaded = t.moved()
	a.Downloaded -= t.before.downloaded
	a.Uploaded -= t.before.uploaded
	if t.Info() != nil {
		a.Left = t.missing()
	}
	return a
}

// moved is how many payload bytes have come and gone since the client started.
// The lock is held.
func (t *Torrent) moved() (downloaded, uploaded int64) {
	downloaded, uploaded = t.ended.downloaded, t.ended.uploaded
	for _, conn := range t.live {
		n := conn.Counters()
		downloaded += n.DownloadedPayload
		uploaded += n.UploadedPayload
	}
	return downloaded, uploaded
}

// whole reports whether all of t is here. It must have been opened.
func (t *Torrent) whole() bool { return t.store.Load().Have().Count() == t.Info().Pieces() }

// missing is how many bytes of t are not here. The metadata must be.
func (t *Torrent) missing() int64 {
	info, store := t.Info(), t.store.Load()
	have := wire.NewBitfield(info.Pieces())
	if store != nil {
		have = store.Have()
	}
	// Every piece is as long as the next is away, but for the tails and the last.
	left := int64(info.Pieces()-have.Count()) * info.PieceLength
	last := wire.Piece(info.Pieces() - 1)
	for _, tail := range info.Tails {
		if tail.Piece != last && !have.Has(tail.Piece) {
			left -= info.PieceLength - int64(tail.Length)
		}
	}
	if info.Valid(last) && !have.Has(last) {
		left -= info.PieceLength - int64(info.PieceSize(last))
	}
	return left
}
