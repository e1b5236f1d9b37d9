package fs

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// ErrWalk is Lookup's answer for a name that a Walker has to be asked for. Of other
// Trees, and for who asks without a process, it is ENOENT.
var ErrWalk = fmt.Errorf("%w, as far as Lookup knows", syscall.ENOENT)

// Walker is what a Tree may be besides: one in which a name means something only to
// some, or only after a wait.
type Walker interface {
	// Walk finds a name that Lookup answered with ErrWalk. It may wait, as OpenDir
	// may, and must return soon after ctx ends.
	Walk(ctx context.Context, dir ID, name string, c Caller) (Attr, error)
}

// lookup finds a name, for the hand as its deed wants it.
func (n *nodes) lookup(cancel <-chan struct{}, h *fuse.InHeader, name string) (Attr, error) {
	dir := ID(h.NodeId)
	if d := n.deed(h); d != nil {
		if a, err, ok := d.find(n.tree, dir, name); ok {
			return a, err
		}
	}
	a, err := n.tree.Lookup(dir, name)
	if !errors.Is(err, ErrWalk) {
		return a, err
	}
	by, ok := n.tree.(Walker)
	if !ok {
		return a, err
	}
	w := n.waits.begin(cancel, h.Pid, nil)
	defer n.waits.end(w)
	return by.Walk(w, dir, name, Caller{TID: h.Pid, UID: h.Uid})
}
