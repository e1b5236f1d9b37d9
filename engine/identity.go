package engine

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// identity is who we are: to all, or to the trackers and peers of one torrent.
// That of a private torrent outlives the process, for its trackers know us by
// it; that of an open one does not, so that nobody does.
type identity struct {
	peerID [20]byte // BEP 20
	key    uint32   // of announces
}

// newIdentity is one that nobody else has.
func (c *Client) newIdentity() (i identity) {
	rand.Read(i.peerID[:])
	copy(i.peerID[:], c.prefix())
	var b [4]byte
	rand.Read(b[:])
	i.key = binary.BigEndian.Uint32(b[:])
	return i
}

// prefix is how our peer IDs begin.
func (c *Client) prefix() string { return "-bi" + digits(c.cfg.Version) + "-" }

// identity is who we are to t's swarm.
func (t *Torrent) identity() identity {
	if own := t.own.Load(); own != nil {
		return *own
	}
	return t.c.me
}

// identity is our peer ID for an infohash.
func (c *Client) identity(hash [20]byte) [20]byte {
	c.mu.Lock()
	t := c.torrents[hash]
	c.mu.Unlock()
	if t == nil {
		return c.me.peerID
	}
	return t.identity().peerID
}

// identify gives a torrent that may be private the identity of its state, or,
// if that has none, a new one, which is then to be stored.
func (t *Torrent) identify(s *torrentState) (stored bool, err error) {
	if !t.mayBePrivate() {
		return true, nil
	}
	if s.PeerID == "" {
		own := t.c.newIdentity()
		t.own.Store(&own)
		s.PeerID, s.Key = hex.EncodeToString(own.peerID[:]), own.key
		return false, nil
	}
	own := identity{key: s.Key}
	b, err := hex.DecodeString(s.PeerID)
	if err != nil || len(b) != len(own.peerID) {
		return true, errors.New("state: peer_id is not one")
	}
	copy(own.peerID[:], b)
	copy(own.peerID[:], t.c.prefix()) // as trackers see the version that it is of
	t.own.Store(&own)
	return true, nil
}
