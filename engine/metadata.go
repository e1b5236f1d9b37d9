package engine

import (
	"errors"
	"time"

	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/wire/extension"
)

// The loop's part of resolving a magnet link, and of serving metadata (BEP 9).

// askMetadata sends the requests that are due.
func (l *loop) askMetadata() {
	if l.meta == nil || l.resolved {
		return
	}
	for _, ask := range l.meta.asks(time.Now()) {
		k := l.links[ask.peer]
		if k == nil {
			continue
		}
		m := extension.Metadata{Type: extension.MetadataRequest, Piece: ask.piece}
		k.extend(k.metadataID, m.Append(nil))
	}
}

// metadataMessage takes a message of ut_metadata.
func (l *loop) metadataMessage(k *link, payload []byte) {
	m, err := extension.ParseMetadata(payload)
	if errors.Is(err, extension.ErrUnknownType) {
		return
	}
	if err != nil {
		k.conn.Close(err)
		return
	}
	switch {
	case m.Type == extension.MetadataRequest:
		l.serveMetadata(k, m.Piece)
	case l.meta == nil || l.resolved:
	case m.Type == extension.MetadataReject:
		l.meta.rejected(k.id, m.Piece)
		l.askMetadata()
	case m.Type == extension.MetadataData:
		l.metadataPiece(k, m)
	}
}

// errIDs is the error for metadata of a link whose two infohashes are of two
// torrents, or whose v1 infohash is of one that is v2 only.
var errIDs = errors.New("the link's infohashes are not those of one torrent")

func (l *loop) metadataPiece(k *link, m extension.Metadata) {
	whole, liars := l.meta.data(k.id, m.Piece, m.TotalSize, m.Data)
	for _, p := range liars {
		if liar := l.links[p]; liar != nil {
			l.log.Warn("a peer sent false metadata and is banned", "peer", liar.hand.Addr)
			l.banned(liar.hand.Addr.Addr(), "it sent false metadata")
			liar.conn.Close(errBanned)
		}
	}
	if whole == nil {
		l.askMetadata()
		return
	}
	l.resolved = true
	l.t.c.spawn(func() {
		info, err := metainfo.ParseInfo(whole)
		if err == nil && !l.t.id.Names(info.ID()) {
			err = errIDs
		}
		if err != nil {
			l.put(l.ctx, unusable{err})
			return
		}
		if !info.HasV1() && len(info.Missing()) > 0 {
			l.put(l.ctx, layersWanted{info})
			return
		}
		l.resolve(info)
	})
}

// Metadata that a peer asks for: how many requests of it wait, and how many of
// the answers, up to 18 KiB each as hashes are, are on their way to it at a time.
const (
	mostMetadataRequests = 1024
	mostMetadataReplies  = 4
)

// serveMetadata queues a request for a piece of our metadata. Only its number
// waits, so that a peer that asks and does not read costs next to nothing;
// what it asks for beyond the bound is not answered.
func (l *loop) serveMetadata(k *link, piece int) {
	if k.metadataID == 0 || len(k.requests) == mostMetadataRequests {
		return
	}
	k.requests = append(k.requests, piece)
	l.answerMetadata(k)
}

// answerMetadata answers requests as slots come back.
func (l *loop) answerMetadata(k *link) {
	info := l.t.Info()
	for len(k.requests) > 0 && len(k.unsent) == 0 && k.free > extendedSlots-mostMetadataReplies {
		piece := k.requests[0]
		k.requests = k.requests[1:]
		m := extension.Metadata{Type: extension.MetadataReject, Piece: piece}
		if info != nil {
			size := int64(len(info.Raw))
			if start, end := extension.MetadataSpan(size, piece); end > 0 {
				m = extension.Metadata{Type: extension.MetadataData, Piece: piece, TotalSize: size, Data: info.Raw[start:end]}
			}
		}
		k.extend(k.metadataID, m.Append(nil))
	}
}

// resolve stores checked metadata and tells the loop. It runs beside the loop:
// it waits for the disk.
func (l *loop) resolve(info *metainfo.Info) {
	err := l.t.resolve(info)
	l.put(l.ctx, metadata{info, err})
}

// storeRetry is the pause before metadata that could not be stored is stored
// again: the store may have room by then.
const storeRetry = 30 * time.Second

// storeAgain tries once more when that is due.
func (l *loop) storeAgain() {
	if l.unstored == nil || time.Now().Before(l.again) {
		return
	}
	info := l.unstored
	l.unstored = nil
	l.t.c.spawn(func() { l.resolve(info) })
}

// gotMetadata goes on with the same connections, now with a geometry.
func (l *loop) gotMetadata(e metadata) {
	if l.meta == nil {
		return
	}
	if e.err != nil {
		if said := e.err.Error(); said != l.refused {
			l.refused = said
			l.log.Error("the torrent's metadata cannot be stored; it is tried again", "err", said, "every", storeRetry)
		}
		l.resolved, l.unstored, l.again = true, e.info, time.Now().Add(storeRetry)
		return
	}
	l.begin(e.info)
	l.keepPrivate()
	l.searchTwin()
	l.resolved, l.unstored = false, nil
	l.startWebSeeds()
	for _, k := range l.links {
		if k.peer != nil && k.hand.Extended() {
			k.extend(0, l.hello(k)) // now with the metadata's size
		}
	}
}

// giveUp ends the search for metadata that cannot be used. Its hash is right,
// so every peer has this very metadata: nothing better will come.
func (l *loop) giveUp(err error) {
	if l.meta == nil {
		return
	}
	l.log.Error("the torrent's metadata cannot be used", "err", err)
	l.t.giveUp(err)
	l.t.happens(control.Event{Event: evError, Error: l.t.why.Error()})
}
