package diskcache

import (
	"sync"
	"time"
)

// space is what is known of the free space of a torrent's file system.
type space struct {
	mu     sync.Mutex
	free   int64         // bytes, when it was asked for
	at     time.Duration // when that was
	stored int64         // Disk.stored then
	known  bool
}

// spaceAge is how long an answer of the file system is believed.
const spaceAge = time.Second

// room claims space for n bytes. All writes since the last answer of the file
// system count, other torrents' too, wherever they went: it errs on the safe
// side.
func (t *Torrent) room(n int64) error {
	d := t.disk
	n += n/16 + 1<<20 // for what the file system itself needs
	total := d.stored.Add(n)
	s := &t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := d.now(); !s.known || now-s.at >= spaceAge {
		if err := d.fs.MkdirAll(t.spec.Dir); err != nil {
			return err
		}
		free, _, err := d.fs.Free(t.spec.Dir)
		if err != nil {
			return err
		}
		s.free, s.at, s.stored, s.known = free, now, total-n, true
	}
	if s.free-(total-s.stored) < d.config.KeepFree {
		s.known = false // ask again next time: that is a pause later
		d.stored.Add(-n)
		return errKeepFree
	}
	return nil
}
