package fs

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// ears is a kernel that hears slowly.
type ears struct {
	heard []string
	hold  chan struct{} // each notice takes one
	st    fuse.Status
}

func (e *ears) hear(format string, args ...any) fuse.Status {
	<-e.hold
	e.heard = append(e.heard, fmt.Sprintf(format, args...))
	return e.st
}

func (e *ears) EntryNotify(dir uint64, name string) fuse.Status {
	return e.hear("entry %d %s", dir, name)
}
func (e *ears) DeleteNotify(dir, child uint64, name string) fuse.Status {
	return e.hear("gone %d %d %s", dir, child, name)
}
func (e *ears) InodeNotify(id uint64, off, n int64) fuse.Status {
	return e.hear("attributes %d %d %d", id, off, n)
}

func TestNoticesCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{hold: make(chan struct{}), st: fuse.ENOENT}
		q := startNotices(e, quiet())
		k := Kernel{q}
		k.Entry(1, "first")
		synctest.Wait() // it is being told
		for range 3 {
			k.Entry(1, "a")
			k.Entry(2, "a")
			k.Gone(1, 5, "a")
			k.Invalidate(7)
			k.Entry(1, "first") // again: it is no longer in the queue
		}
		for range 6 {
			e.hold <- struct{}{}
		}
		synctest.Wait()
		want := []string{"entry 1 first", "entry 1 a", "entry 2 a", "gone 1 5 a", "attributes 7 -1 0", "entry 1 first"}
		if !slices.Equal(e.heard, want) {
			t.Errorf("%q", e.heard)
		}
		q.close()
		k.Entry(1, "after the end")
		Kernel{}.Entry(1, "nobody")
	})
}

// TestNoticesTold: who waits waits for what was said before, and no longer than it
// likes, nor than the mount.
func TestNoticesTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{hold: make(chan struct{}), st: fuse.OK}
		q := startNotices(e, quiet())
		k := Kernel{q}
		k.Gone(1, 5, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		k.Told(ctx)
		if ctx.Err() == nil {
			t.Error("it is told, and the kernel has not heard it")
		}
		e.hold <- struct{}{}
		k.Told(t.Context())
		if want := []string{"gone 1 5 a"}; !slices.Equal(e.heard, want) {
			t.Errorf("%q", e.heard)
		}
		q.close()
		k.Told(t.Context())
		Kernel{}.Told(t.Context())
	})
}

func TestNoticesBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{hold: make(chan struct{}), st: fuse.OK}
		q := startNotices(e, quiet())
		for i := range mostNotices + 10 {
			Kernel{q}.Entry(1, fmt.Sprint(i))
		}
		if q.mu.Lock(); len(q.queue) > mostNotices || len(q.queue) < mostNotices-1 {
			t.Errorf("%d notices wait", len(q.queue))
		}
		q.mu.Unlock()
		close(e.hold)
		synctest.Wait()
		if len(e.heard) < mostNotices || len(q.known) != 0 {
			t.Errorf("%d were told, %d are known", len(e.heard), len(q.known))
		}
		Kernel{q}.Entry(2, "later")
		synctest.Wait()
		if e.heard[len(e.heard)-1] != "entry 2 later" {
			t.Error("nothing is told after the queue was full")
		}
		q.close()
	})
}
