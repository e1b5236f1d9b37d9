package discovery

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// The packets of a UDP tracker (BEP 15); numbers are big endian.
//
//	connect    magic 8 | action 0 4 | transaction 4          answer: 0 | transaction | connection 8
//	announce   connection 8 | 1 4 | transaction 4 | figures  answer: 1 | transaction | interval, leechers, seeders 4 each | peers
//	scrape     connection 8 | 2 4 | transaction 4 | hashes   answer: 2 | transaction | seeders, completed, leechers 4 each, a hash
//	error                                                    answer: 3 | transaction | text

// The actions.
const (
	actionConnect  = 0
	actionAnnounce = 1
	actionScrape   = 2
	actionError    = 3
)

// connectMagic stands where other requests have the connection id.
const connectMagic = 0x41727101980

// Lengths of packets, in bytes.
const (
	answerHead   = 8  // action and transaction
	announceHead = 20 // of an answer, before the peers
	scrapeEach   = 12 // of an answer, for each infohash

	// maxDatagram is the longest answer that is read: MaxPeers of IPv6.
	maxDatagram = announceHead + 18*MaxPeers
)

// MaxScrape is how many torrents one UDP scrape asks about (BEP 15).
const MaxScrape = 74

// The option of BEP 41 that tells path and query of the tracker's URL.
const (
	optionURL     = 2
	maxOptionData = 255 // bytes of one option; a longer URL takes several
)

func appendConnect(b []byte, transaction uint32) []byte {
	b = binary.BigEndian.AppendUint64(b, connectMagic)
	b = binary.BigEndian.AppendUint32(b, actionConnect)
	return binary.BigEndian.AppendUint32(b, transaction)
}

func appendRequest(b []byte, connection uint64, action, transaction uint32) []byte {
	b = binary.BigEndian.AppendUint64(b, connection)
	b = binary.BigEndian.AppendUint32(b, action)
	return binary.BigEndian.AppendUint32(b, transaction)
}

// eventNumber is an event as UDP trackers count them.
func eventNumber(event string) uint32 {
	switch event {
	case Completed:
		return 1
	case Started:
		return 2
	case Stopped:
		return 3
	}
	return 0
}

// appendAnnounce appends what follows the head of an announce. request is the
// path and query of the tracker's URL (BEP 41): trackers that do not know the
// option leave it out.
func appendAnnounce(b []byte, a Announce, request string) []byte {
	b = append(b, a.Infohash[:]...)
	b = append(b, a.PeerID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Downloaded))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Left))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Uploaded))
	b = binary.BigEndian.AppendUint32(b, eventNumber(a.Event))
	b = binary.BigEndian.AppendUint32(b, 0) // our address: the one that the packet comes from
	b = binary.BigEndian.AppendUint32(b, a.Key)
	b = binary.BigEndian.AppendUint32(b, uint32(a.NumWant))
	b = binary.BigEndian.AppendUint16(b, uint16(a.Port))
	for len(request) > 0 {
		n := min(len(request), maxOptionData)
		b = append(append(b, optionURL, byte(n)), request[:n]...)
		request = request[n:]
	}
	return b
}

// answerBody is what follows the head of an answer to a request of this action
// and transaction; ok is false if b is no such answer. A tracker's refusal is a
// *Failure.
func answerBody(b []byte, action, transaction uint32) (body []byte, ok bool, err error) {
	if len(b) < answerHead || len(b) > maxDatagram || binary.BigEndian.Uint32(b[4:]) != transaction {
		return nil, false, nil
	}
	body = b[answerHead:]
	switch is := binary.BigEndian.Uint32(b); {
	case is == actionError:
		return nil, true, &Failure{forPeople(string(body))}
	case is != action:
		return nil, false, nil
	case action == actionConnect && len(body) < 8, action == actionAnnounce && len(b) < announceHead:
		return nil, false, nil
	}
	return body, true, nil
}

// parseAnnounced reads the body of an answer to an announce. Peers are of the
// family of the tracker's own address (BEP 7 and 15). What is left over at the
// end is ignored.
func parseAnnounced(body []byte, from netip.Addr) (Answer, error) {
	if len(body) < announceHead-answerHead {
		return Answer{}, fmt.Errorf("%w: it is too short", ErrNotTracker)
	}
	a := Answer{
		Interval: interval(int64(int32(binary.BigEndian.Uint32(body)))),
		Leechers: count(int64(int32(binary.BigEndian.Uint32(body[4:])))),
		Seeders:  count(int64(int32(binary.BigEndian.Uint32(body[8:])))),
	}
	family := 4
	if from.Is6() && !from.Is4In6() {
		family = 16
	}
	a.compact(body[announceHead-answerHead:], family)
	a.Peers = reachable(a.Peers, from.Unmap())
	return a, nil
}

// parseScraped reads the body of an answer to a scrape of n torrents.
func parseScraped(body []byte, n int) ([]Swarm, error) {
	if len(body) < n*scrapeEach {
		return nil, fmt.Errorf("%w: it is too short", ErrNotTracker)
	}
	all := make([]Swarm, n)
	for i := range all {
		b := body[i*scrapeEach:]
		all[i] = Swarm{
			Seeders:   count(int64(int32(binary.BigEndian.Uint32(b)))),
			Completed: count(int64(int32(binary.BigEndian.Uint32(b[4:])))),
			Leechers:  count(int64(int32(binary.BigEndian.Uint32(b[8:])))),
		}
	}
	return all, nil
}

// Swarm is the state of one torrent's swarm by a tracker's word, each figure
// from 0 to a billion.
type Swarm struct {
	Seeders   int
	Completed int // downloads that have ended
	Leechers  int
}

// connections remembers connection ids, by the tracker's address. It is bounded:
// the oldest makes room.
type connections map[netip.AddrPort]connection

type connection struct {
	id uint64
	at time.Time // when it came
}

// Bounds of connection ids.
const (
	connectionTime = time.Minute // how long one may be used (BEP 15)
	maxConnections = 256
)

func (c connections) get(tracker netip.AddrPort, now time.Time) (id uint64, ok bool) {
	k, ok := c[tracker]
	return k.id, ok && now.Sub(k.at) < connectionTime
}

func (c connections) put(tracker netip.AddrPort, id uint64, now time.Time) {
	if _, known := c[tracker]; !known && len(c) >= maxConnections {
		oldest := tracker
		for addr, k := range c {
			if oldest == tracker || k.at.Before(c[oldest].at) {
				oldest = addr
			}
		}
		delete(c, oldest)
	}
	c[tracker] = connection{id, now}
}
