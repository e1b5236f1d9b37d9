package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/handshake"
)

// How a torrent comes to be, and comes by its metadata. Both are written to the
// data folder first and shown then; Client.adding keeps them one at a time.

// Add adds a torrent. One that is there already is returned as it is; the
// metadata, trackers and peers that the source has beyond it are taken over.
func (c *Client) Add(s Source) (*Torrent, error) {
	if !c.enter() {
		return nil, ErrClosed
	}
	defer c.wg.Done()
	t, added, err := c.add(s)
	if err != nil {
		return nil, err
	}
	if !added {
		return t, t.merge(s)
	}
	if t.Info() == nil {
		_, err = t.activate()
	}
	return t, err
}

func (c *Client) add(s Source) (t *Torrent, added bool, err error) {
	if err := s.check(); err != nil {
		return nil, false, err
	}
	c.adding.Lock()
	defer c.adding.Unlock()
	id := s.id()
	c.mu.Lock()
	t, state := c.torrents[id.Hash], c.state
	if t == nil && id.HasV2() {
		t = c.torrents[id.V2.Short()]
	}
	c.mu.Unlock()
	if c.cfg.NoUpload && (s.Torrent != nil && s.Torrent.Info.Private || t != nil && t.private()) {
		return nil, false, ErrNoUpload
	}
	folder, err := ParseFolder(s.Folder)
	if err != nil {
		return nil, false, err
	}
	if t != nil {
		return t, false, c.keep(t, folder)
	}
	if slices.Contains(c.cfg.Aside, id.Hash.String()) {
		return nil, false, ErrAside
	}
	t = newTorrent(c, id, torrentState{Slot: state.NextSlot, Added: time.Now().UnixNano()})
	state.NextSlot++
	c.mu.Lock()
	t.state.Folder, t.state.FolderSlots, err = c.way(folder, nil, &state.NextSlot)
	c.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	t.take(s)
	if err := t.revive(); err != nil {
		return nil, false, err
	}
	t.identify(&t.state)
	if err := c.takeSlots(state); err != nil {
		return nil, false, err
	}
	c.mu.Lock()
	t.state.Name = c.freeName(t.wantedName(t.Info()), t.state.Folder, t)
	c.mu.Unlock()
	if err := t.save(t.Info(), t.state); err != nil {
		return nil, false, fmt.Errorf("store the torrent %v: %w", id, err)
	}
	c.disk.Restored(c.folder.torrentDir(id))
	c.mu.Lock()
	c.insert(t, t.state.Name)
	c.mu.Unlock()
	t.happens(control.Event{Event: evAdded})
	return t, true, nil
}

// takeSlots stores that the slots below the next one are taken. Client.adding is held.
func (c *Client) takeSlots(state clientState) error {
	c.mu.Lock()
	c.state.NextSlot = state.NextSlot
	c.mu.Unlock()
	return c.folder.saveSlots(state)
}

// id is the infohashes that a source names; a URL names none.
func (s Source) id() metainfo.ID {
	if s.Torrent != nil {
		return s.Torrent.Info.ID()
	}
	return s.Magnet.ID()
}

// trackers are the tiers that a source names. A magnet link has no tiers: each
// tracker is one of its own.
func (s Source) trackers() [][]string {
	if s.Torrent != nil {
		return s.Torrent.Trackers
	}
	var tiers [][]string
	for _, t := range s.Magnet.Trackers {
		tiers = append(tiers, []string{t})
	}
	return tiers
}

// take fills a torrent that nobody else sees yet from its source.
func (t *Torrent) take(s Source) {
	t.trackers = s.trackers()
	t.magnet = s.Magnet
	t.webSeeds = s.webSeeds()
	switch {
	case s.Torrent == nil:
	case isBare(s.Torrent.Info):
		t.magnet, t.bare = s.link(), s.Torrent.Info
	default:
		t.known(s.Torrent.Info)
		t.state.Mtime = clampTime(s.Torrent.Created, t.added).Unix()
	}
}

