package engine

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"bipfs/handshake"
)

// What a private torrent (BEP 27) does not do: its peers come from its trackers
// alone, and it is not fetched by who gives nothing back.
//
//	.torrent that says private ──▶ its trackers, one at a time
//	magnet link ──▶ all trackers, DHT, LSD, PEX ──metadata says private──▶ those
//	    are left, trackers are told `stopped`, and then asked one at a time

// ErrNoUpload is that a private torrent is refused while nothing is uploaded.
var ErrNoUpload = errors.New("the torrent is private, and its tracker counts what is given back: it is not fetched with --no-upload")

// private reports whether t's metadata says that it is private; false while
// nobody knows.
func (t *Torrent) private() bool {
	info := t.Info()
	return info != nil && info.Private
}

// mayBePrivate reports whether t is private, or may turn out to be.
func (t *Torrent) mayBePrivate() bool {
	info := t.Info()
	return info == nil || info.Private
}

// refusal is why t is kept from the network, or nil.
func (t *Torrent) refusal() error {
	switch {
	case t.removed.Load():
		return ErrRemoved
	case t.stopped.Load():
		return ErrStopped
	case t.c.cfg.NoUpload && t.private():
		return fmt.Errorf("%w: %w", syscall.EPERM, ErrNoUpload)
	}
	return nil
}

// private reports whether peers come from the torrent's trackers only. Until
// the metadata is here nobody knows.
func (l *loop) private() bool { return l.t.private() }

// openSources are those that a private torrent has not.
var openSources = []handshake.Source{handshake.Magnet, handshake.DHT, handshake.LSD, handshake.PEX, handshake.Holepunch}

// foreign reports whether a peer came in a way that is not for this torrent.
func (l *loop) foreign(k *link) bool {
	return k.hand != nil && l.private() && slices.Contains(openSources, k.hand.Source)
}

// keepPrivate leaves the DHT and LSD, and the peers that came from there, from
// other peers or from the magnet link, once the metadata has said that the
// torrent is private.
func (l *loop) keepPrivate() {
	if !l.private() {
		return
	}
	if l.leaveOpen != nil {
		l.leaveOpen()
	}
	for _, s := range openSources {
		l.t.c.hand.Withdraw(l.t.hash, s)
	}
	for _, k := range l.links {
		if l.foreign(k) {
			k.conn.Close(errPrivate)
		}
	}
	if err := l.t.refusal(); errors.Is(err, ErrNoUpload) {
		l.log.Error("the torrent is left alone", "err", ErrNoUpload)
		return // and goes dormant
	}
	l.announcePrivately()
}

// otherTracker is that another tracker of a private torrent has answered than
// before: the peers of the former are of another swarm.
type otherTracker struct{}

// leaveSwarm closes the connections to those; they are offered no more.
func (l *loop) leaveSwarm() {
	for _, k := range l.links {
		if k.hand != nil && k.hand.Source == handshake.Tracker {
			k.conn.Close(errPrivate)
		}
	}
}
