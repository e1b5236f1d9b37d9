package engine

import "bipfs/wire"

// A hybrid torrent has two infohashes, and a swarm of each (BEP 52): who knows
// only a link of v1, and who knows only one of v2. It is in both.

// infohashes are those that t is announced and looked for by: of a hybrid both,
// once that is known. A private tracker knows its torrents by one.
func (t *Torrent) infohashes() []wire.Digest {
	if info := t.Info(); info != nil && !info.Private && info.HasV1() && info.HasV2() {
		return []wire.Digest{info.Hash, info.V2.Short()}
	}
	return []wire.Digest{t.hash}
}

// searchTwin goes on in both swarms when the metadata has told that there are
// two.
func (l *loop) searchTwin() {
	if !l.searching || len(l.t.infohashes()) < 2 {
		return
	}
	if l.leaveOpen != nil {
		l.leaveOpen()
		l.leaveOpen = nil
	}
	l.searchOpenly()
	l.t.mu.Lock()
	tiers := l.t.trackers
	l.t.mu.Unlock()
	l.announceTo(tiers)
}
