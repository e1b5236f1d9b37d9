package top

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bipfs/engine/control"
)

// Daemon answers what is asked of the control socket, a path below /v1/, into a
// struct. *control.Client does.
type Daemon interface {
	Get(ctx context.Context, path string, into any) error
}

// question is what a frame needs. What is not shown is not asked for.
type question struct {
	list    bool     // all torrents
	rows    []string // else these of them, by infohash; mostRows at most
	torrent string   // or one, with all that is known of it
}

// look is the answer.
type look struct {
	at     time.Time // when it was complete
	took   time.Duration
	err    error // the mount does not answer
	status control.Status
	listed bool
	list   []control.Torrent
	rows   []control.Torrent // those that still are
	of     string            // the torrent that was asked for
	detail *detail
	gone   bool // there is no such torrent
}

// detail is one torrent.
type detail struct {
	control.Torrent
	peers   []control.Peer
	readers []control.Reading
	pieces  control.Pieces
	hidden  string // why the pieces are not known
}

// ask looks once, for lookTime at most.
func ask(ctx context.Context, d Daemon, q question) (l look) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	start := time.Now()
	l.of = q.torrent
	l.err = l.fill(ctx, d, q)
	l.at = time.Now()
	l.took = l.at.Sub(start)
	return l
}

func (l *look) fill(ctx context.Context, d Daemon, q question) error {
	if err := d.Get(ctx, "status", &l.status); err != nil {
		return err
	}
	if q.torrent != "" {
		l.detail = &detail{}
		err := l.detail.fill(ctx, d, q.torrent)
		if isUnknown(err) {
			l.detail, l.gone, err = nil, true, nil
		}
		return err
	}
	if q.list {
		var all control.List
		if err := d.Get(ctx, "torrents", &all); err != nil {
			return err
		}
		l.list, l.listed = all.Torrents, true
		return nil
	}
	for _, infohash := range q.rows {
		var t control.Torrent
		err := d.Get(ctx, "torrents/"+infohash, &t)
		if isUnknown(err) {
			continue // the next list is without it
		}
		if err != nil {
			return err
		}
		l.rows = append(l.rows, t)
	}
	return nil
}

func (v *detail) fill(ctx context.Context, d Daemon, infohash string) error {
	at := "torrents/" + infohash
	var peers control.PeerList
	var readers control.ReadingList
	for _, one := range []struct {
		path string
		into any
	}{{at, &v.Torrent}, {at + "/peers", &peers}, {at + "/readers", &readers}} {
		if err := d.Get(ctx, one.path, one.into); err != nil {
			return err
		}
	}
	v.peers, v.readers = joined(peers.Peers), readers.Readers
	err := d.Get(ctx, at+"/pieces", &v.pieces)
	if refused := (*control.Failed)(nil); errors.As(err, &refused) && !isUnknown(err) { // the store cannot be opened: the rest is of use still
		v.hidden, err = refused.Message, nil
	}
	if err == nil && int64(len(v.pieces.Here))*8 < int64(v.pieces.Pieces) {
		err = fmt.Errorf("the mount says %d pieces, and shows %d bytes of them", v.pieces.Pieces, len(v.pieces.Here))
	}
	return err
}

// joined has the connections to one web seed be one peer: they have one name.
func joined(all []control.Peer) (peers []control.Peer) {
	at := map[string]int{}
	for _, p := range all {
		i, here := at[peerKey(p)]
		if !here {
			at[peerKey(p)] = len(peers)
			peers = append(peers, p)
			continue
		}
		peers[i].Downloaded += p.Downloaded
		peers[i].Uploaded += p.Uploaded
	}
	return peers
}

func peerKey(p control.Peer) string { return p.Transport + " " + p.Address }

func isUnknown(err error) bool {
	failed := (*control.Failed)(nil)
	return errors.As(err, &failed) && failed.Code == http.StatusNotFound
}
