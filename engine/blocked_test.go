package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"bipfs/engine/control"
)

// TestWhy: a read that waits is told by its piece, with who could bring it; one
// that does not, is not; nothing is left of it afterwards.
func TestWhy(t *testing.T) {
	c := newContent(t, 16<<10, 1_000_000, 50_000)
	s := seeder(t, c)
	leech, torrent, r := leeching(t, Config{ReadTimeout: time.Hour, Peers: []string{s.addr()}}, c)
	defer r.Close()
	why := func(file int) control.Why {
		t.Helper()
		w, err := torrent.Why(t.Context(), func(i int) bool { return i == file })
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := why(0); w.Reads != 0 || len(w.Waits) != 0 || w.State != "active" {
		t.Errorf("while nobody waits: %+v", w)
	}
	if err := leech.Pause(torrent); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, off := range []int64{800_000, 800_100, 900_000} {
		wg.Go(func() {
			if _, err := readRange(ctx, r, off, 1); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	eventually(t, "three reads do not wait", func() bool { return why(0).Reads == 3 })
	w := why(0)
	slices.SortFunc(w.Waits, func(a, b control.Wait) int { return a.Piece - b.Piece })
	if len(w.Waits) != 2 || w.Waits[0].Piece != 48 || w.Waits[0].Reads != 2 || w.Waits[1].Piece != 54 || w.Waits[1].Reads != 1 || !w.Paused {
		t.Fatalf("%+v", w)
	}
	for _, x := range w.Waits {
		if x.Peers != 1 || x.Have != 1 || x.Asked != 0 {
			t.Errorf("%+v", x)
		}
	}
	if w := why(1); w.Reads != 0 {
		t.Errorf("of another file: %+v", w)
	}
	cancel()
	wg.Wait()
	if err := leech.Stop(torrent); err != nil {
		t.Fatal(err)
	}
	if w := why(0); w.Reads != 0 || w.State != "stopped" {
		t.Errorf("afterwards: %+v", w)
	}
}
