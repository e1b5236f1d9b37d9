package engine

import (
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// The loop's part of the hash requests of BEP 52: it asks for the piece layers
// of a magnet link that is v2 only, and answers with those that are here. Leaves
// are another file's: leaves.go.

// Events of it.
type (
	// hashMessage is a hash request, hashes or a hash reject.
	hashMessage struct {
		peer    wire.Peer
		kind    wire.Kind
		payload []byte
	}
	// layersWanted is checked metadata that lacks piece layers.
	layersWanted struct{ info *metainfo.Info }
)

// wantLayers begins to ask for the piece layers of metadata that is here.
func (l *loop) wantLayers(info *metainfo.Info) {
	if l.meta == nil || l.layers != nil {
		return
	}
	l.resolved = true
	l.layers = newLayering(info)
	for _, k := range l.links {
		l.layers.offer(k.id)
	}
	l.askLayers()
}

// askLayers sends the hash requests that are due.
func (l *loop) askLayers() {
	if l.layers == nil {
		return
	}
	for _, ask := range l.layers.asks(time.Now()) {
		if k := l.links[ask.peer]; k != nil {
			k.side(wire.Message{Kind: wire.HashRequest}, wire.AppendHashRange(nil, ask.HashRange))
		}
	}
}

// hashes takes one of the three messages.
func (l *loop) hashes(e hashMessage) {
	k := l.links[e.peer]
	if k == nil {
		return
	}
	r, payload, ok := wire.ParseHashes(e.payload)
	switch {
	case !ok:
		k.conn.Close(wire.ErrLength)
	case e.kind == wire.HashRequest:
		l.serveHashes(k, r)
	case l.layers == nil && l.leaves == nil:
	case e.kind == wire.HashReject && l.layers == nil:
		l.leaves.rejected(k.id, r)
	case e.kind == wire.HashReject:
		l.layers.rejected(k.id, r, time.Now())
		l.askLayers()
	case !r.Bounded():
		k.conn.Close(wire.ErrLength)
	case l.layers == nil:
		l.gotLeaves(k, r, metainfo.HashesOf(payload))
	default:
		l.gotHashes(k, r, metainfo.HashesOf(payload))
	}
}

func (l *loop) gotHashes(k *link, r wire.HashRange, hashes []wire.Hash) {
	if l.layers.answered(k.id, r, hashes) {
		l.banLiar(k)
	}
	if !l.layers.whole() {
		l.askLayers()
		return
	}
	info := l.layers.info
	l.layers = nil
	l.t.c.spawn(func() { l.resolve(info) })
}

// banLiar bans a peer that sent false hashes.
func (l *loop) banLiar(k *link) {
	l.log.Warn("a peer sent false hashes and is banned", "peer", k.hand.Addr)
	l.t.c.hand.Ban(k.hand.Addr.Addr())
	k.conn.Close(errBanned)
}

// mostHashRequests is how many hash requests of a peer wait. One beyond it is
// not answered.
const mostHashRequests = 64

// serveHashes queues a hash request. Only its numbers wait, so that a peer that
// asks and does not read costs next to nothing.
func (l *loop) serveHashes(k *link, r wire.HashRange) {
	if len(k.ranges) == mostHashRequests {
		return
	}
	k.ranges = append(k.ranges, r)
	l.answerHashes(k)
}

// answerHashes answers hash requests as slots come back: with the hashes if
// they are here, with a reject if they are not.
func (l *loop) answerHashes(k *link) {
	info := l.t.Info()
	for !k.waits && len(k.ranges) > 0 && len(k.unsent) == 0 && k.free > extendedSlots-mostMetadataReplies {
		r := k.ranges[0]
		var hashes []wire.Hash
		ok := false
		if info != nil {
			hashes, ok = info.Answer(r)
		}
		if !ok {
			var later bool
			if k.waits, later = l.tellLeaves(k, r); later {
				return
			}
		}
		k.ranges = k.ranges[1:]
		if !k.waits {
			k.told(r, hashes, ok)
		}
	}
}
