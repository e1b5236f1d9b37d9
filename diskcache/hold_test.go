package diskcache

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"bipfs/wire"
)

// TestHold: what an earlier process lent to the kernel, which still reads it, and was
// killed too soon to stamp, is not evicted: not before it is held, nor while it is.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3 << 20
		x := newTruth(11, 3<<20, 64<<10)
		x.files = []File{{Length: 1 << 20}, {Length: 2 << 20}}
		fs := newSimFS()
		b := newBounded(t, x, fs, most)
		r := rand.New(rand.NewPCG(11, 11))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
		}
		b.readAll(1 << 20)
		lent, ok := b.Lend(0)
		if !ok {
			t.Fatal("the first file is not lent")
		}
		after := fs.killed()
		delete(after.files, "/x/stamps")
		lent.Close()
		b.close()

		config := Config{FS: after, Evict: true, Most: most, Lent: true, Memory: Least(4) + 32*wire.BlockSize}
		b = newBench(t, x, config, "/x")
		b.disk.Bound(func() []Tenant { return nil })
		evicted := make(chan struct{})
		go func() {
			defer close(evicted)
			for b.disk.evict(1<<20) > 0 {
			}
		}()
		synctest.Wait()
		if n := b.Have().Count(); n != x.Pieces() {
			t.Errorf("%d pieces of %d are left before it is known what is lent", n, x.Pieces())
		}
		if b.lends(0) {
			t.Error("a file is lent that nobody can vouch for")
		}
		held, ok := b.Hold(0)
		again, twice := b.Hold(0)
		if !ok || !twice || held.Fd() != -1 {
			t.Fatalf("held: %v, %v", ok, twice)
		}
		b.disk.Settle()
		<-evicted
		if n := b.Have().Count(); n != 16 {
			t.Errorf("%d pieces are left, 16 are lent", n)
		}
		again.Close()
		if b.disk.evict(1) > 0 {
			t.Error("what is held is evicted")
		}
		held.Close()
		if b.disk.evict(1) == 0 {
			t.Error("what is held no more stays")
		}
		b.close()
		if _, ok := b.Hold(0); ok {
			t.Error("a file of a torrent that is closed is held")
		}
	})
}

// TestUnsettled: who never says what is lent evicts nothing, and can be closed.
func TestUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(12, 1<<20, 64<<10)
		fs := newSimFS()
		b := newBench(t, x, Config{FS: fs, Evict: true, Most: Unbounded, Lent: true, Memory: Least(4) + 32*wire.BlockSize}, "/x")
		b.disk.Bound(func() []Tenant { return nil })
		r := rand.New(rand.NewPCG(12, 12))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
		}
		freed := make(chan int64, 1)
		go func() { freed <- b.disk.evict(1 << 20) }()
		synctest.Wait()
		b.close()
		if n := <-freed; n != 0 {
			t.Errorf("%d bytes were evicted", n)
		}
	})
}
