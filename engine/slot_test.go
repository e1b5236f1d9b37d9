package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSlotsAhead: the file of the client is written once for slotsAhead slots, and
// whoever opens the folder next, be it after a kill, uses none of them again.
func TestSlotsAhead(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	c := testClient(t, cfg)
	at := filepath.Join(cfg.Dir, "client")
	writes, last := 0, os.FileInfo(nil)
	look := func() {
		st, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		if last == nil || !os.SameFile(last, st) || !last.ModTime().Equal(st.ModTime()) {
			writes++
		}
		last = st
	}
	for i := range 2*slotsAhead + 1 {
		if slot := addIn(t, c, i+1, "x", "").Slot(); slot != uint32(i+1) {
			t.Fatalf("the torrent %d has the slot %d", i, slot)
		}
		if look(); writes != 1+i/slotsAhead {
			t.Fatalf("the file has been written %d times with %d torrents", writes, i+1)
		}
	}
	stored, err := (&folder{dir: cfg.Dir}).loadClient()
	if err != nil || stored.NextSlot != 3*slotsAhead+1 {
		t.Errorf("%+v, %v", stored, err)
	}
	closeClient(t, c)
	c = testClient(t, cfg)
	if slot := addIn(t, c, 1000, "y", "").Slot(); slot != stored.NextSlot {
		t.Errorf("the next one has the slot %d", slot)
	}
}
