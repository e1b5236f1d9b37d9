package discovery

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the peers that other nodes have us keep (BEP 5).
const (
	maxKept    = 1000             // infohashes
	maxPerHash = 100              // peers of one
	maxGiven   = 50               // peers of one answer
	keepTime   = 30 * time.Minute // after an announce
	oldestOf   = 8                // infohashes that are looked at for the one to give up
)

// peerStore keeps who announced themselves to us; at its fullest that is some
// 10 MB. The library has checked the token: nobody announces another's address.
type peerStore struct {
	mu sync.Mutex
	by map[nodeID]*kept
}

type kept struct {
	latest time.Time
	peers  map[netip.AddrPort]time.Time // when each announced
}

func newPeerStore() *peerStore { return &peerStore{by: map[nodeID]*kept{}} }

// add keeps a peer of a torrent. In a full store the one that was announced
// longest ago, of a few, makes room.
func (s *peerStore) add(infohash nodeID, peer netip.AddrPort, now time.Time) {
	if !meetable(peer) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.by[infohash]
	if k == nil {
		if len(s.by) >= maxKept {
			s.giveUp()
		}
		k = &kept{peers: map[netip.AddrPort]time.Time{}}
		s.by[infohash] = k
	}
	if _, known := k.peers[peer]; !known && len(k.peers) >= maxPerHash {
		oldest := peer
		for p, at := range k.peers {
			if oldest == peer || at.Before(k.peers[oldest]) {
				oldest = p
			}
		}
		delete(k.peers, oldest)
	}
	k.peers[peer], k.latest = now, now
}

// giveUp drops the torrent that was announced longest ago, of those that the
// map happens to give first. The lock is held.
func (s *peerStore) giveUp() {
	var worst nodeID
	n := 0
	for h, k := range s.by {
		if n == 0 || k.latest.Before(s.by[worst].latest) {
			worst = h
		}
		if n++; n == oldestOf {
			break
		}
	}
	delete(s.by, worst)
}

// get gives peers of a torrent, maxGiven at most, by chance.
func (s *peerStore) get(infohash nodeID, now time.Time) (peers []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.by[infohash]
	if k == nil {
		return nil
	}
	for p, at := range k.peers {
		if now.Sub(at) >= keepTime {
			delete(k.peers, p)
		} else {
			peers = append(peers, p)
		}
	}
	if len(k.peers) == 0 {
		delete(s.by, infohash)
	}
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return peers[:min(len(peers), maxGiven)]
}
