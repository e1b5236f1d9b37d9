package engine

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"bipfs/engine/discovery"
	"bipfs/handshake"
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
	trackers := discovery.NewTrackers(discovery.Config{
		Tiers: fresh, Ways: t.c.ways,
		State: func() discovery.Announce { return t.announce(hash) }, Log: l.log, Seed: uint64(t.c.key) ^ uint64(t.slot),
		Peers: func(addrs []netip.AddrPort) { t.c.hand.Offer(hash, handshake.Tracker, addrs...) },
		Us: func(tracker, us netip.Addr) {
			if t.c.dht != nil {
				t.c.dht.Us(tracker, us)
			}
		},
	})
	l.trackers = append(l.trackers, trackers)
	t.c.spawn(func() {
		trackers.Run(l.ctx)
		ctx, cancel := context.WithTimeout(t.c.farewell, stoppedAnnounce)
		defer cancel()
		trackers.Stop(ctx)
	})
}

// announce is what trackers are told.
func (t *Torrent) announce(hash wire.Digest) discovery.Announce {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := discovery.Announce{
		Infohash: hash, PeerID: t.c.peerID, Port: max(t.c.outerPort(), 1), Key: t.c.key,
		Downloaded: t.downloaded.Load(), Uploaded: t.uploaded.Load(),
		Left: 1, // unknown, but not nothing, while there is no metadata
	}
	for _, conn := range t.live {
		n := conn.Counters()
		a.Downloaded += n.DownloadedPayload
		a.Uploaded += n.UploadedPayload
	}
	if t.Info() != nil {
		a.Left = t.missing()
	}
	return a
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
