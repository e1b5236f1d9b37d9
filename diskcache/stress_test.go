package diskcache

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/wire"
)

// stressSwarm is peers, readers and a loop that know nothing of each other but
// what the disk cache tells them.
type stressSwarm struct {
	*bench
	mu           sync.Mutex
	open         map[wire.Piece]bool
	read, loaded atomic.Int64
}

func newStressSwarm(b *bench) *stressSwarm {
	return &stressSwarm{bench: b, open: map[wire.Piece]bool{}}
}

// listen does what a loop does with the news.
func (s *stressSwarm) listen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.Bell():
		}
		for _, n := range s.News(nil) {
			s.mu.Lock()
			switch n.Kind {
			case Granted:
				s.open[n.Piece] = true
			case Revoke, Verified:
				delete(s.open, n.Piece)
			}
			s.mu.Unlock()
		}
	}
}

func (s *stressSwarm) anyOpen(r *rand.Rand) (wire.Piece, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := 0
	for p := range s.open {
		if k++; r.IntN(len(s.open)) == 0 || k == len(s.open) {
			return p, true
		}
	}
	return 0, false
}

// peer brings blocks of open pieces, some of them corrupt, some too late.
func (s *stressSwarm) peer(ctx context.Context, r *rand.Rand) {
	spare := s.Spare()
	defer func() { s.Return(spare) }()
	for ctx.Err() == nil {
		time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
		p, ok := s.anyOpen(r)
		if !ok {
			continue
		}
		corrupt := r.IntN(200) == 0
		for i := range s.truth.Blocks(p) {
			spare, _ = s.bring(spare, s.truth.Block(p, i), corrupt && i == 3)
		}
		if r.IntN(20) == 0 {
			s.Close(p)
		}
	}
}

// reader opens what it needs, waits for it, and reads.
func (s *stressSwarm) reader(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		p := wire.Piece(r.IntN(s.truth.Pieces()))
		whole := s.truth.Whole(p)
		es := []wire.Extent{whole}
		s.Expect(p)
		s.Open(p, time.Duration(r.IntN(100)))
		wait, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		if s.Await(wait, es, 100*time.Millisecond) == nil {
			if loans, err := s.Acquire(wait, es); err == nil {
				var got []byte
				for _, l := range loans {
					got = append(got, l.Bytes...)
				}
				if !bytes.Equal(got, s.truth.piece(p)) {
					s.t.Errorf("wrong bytes in piece %d", p)
				}
				releaseAll(loans)
				s.read.Add(1)
			}
		}
		cancel()
		s.Unexpect(p)
		time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
	}
}

func (s *stressSwarm) uploader(ctx context.Context, r *rand.Rand) {
	slots := make(chan struct{}, 8)
	for ctx.Err() == nil {
		slots <- struct{}{}
		time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
		p := wire.Piece(r.IntN(s.truth.Pieces()))
		w := s.truth.Block(p, r.IntN(s.truth.Blocks(p)))
		s.Load(w, func(l wire.Loan, err error) {
			if err == nil {
				if !bytes.Equal(l.Bytes, s.truth.extent(wire.Extent(w))) {
					s.t.Errorf("wrong bytes for the upload of %v", w)
				}
				l.Of.Release()
				s.loaded.Add(1)
			}
			<-slots
		})
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
}
