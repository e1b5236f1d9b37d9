package engine

import (
	"errors"
	"time"

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

func (l *loop) metadataPiece(k *link, m extension.Metadata) {
	whole, liars := l.meta.data(k.id, m.Piece, m.TotalSize, m.Data)
	for _, p := range liars {
		if liar := l.links[p]; liar != nil {
			l.log.Warn("a peer sent false metadata and is banned", "peer", liar.hand.Addr)
			l.t.c.hand.Ban(liar.hand.Addr.Addr())
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
		if err != nil {
			l.put(l.ctx, metadata{err: err})
			return
		}
		l.resolve(info)
	})
}

// serveMetadata answers a request for a piece of our metadata.
func (l *loop) serveMetadata(k *link, piece int) {
	if k.metadataID == 0 {
		return
	}
	info := l.t.Info()
	m := extension.Metadata{Type: extension.MetadataReject, Piece: piece}
	if info != nil {
		size := int64(len(info.Raw))
		if start, end := extension.MetadataSpan(size, piece); end > 0 {
			m = extension.Metadata{Type: extension.MetadataData, Piece: piece, TotalSize: size, Data: info.Raw[start:end]}
		}
	}
	k.extend(k.metadataID, m.Append(nil))
}

// resolve stores checked metadata and tells the loop. It runs beside the loop:
// it waits for the disk.
func (l *loop) resolve(info *metainfo.Info) {
	err := l.t.resolve(info)
	l.put(l.ctx, metadata{info, err})
}

// gotMetadata goes on with the same connections, now with a geometry.
func (l *loop) gotMetadata(e metadata) {
	if l.meta == nil {
		return
	}
	if e.err != nil {
		// The hash is right, so every peer has this metadata: nothing better
		// will come.
		l.log.Error("the torrent's metadata cannot be used", "err", e.err)
		return
	}
	l.begin(e.info)
	l.resolved = false
	for _, k := range l.links {
		if k.hand.Extended() {
			k.extend(0, l.hello(k)) // now with the metadata's size
		}
	}
}
