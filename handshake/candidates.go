package handshake

import (
	"cmp"
	"container/heap"
	"context"
	"net/netip"
	"time"
)

// torrent is what the handshaker knows of one torrent.
type torrent struct {
	infohash [20]byte
	life     context.Context // of its dials, until Wake
	end      context.CancelCauseFunc

	want       int
	halfOpen   int  // dials under way
	standing   int  // connections
	listed     bool // among the hungry
	candidates map[netip.AddrPort]*candidate
	waiting    waiting            // those of candidates that are not being dialled nor connected
	offered    uint64             // numbers the candidates
	links      map[[20]byte]*link // connections by peer ID
	banned     bans
}

// candidate is an address at which a peer may be.
type candidate struct {
	addr     netip.AddrPort
	source   Source
	speaks   tongue
	byV2     bool // found by the v2 infohash of a hybrid
	failures int
	punch    bool      // the next dial is by Config.Punch
	due      time.Time // not dialled before
	rank     uint32    // canonical priority (BEP 40); 0 if it is not known
	number   uint64    // order in which they were offered
	place    int       // in waiting; -1: dialled or connected

	withdrawn bool // it is forgotten when its connection ends
}

// offer adds a candidate whose address is not known. Among as many as may be
// kept, it takes the place of the one that failed most often; where none promises
// less than it does, it is not added. hasRoom is false then: no other from its
// source will find room either.
func (t *torrent) offer(c candidate, most int) (hasRoom bool) {
	if len(t.candidates) >= most && !t.displace(c.source) {
		return false
	}
	t.offered++
	c.number = t.offered
	t.candidates[c.addr] = &c
	heap.Push(&t.waiting, &c)
	return true
}

// improve notes that a better source named a candidate as well, or that one
// that was withdrawn has been named again.
func (t *torrent) improve(c *candidate, s Source) {
	if s < c.source || c.withdrawn {
		c.withdrawn = false
		c.source = s
		if c.place >= 0 {
			heap.Fix(&t.waiting, c.place)
		}
	}
}

// displace drops the waiting candidate of least promise if it promises less
// than a new one from s.
func (t *torrent) displace(s Source) bool {
	var worst *candidate
	for _, c := range t.waiting {
		if worst == nil || cmp.Or(cmp.Compare(c.failures, worst.failures), cmp.Compare(c.source, worst.source)) > 0 {
			worst = c
		}
	}
	if worst == nil || worst.failures == 0 && worst.source <= s {
		return false
	}
	t.drop(worst)
	return true
}

// drop forgets a candidate.
func (t *torrent) drop(c *candidate) {
	delete(t.candidates, c.addr)
	if c.place >= 0 {
		heap.Remove(&t.waiting, c.place)
	}
}

// next takes the next candidate that is due, or says when there will be one;
// zero: never, as things are.
func (t *torrent) next(now time.Time) (*candidate, time.Time) {
	if len(t.waiting) == 0 {
		return nil, time.Time{}
	}
	if first := t.waiting[0]; now.Before(first.due) {
		return nil, first.due
	}
	return heap.Pop(&t.waiting).(*candidate), time.Time{}
}

// wait puts a candidate back, to be dialled when it is due.
func (t *torrent) wait(c *candidate, due time.Time) {
	c.due = due
	heap.Push(&t.waiting, c)
}

// waiting is a heap: what is due first comes first; then by source, then by
// canonical priority, then in the order of the offers.
type waiting []*candidate

func (w waiting) Len() int { return len(w) }

func (w waiting) Less(i, j int) bool {
	a, b := w[i], w[j]
	return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.source, b.source), cmp.Compare(b.rank, a.rank), cmp.Compare(a.number, b.number)) < 0
}

func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

func (w *waiting) Push(x any) {
	c := x.(*candidate)
	c.place = len(*w)
	*w = append(*w, c)
}

func (w *waiting) Pop() any {
	last := len(*w) - 1
	c := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	c.place = -1
	return c
}

// bans is a bounded set of addresses; the oldest makes room for the newest.
// For a ban of an IP address the port is 0.
type bans struct {
	most  int
	in    map[netip.AddrPort]struct{}
	order []netip.AddrPort // a ring once it is full
	next  int
}

func newBans(most int) bans { return bans{most: most} }

func (b *bans) has(a netip.AddrPort) bool {
	_, in := b.in[a]
	return in
}

func (b *bans) add(a netip.AddrPort) {
	if b.has(a) {
		return
	}
	if b.in == nil {
		b.in = map[netip.AddrPort]struct{}{}
	}
	if len(b.order) < b.most {
		b.order = append(b.order, a)
	} else {
		delete(b.in, b.order[b.next])
		b.order[b.next] = a
		b.next = (b.next + 1) % b.most
	}
	b.in[a] = struct{}{}
}
