package diskcache

import (
	"errors"
	"time"
)

// space is what is known of the free space of a torrent's file system.
type space struct {
	free   int64         // bytes, when it was asked for
	at     time.Duration // when that was
	stored int64         // Disk.stored then
	known  bool
}

// spaceAge is how long an answer of the file system is believed.
const spaceAge = time.Second

// spaceMargin is for what others, journals and directories take meanwhile.
const spaceMargin = 1 << 20

// resumeMargin is how much more than is to be kept must be free before storing
// goes on after a pause: at the very limit it would pause and go on with each
// piece.
const resumeMargin = 64 << 20

// room claims space for n bytes; the claim is taken off Disk.writing when they
// are written. If there is none, others are evicted for it, if that is to be.
func (t *Torrent) room(n int64) (claim int64, err error) {
	d := t.disk
	if d.config.Evict && d.writer.tight.Swap(false) { // whatever it says of free space
		d.evict(n + spareRoom)
	}
	claim, short, err := t.roomNow(n)
	if errors.Is(err, errKeepFree) && d.config.Evict && d.evict(short+spareRoom) > 0 {
		claim, _, err = t.roomNow(n)
	}
	return claim, err
}

// roomNow is that without eviction; short is how much is lacking. All writes since
// the last answer of the file system count, and those under way when it answered,
// other torrents' too, wherever they went: it errs on the safe side.
func (t *Torrent) roomNow(n int64) (claim, short int64, err error) {
	d := t.disk
	n += n / 16 // for what the file system itself needs
	total := d.stored.Add(n)
	underWay := d.writing.Add(n)
	defer func() {
		if err != nil {
			d.stored.Add(-n)
			d.writing.Add(-n)
		}
	}()
	s, ok := t.spaceKnown()
	if !ok {
		if err := d.fs.MkdirAll(t.spec.Dir); err != nil {
			return 0, 0, err
		}
		at := d.now()
		free, err := d.fs.Free(t.spec.Dir)
		if err != nil {
			return 0, 0, err
		}
		s = space{free: free, at: at, stored: total - underWay, known: true}
		t.setSpace(s)
	}
	margin := int64(spaceMargin)
	if d.writer.isPaused() {
		margin = resumeMargin
	}
	if short = d.config.KeepFree + margin - (s.free - (total - s.stored)); short > 0 {
		t.setSpace(space{}) // ask again next time: that is a pause later
		return 0, short, errKeepFree
	}
	return n, 0, nil
}

// tellStoring says that storing is paused, by err, or goes on. A store that is as
// large as it may be comes and goes by itself: that is said once.
func (d *Disk) tellStoring(paused bool, err error, t *Torrent) {
	b := &d.bound
	b.mu.Lock()
	said := b.said
	b.said = errors.Is(err, errBound) || !paused && said
	again := b.said && said
	b.mu.Unlock()
	switch {
	case again:
	case errors.Is(err, errBound):
		d.log.Info("the store is as large as it may be, and all of it is being read: what comes meanwhile is not stored", "most", d.config.Most)
	case paused:
		d.log.Warn("storing is paused, reads go on from memory and network: free some space", "dir", t.spec.Dir, "err", err)
	default:
		d.log.Info("storing goes on")
	}
}

func (t *Torrent) spaceKnown() (s space, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.space, t.space.known && t.disk.now()-t.space.at < spaceAge
}

func (t *Torrent) setSpace(s space) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.space = s
}
