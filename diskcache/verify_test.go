package diskcache

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestLeaveWhileVerifying: what a torrent has left is another's. Verify ends, and nothing
// is written to the folder or open in it any more.
func TestLeaveWhileVerifying(t *testing.T) {
	x := newTruth(17, 500_000, 50_000)
	synctest.Test(t, func(t *testing.T) {
		fs := stored(t, x)
		delete(fs.files, "/x/journal")
		b := newBench(t, x, Config{FS: fs}, "/x")
		later := make(chan struct{})
		var reads, left, touched atomic.Int32
		fs.fault = func(_ int, op, name string) error {
			touched.Add(left.Load())
			if op == "read" && strings.Contains(name, "/data/") && reads.Add(1) == 10 {
				<-later
			}
			return nil
		}
		verified := make(chan error)
		go func() {
			_, err := b.Verify(t.Context())
			verified <- err
		}()
		synctest.Wait()
		b.Leave()
		go func() {
			<-b.Left()
			left.Store(1)
		}()
		close(later)
		if err := <-verified; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		<-b.Left()
		synctest.Wait()
		if n := touched.Load(); n > 0 {
			t.Errorf("%d times its folder was used after it had left", n)
		}
		b.close()
		if fs.open != 0 {
			t.Errorf("%d files are left open", fs.open)
		}
	})
}