// remember fills a torrent that nobody else sees yet from the data folder. A
// torrent that has its metadata can do without its magnet link.
func (t *Torrent) remember(s stored) error {
	t.record = s.record
	t.finished.Store(s.record.Completed)
	t.unrecorded = s.record.Version == 0 && t.hasJournal()
	m, err := metainfo.ParseMagnet(s.magnet)
	if err == nil && !t.id.Names(m.ID()) {
		err = errors.New("its magnet link is that of another torrent")
	}
	if err == nil {
		t.magnet, t.id = m, m.ID() // the folder's name tells one infohash
		t.trackers, t.webSeeds = Source{Magnet: m}.trackers(), m.WebSeeds
	}
	if s.metainfo == nil {
		return err
	}
	meta, err := metainfo.Parse(s.metainfo)
	if err != nil {
		return err
	}
	if !t.id.Names(meta.Info.ID()) {
		return errors.New("its metadata has another infohash")
	}
	t.known(meta.Info)
	t.trackers, t.webSeeds = meta.Trackers, meta.WebSeeds
	return nil
}

// known sets the metadata of a torrent that nobody else sees yet.
func (t *Torrent) known(info *metainfo.Info) {
	t.info.Store(info)
	close(t.resolved)
}

// merge takes over what a source has that t has not.
func (t *Torrent) merge(s Source) error {
	if err := t.learn(s); err != nil {
		return err
	}
	if s.Torrent == nil || t.Info() != nil {
		return nil
	}
	l, err := t.activate()
	switch info := s.Torrent.Info; {
	case errors.Is(err, ErrStopped) && !isBare(info):
		return t.resolve(info)
	case err != nil:
	case isBare(info):
		err = l.put(t.c.ctx, layersWanted{info})
	default:
		t.c.spawn(func() { l.resolve(info) })
	}
	return err
}

// learn gives t the trackers, each as a tier, the web seeds and the peers that
// it has not yet, and stores them.
func (t *Torrent) learn(s Source) error {
	t.c.adding.Lock()
	defer t.c.adding.Unlock()
	if t.removed.Load() {
		return ErrRemoved
	}
	if t.private() {
		return t.learnPrivate(s)
	}
	t.mu.Lock()
	tiers, peers, seeds := t.newTrackers(s), t.newPeers(s.Magnet), t.newWebSeeds(s)
	l := t.loop
	t.mu.Unlock()
	if len(tiers) == 0 && len(peers) == 0 && seeds == 0 {
		return nil
	}
	if l != nil {
		l.put(t.c.ctx, newTrackers{tiers})
		l.put(t.c.ctx, newWebSeeds{})
		t.c.spawn(func() { l.offer(handshake.Magnet, t.c.resolveAll(peers)) })
	}
	return t.saveMetadata(t.Info(), t.Mtime())
}

// learnPrivate is learn for a private torrent. The trackers of a .torrent, whose
// URLs may hold a new passkey, replace those that it has; they are asked when it
// wakes the next time. What a magnet link names is nobody's word.
func (t *Torrent) learnPrivate(s Source) error {
	if s.Torrent == nil || len(s.Torrent.Trackers) == 0 {
		return nil
	}
	t.mu.Lock()
	same := slices.EqualFunc(t.trackers, s.Torrent.Trackers, slices.Equal)
	t.trackers = s.Torrent.Trackers
	t.mu.Unlock()
	if same {
		return nil
	}
	return t.saveMetadata(t.Info(), t.Mtime())
}

// newTrackers takes over the trackers that a source names and t does not know, each as a
// tier. The lock is held.
func (t *Torrent) newTrackers(s Source) (tiers [][]string) {
	known := slices.Concat(t.trackers...)
	for _, url := range slices.Concat(s.trackers()...) {
		if !slices.Contains(known, url) && len(known) < metainfo.MaxTrackers {
			known = append(known, url)
			tiers = append(tiers, []string{url})
		}
	}
	t.trackers = append(slices.Clone(t.trackers), tiers...)
	return tiers
}

