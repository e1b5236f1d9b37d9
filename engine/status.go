package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"

	"bipfs/diskcache"
	"bipfs/engine/control"
	"bipfs/engine/discovery"
	"bipfs/selection"
	"bipfs/wire"
)

// What is told of the client and its torrents to who controls it.

// ID is t's infohash, as it is written: 40 hexadecimal digits, or 64 of one that
// was added as v2 only.
func (t *Torrent) ID() string { return t.id.String() }

// ByInfohash is the torrent with an infohash in hexadecimal digits, or nil.
func (c *Client) ByInfohash(s string) *Torrent {
	id, ok := hexID(s)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.torrents[id.Hash]
}

// Status is the client, as far as it knows.
func (c *Client) Status() (s control.Status) {
	s.Version, s.Mountpoint, s.Data = c.cfg.Version, c.cfg.Mountpoint, c.cfg.Dir
	s.Seq = c.events.latest()
	s.Free, s.Storing = c.FreeToStore(), c.disk.Stats().Storing
	r := c.Limits()
	s.DownLimit, s.BackgroundLimit, s.UpLimit = r.Down, r.Background, r.Up
	for _, t := range c.Torrents() {
		s.Torrents++
		s.Peers += c.hand.Stats(t.hash).Standing
		t.mu.Lock()
		r := t.recordNow()
		t.mu.Unlock()
		s.Downloaded += r.Downloaded
		s.Uploaded += r.Uploaded
	}
	return s
}

// Status is t. Nothing is opened or woken for it: of a torrent that was not used
// since the start, what is here is as of the last time.
func (t *Torrent) Status() control.Torrent {
	s := control.Torrent{
		Infohash: t.ID(), Name: t.Name(), Folder: t.Folder(), State: t.stateName(), Paused: t.Paused(), Added: t.added,
		Trackers: []string{}, WebSeeds: []string{},
	}
	if err := t.unusable(); err != nil {
		s.Error = err.Error()
	}
	stats := t.c.hand.Stats(t.hash)
	s.Peers, s.Known = stats.Standing, stats.Candidates
	t.mu.Lock()
	r := t.recordNow()
	s.Downloaded, s.Uploaded, s.Open = r.Downloaded, r.Uploaded, t.handles
	trackers, webSeeds := slices.Concat(t.trackers...), t.webSeeds
	t.mu.Unlock()
	s.Pinned = t.pins().word()
	limits := t.Limits()
	s.DownLimit, s.UpLimit = limits.Down, limits.Up
	for _, u := range trackers {
		s.Trackers = append(s.Trackers, discovery.Shown(u))
	}
	for _, u := range webSeeds {
		s.WebSeeds = append(s.WebSeeds, discovery.Shown(u))
	}
	info := t.Info()
	if info == nil {
		return s
	}
	if info.HasV1() && info.HasV2() {
		s.InfohashV2 = info.V2.String()
	}
	s.Private, s.Length, s.Files, s.Pieces, s.PieceLength = info.Private, info.Length, len(info.Files), info.Pieces(), info.PieceLength
	s.Here = min(r.Here, info.Length)
	if t.store.Load() != nil {
		s.Here = info.Length - t.missing()
	}
	s.Complete = s.Here == info.Length
	return s
}

func (t *Torrent) stateName() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.unusable() != nil:
		return "unusable"
	case t.Stopped():
		return "stopped"
	case t.Info() == nil:
		return "resolving"
	case t.loop == nil:
		return "dormant"
	case t.handles == 0 && !t.strives() && !t.seedingSince.IsZero():
		return "seeding"
	}
	return "active"
}

