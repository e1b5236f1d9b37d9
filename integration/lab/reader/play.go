package reader

import (
	"sync"
	"time"
)

// A player reads a little ahead of what it shows:
//
//	place ──read──▶ filling ──startAfter read──▶ playing ──nothing left──▶ filling
//	                                                │                     (a rebuffer)
//	                                                └── aheadMost: it waits with reading
const (
	playRead   = 256 << 10              // bytes of one read, and the "first bytes" at a place
	startAfter = 500 * time.Millisecond // of film that is read before it plays
	aheadMost  = time.Second            // of film that is read and not played yet
)

func (s *session) play() error {
	for _, place := range s.job.Places {
		if err := s.playFrom(place); err != nil {
			return err
		}
	}
	return nil
}

// playFrom plays Every of film from a place.
func (s *session) playFrom(place int64) error {
	film := func(n int64) time.Duration {
		return time.Duration(float64(n) / float64(s.job.Rate) * float64(time.Second))
	}
	asked := time.Now()
	b := make([]byte, playRead)
	var shown, read time.Duration // of film, from the place
	var playing bool
	resumed, stopped := time.Time{}, time.Time{}
	var shownBefore time.Duration
	for at := place; read < s.job.Every; at += playRead {
		if at+playRead > int64(len(s.original)) {
			return nil
		}
		if _, err := s.read(b, at); err != nil {
			return err
		}
		now := time.Now()
		if at == place {
			s.result.Took = append(s.result.Took, now.Sub(asked).Seconds())
		}
		if playing {
			shown = shownBefore + now.Sub(resumed)
			if shown > read { // it stood still when the last of it was shown
				playing, stopped = false, now.Add(read-shown)
				shownBefore = read
				s.result.Rebuffers++
			}
		}
		s.result.Bytes += playRead
		read = film(at + playRead - place)
		if !playing && read-shownBefore >= startAfter {
			playing, resumed = true, now
			if !stopped.IsZero() {
				s.result.Waited += now.Sub(stopped).Seconds()
			}
		}
		if playing {
			if ahead := read - (shownBefore + time.Since(resumed)); ahead > aheadMost {
				time.Sleep(ahead - aheadMost)
			}
		}
	}
	return nil
}

// many reads from all places at once until Every is over.
func (s *session) many() error {
	var wg sync.WaitGroup
	end := time.Now().Add(s.job.Every)
	shares, errs := make([]int64, len(s.job.Places)), make([]error, len(s.job.Places))
	for i, at := range s.job.Places {
		wg.Go(func() {
			b := make([]byte, catSize)
			for time.Now().Before(end) && at+catSize <= int64(len(s.original)) {
				if _, err := s.read(b, at); err != nil {
					errs[i] = err
					return
				}
				at += catSize
				if time.Now().Before(end) {
					shares[i] += catSize
				}
			}
		})
	}
	wg.Wait()
	s.result.Shares = shares
	for i, n := range shares {
		s.result.Bytes += n
		if errs[i] != nil {
			return errs[i]
		}
	}
	return nil
}
