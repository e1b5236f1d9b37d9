package engine

import (
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// What is pinned and not here is fetched: the rarest first, some pieces at a time,
// later than all that anybody reads.
//
//	missing ──the rarest──▶ wanted, in the background ──verified──▶ here
//	   ▲                        │ nobody has it any more              │
//	   └────────────────────────┴────────── dropped, damaged ─────────┘

const (
	// pinAhead is how many bytes of what is pinned are asked for at a time, and
	// mostPinAhead how many pieces.
	pinAhead     = 64 << 20
	mostPinAhead = 512

	// pinDue is when they are due: after all that readers will read, and however long
	// it takes until somebody has them.
	pinDue = 10_000 * time.Hour

	// pinLook is how often it is looked at least who has what; firstPinLook is how
	// long after a peer came, doubling from there.
	pinLook      = 2 * time.Second
	firstPinLook = 50 * time.Millisecond
	// alonePinLook is how often while nobody is here.
	alonePinLook = time.Minute
)

// pinning is the loop's part of what is pinned.
type pinning struct {
	of    *pinned                    // nil: nothing
	left  wire.Bitfield              // of it, what is not here
	lacks int                        // how many pieces these are
	wants map[wire.Piece]wire.Reader // of them, those that are asked for
	due   time.Duration              // of the one that is due last
	again time.Time                  // when it is looked who has what
	pause time.Duration              // and how long after that again
	looks int                        // how often that was
	full  bool                       // the last time there was more to ask for
}

// strive asks for more of what is pinned, if it is time to.
func (l *loop) strive() {
	if l.files == nil {
		return // there is no metadata
	}
	s := &l.pins
	if now := l.t.pinned.Load(); now != s.of {
		l.repin(now)
	}
	most := int(max(2, min(pinAhead/l.files.info.PieceLength, mostPinAhead)))
	if s.lacks == 0 || l.paused || l.ending || time.Now().Before(s.again) && !(s.full && len(s.wants) <= most/2) {
		return
	}
	s.again, s.pause = time.Now().Add(s.pause), min(2*s.pause, pinLook)
	s.looks++
	s.full = false
	if len(l.links) == 0 {
		s.again = time.Now().Add(alonePinLook)
		l.search()
		l.searchMore()
		return
	}
	if l.t.c.disk.Stats().Storing { // or what comes would only be dropped
		l.pinMore(most)
	}
}

// pinWait is how long until that.
func (l *loop) pinWait() time.Duration {
	if l.pins.lacks == 0 || l.paused || l.ending {
		return dormantAfter
	}
	return time.Until(l.pins.again)
}

// repin has other things be pinned.
func (l *loop) repin(now *pinned) {
	l.unpin()
	l.pins = pinning{of: now, wants: map[wire.Piece]wire.Reader{}, pause: firstPinLook, looks: l.pins.looks, due: l.pins.due}
	if now == nil {
		return
	}
	s := &l.pins
	s.left = now.pieces.Clone()
	for i := range s.left {
		s.left[i] &^= l.files.have[i]
	}
	s.lacks = s.left.Count()
	l.t.setStriving(now, s.lacks > 0)
}

// unpin asks for nothing more of what is pinned.
func (l *loop) unpin() {
	for _, id := range l.pins.wants {
		l.step(selection.Unwant{Reader: id})
	}
	clear(l.pins.wants)
	l.pins.again, l.pins.pause, l.pins.full = time.Time{}, firstPinLook, false
}

// pinSoon has it looked soon who has what: somebody has come.
func (l *loop) pinSoon() {
	if at := time.Now().Add(firstPinLook); l.pins.lacks > 0 {
		l.pins.pause = firstPinLook
		if at.Before(l.pins.again) {
			l.pins.again = at
		}
	}
}

// pinMore asks for the rarest pieces, up to most with those that are asked for, and
// no more for those that nobody has.
func (l *loop) pinMore(most int) {
	l.search()
	l.searchMore()
	s, info := &l.pins, l.files.info
	had := l.m.Had()
	for p, id := range s.wants {
		if !had.Has(p) {
			delete(s.wants, p)
			l.step(selection.Unwant{Reader: id})
		}
	}
	fresh := s.left.Clone()
	for p := range s.wants {
		fresh.Clear(p)
	}
	// Each torrent begins elsewhere, and so does each client.
	from := wire.Piece(uint64(l.t.slot*2654435761^l.t.c.me.key) % uint64(info.Pieces()))
	for _, p := range l.m.Rarest(fresh, most-len(s.wants), from, s.looks*selection.MostCounted) {
		id := wire.Reader(l.t.c.readers.Add(1))
		s.wants[p] = id
		s.due = max(s.due+time.Millisecond, l.t.c.clock.now()+pinDue)
		l.step(selection.Want{Reader: id, Extent: info.Whole(p), Class: selection.Background, Deadline: s.due})
	}
	s.full = len(s.wants) >= most
}

// pinCame notes that a piece is here.
func (l *loop) pinCame(p wire.Piece) {
	s := &l.pins
	if id, ok := s.wants[p]; ok {
		delete(s.wants, p)
		l.step(selection.Unwant{Reader: id})
	}
	if !s.left.Has(p) {
		return
	}
	s.left.Clear(p)
	if s.lacks--; s.lacks == 0 {
		l.lastUse = time.Now()
		l.t.setStriving(s.of, false)
	}
}

// pinWent notes that a piece is here no more.
func (l *loop) pinWent(p wire.Piece) {
	s := &l.pins
	if s.of == nil || !s.of.pieces.Has(p) || s.left.Has(p) {
		return
	}
	s.left.Set(p)
	s.lacks++
	l.t.setStriving(s.of, true)
}