// newPeers takes over the peers that a magnet link names and t does not know.
// The lock is held.
func (t *Torrent) newPeers(m *metainfo.Magnet) (fresh []string) {
	if m == nil || len(m.Peers) == 0 {
		return nil
	}
	mine := metainfo.Magnet{Hash: t.id.Hash, V2: t.id.V2}
	if t.magnet != nil {
		mine = *t.magnet // others read the old one without the lock
	}
	for _, p := range m.Peers {
		if !slices.Contains(mine.Peers, p) && len(mine.Peers) < metainfo.MaxPeers {
			mine.Peers = append(slices.Clip(mine.Peers), p)
			fresh = append(fresh, p)
		}
	}
	t.magnet = &mine
	return fresh
}

// clampTime is when a torrent was created, as far as that can be true: from
// 2001, when the protocol was, to when it was added; else the time added.
func clampTime(created, added time.Time) time.Time {
	if created.Before(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)) || created.After(added) {
		return added
	}
	return created
}

// wantedName is the name that t would have if it were alone, with metadata
// info, which may be nil.
func (t *Torrent) wantedName(info *metainfo.Info) string {
	switch {
	case info != nil:
		return info.Name
	case t.magnet != nil && t.magnet.Name != "":
		return metainfo.SafeName(t.magnet.Name)
	}
	return t.id.String()
}

// resolve gives t its metadata: it is stored, opened, named and shown.
func (t *Torrent) resolve(info *metainfo.Info) error {
	if !t.id.Names(info.ID()) {
		return errors.New("its metadata has another infohash")
	}
	c := t.c
	c.adding.Lock()
	defer c.adding.Unlock()
	if t.removed.Load() {
		return ErrRemoved
	}
	if t.Info() != nil {
		return nil
	}
	c.mu.Lock()
	state := t.state
	c.mu.Unlock()
	t.rename(info, &state)
	state.Earlier = slices.DeleteFunc(state.Earlier, func(n string) bool { return n == state.Name })
	state.Mtime = t.added.Unix()
	if !info.Private {
		state.PeerID, state.Key = "", 0 // what was said of it holds until the end of the process
	}
	t.settleWebSeeds(info)
	t.resolvePins(info, &state)
	if err := t.save(info, state); err != nil {
		return fmt.Errorf("store the metadata: %w", err)
	}
	if _, err := t.openAs(info); err != nil {
		return err
	}
	c.show(t, state)
	c.mu.Lock()
	c.know(t, info)
	c.mu.Unlock()
	t.info.Store(info)
	close(t.resolved)
	t.happens(control.Event{Event: evMetadata})
	c.log.Info("a magnet link is resolved", "torrent", t.id, "name", state.Name)
	return nil
}

// show gives t the name of its new state; the earlier ones go on working.
func (c *Client) show(t *Torrent, state torrentState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Guest() {
		t.state = state
		return
	}
	c.displace(t)
	t.state = state
	c.place(t)
}

// save writes t to the data folder. Client.adding is held.
func (t *Torrent) save(info *metainfo.Info, state torrentState) error {
	f := t.c.folder
	if err := os.MkdirAll(f.torrentDir(t.id), 0o700); err != nil {
		return err
	}
	if err := t.saveMetadata(info, time.Unix(state.Mtime, 0)); err != nil {
		return err
	}
	if info == nil {
		state.Name = "" // chosen when the metadata is here
	}
	return f.saveTorrent(t.id, state)
}

// saveMetadata writes what the torrent was added by and what it has learnt. The
// magnet link stays when the metadata is here: it names peers.
func (t *Torrent) saveMetadata(info *metainfo.Info, created time.Time) error {
	t.mu.Lock()
	trackers, magnet, webSeeds := t.trackers, t.magnet, t.webSeeds
	t.mu.Unlock()
	if magnet != nil {
		m := *magnet
		m.Trackers = slices.Concat(trackers...)
		m.WebSeeds = webSeeds
		if err := t.c.folder.writeTorrent(t.id, "magnet", []byte(m.String()+"\n")); err != nil {
			return err
		}
	}
	if info == nil {
		return nil
	}
	m := metainfo.Torrent{Info: info, Trackers: trackers, WebSeeds: webSeeds, Created: created}
	return t.c.folder.writeTorrent(t.id, "torrent", m.Encode())
}