// Held is how many bytes some files of t have, and how many of those are here. It
// opens the store, but wakes nobody.
func (t *Torrent) Held(of func(file int) bool) (length, here int64, err error) {
	store, err := t.open()
	if err != nil {
		return 0, 0, err
	}
	have, size := store.Have(), t.Info().PieceLength
	for i, f := range t.Info().Files {
		if f.Length == 0 || !of(i) {
			continue
		}
		length += f.Length
		for p := f.Offset / size; p <= (f.Offset+f.Length-1)/size; p++ {
			if have.Has(wire.Piece(p)) {
				here += min(f.Offset+f.Length, (p+1)*size) - max(f.Offset, p*size)
			}
		}
	}
	return length, here, nil
}

// Peers are the peers that are connected, and the connections to web seeds.
func (t *Torrent) Peers(ctx context.Context) ([]control.Peer, error) {
	l := t.running()
	if l == nil {
		return nil, nil
	}
	answer := make(chan []control.Peer, 1)
	err := l.put(ctx, order(func(l *loop) { answer <- l.peers() }))
	if errors.Is(err, ErrClosed) {
		return nil, nil // it has gone dormant meanwhile
	}
	if err != nil {
		return nil, err
	}
	select {
	case all := <-answer:
		return all, nil
	case <-l.done:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// peers are those of Peers, in the order in which they came.
func (l *loop) peers() (all []control.Peer) {
	known := map[wire.Peer]selection.Status{}
	for s := range l.m.Peers {
		known[s.Peer] = s
	}
	for _, id := range slices.Sorted(maps.Keys(l.links)) {
		k, s := l.links[id], known[id]
		n := k.conn.Counters()
		p := control.Peer{
			Kind: "peer", Pieces: s.Pieces, Downloaded: n.DownloadedPayload, Uploaded: n.UploadedPayload,
			Rate: s.Rate, RTT: s.RTT.Milliseconds(), Outstanding: s.Outstanding,
			Chokes: s.Chokes, Choked: s.Choked, Interested: s.Interested, Snubbed: s.Snubbed,
		}
		if k.seed != nil {
			p.Kind, p.Address, p.Source, p.Transport = "web seed", discovery.Shown(k.seed.url.String()), "torrent", "http"
			p.Encrypted = k.seed.url.Scheme == "https"
		} else {
			p.Address, p.Source, p.Client = k.hand.Addr.String(), k.hand.Source.String(), k.client
			p.Transport, p.Encrypted = "tcp", k.hand.MSE != 0
			if k.hand.UTP() {
				p.Transport = "utp"
			}
		}
		all = append(all, p)
	}
	return all
}

// printable is what a peer says, fit to be shown.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}

// Verify reads all that is here of t and compares it with what it was when it was
// stored: CRCs and, where they differ, hashes. What is damaged is not here any
// more, and fetched again when it is read. What lies in the data files and is
// right, but was not known, is here then.
func (t *Torrent) Verify(ctx context.Context) (v control.Verified, err error) {
	store, err := t.open()
	if err != nil {
		return v, err
	}
	geo := t.Info().Geometry
	v.Pieces = geo.Pieces()
	for p, had := wire.Piece(0), store.Have(); geo.Valid(p); p++ {
		if !had.Has(p) {
			continue
		}
		switch err := t.verifyPiece(ctx, store, p); {
		case errors.Is(err, diskcache.ErrAbsent):
			v.Damaged++
		case err != nil:
			return v, err
		default:
			v.Here++
		}
	}
	if v.Damaged > 0 { // what is damaged would only be hashed again
		return v, t.strive()
	}
	here, err := store.Verify(ctx)
	v.Found = here - v.Here
	v.Here = here
	return v, err
}

// verifyPiece reads one piece in parts that the memory for reads has room for.
func (t *Torrent) verifyPiece(ctx context.Context, store *diskcache.Torrent, p wire.Piece) error {
	geo := t.Info().Geometry
	whole := geo.Whole(p)
	const part = 64 * wire.BlockSize
	for begin := uint32(0); begin < whole.Length; begin += part {
		e := whole
		e.Begin, e.Length = begin, min(part, whole.Length-begin)
		loans, err := store.Acquire(ctx, []wire.Extent{e})
		for _, l := range loans {
			l.Of.Release()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
