package diskcache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"bipfs/wire"
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

// TestVerifyWhileFetching: a piece that is being fetched into its place is not taken for
// one that lies there, however right it is: what comes may be wrong, and its file may be
// the kernel's to read by then.
func TestVerifyWhileFetching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &truth{Geometry: wire.Geometry{Length: 1_500_000, PieceLength: 1_500_000}, bytes: make([]byte, 1_500_000)}
		x.files = []File{{Length: x.Length}}
		rand.NewChaCha8([32]byte{17}).Read(x.bytes)
		fs := stored(t, x)
		delete(fs.files, "/x/journal")
		b := newBench(t, x, Config{FS: fs, Memory: Least(4)}, "/x")
		b.Open(0, 0)
		room := b.want(Granted, 0).N
		if _, err := b.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = b.read(wire.Extent{Length: 1 << 20})
		_ = b.read(wire.Extent{Begin: 1 << 20, Length: x.PieceSize(0) - 1<<20})
		l, lent := b.Lend(0)
		spare := b.Spare()
		for i := range room {
			spare, _ = b.bring(spare, x.Block(0, i), true)
		}
		b.Return(spare)
		synctest.Wait()
		if same := bytes.Equal(fs.data("/x", "data/0"), x.bytes); lent && !same {
			t.Error("the kernel reads what was not verified")
		}
		if lent {
			l.Close()
		}
		b.close()
	})
}
