package fs

import (
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// TestPlace: what is the last element, and what is on the way to it.
func TestPlace(t *testing.T) {
	p := Place{"films/2024/x", []ID{10, 11, 12}}
	if dir, name := p.Last(); dir != 11 || name != "x" {
		t.Errorf("the last is %q in %d", name, dir)
	}
	if dir, name := (Place{"x", []ID{12}}).Last(); dir != Root || name != "x" {
		t.Errorf("the last in the root is %q in %d", name, dir)
	}
	for _, c := range []struct {
		dir  ID
		name string
		id   ID
	}{{Root, "films", 10}, {10, "2024", 11}, {11, "x", 0}, {Root, "2024", 0}, {10, "films", 0}, {Root, "", 0}} {
		if id, ok := p.way(c.dir, c.name); id != c.id || ok != (c.id != 0) {
			t.Errorf("%q in %d is %d, %v", c.name, c.dir, id, ok)
		}
	}
}

// TestDeedBelow: the hand finds its way to what is removed or moved where that is gone,
// nobody else does, and no other name is other than it is.
func TestDeedBelow(t *testing.T) {
	tree := newMemory()
	n := testNodes(tree)
	hand, other := fuse.Caller{Pid: 77}, fuse.Caller{Pid: 78}
	lookup := func(by fuse.Caller, dir ID, name string) (ID, fuse.Status) {
		var out fuse.EntryOut
		st := n.Lookup(nil, &fuse.InHeader{NodeId: uint64(dir), Caller: by}, name, &out)
		return ID(out.NodeId), st
	}
	attr := func(by fuse.Caller, id ID) (uint32, fuse.Status) {
		var out fuse.AttrOut
		st := n.GetAttr(nil, &fuse.GetAttrIn{InHeader: fuse.InHeader{NodeId: uint64(id), Caller: by}}, &out)
		return out.Mode, st
	}
	gone := Place{"gone/deeper/x", []ID{8001, 8002, 8003}}
	for _, d := range []deed{
		{act: removes, place: gone, id: 8003},
		{act: moves, place: gone, to: Place{"files", []ID{idFiles}}, id: idFiles},
	} {
		n.doing.Store(&doing{d, 77})
		for _, c := range []struct {
			dir  ID
			name string
			id   ID
		}{{Root, "gone", 8001}, {8001, "deeper", 8002}} {
			if id, st := lookup(hand, c.dir, c.name); st != fuse.OK || id != c.id {
				t.Errorf("%s, for the hand: %d, %v", c.name, id, st)
			}
			if mode, st := attr(hand, c.id); st != fuse.OK || mode != syscall.S_IFDIR|0o777 {
				t.Errorf("%s, for the hand: %o, %v", c.name, mode, st)
			}
			if _, st := lookup(other, c.dir, c.name); st != fuse.ENOENT {
				t.Errorf("%s, for others: %v", c.name, st)
			}
			if _, st := attr(other, c.id); st != fuse.ENOENT {
				t.Errorf("%s, for others: %v", c.name, st)
			}
		}
		if _, st := lookup(hand, Root, "deeper"); st != fuse.ENOENT {
			t.Errorf("another name: %v", st)
		}
		if _, st := attr(hand, 8004); st != fuse.ENOENT {
			t.Errorf("another directory: %v", st)
		}
	}
	n.doing.Store(&doing{deed{act: removes, place: gone, id: 8003}, 77})
	if st := n.Rmdir(nil, &fuse.InHeader{NodeId: 8002, Caller: hand}, "x"); st != fuse.OK {
		t.Errorf("rmdir: %v", st)
	}
	for dir, name := range map[uint64]string{8001: "x", 8002: "y", 1: "gone"} {
		if st := n.Rmdir(nil, &fuse.InHeader{NodeId: dir, Caller: hand}, name); st != fuse.EROFS {
			t.Errorf("rmdir of %s in %d: %v", name, dir, st)
		}
	}
	n.doing.Store(&doing{deed{act: moves, place: gone, to: Place{"files", []ID{idFiles}}, id: idFiles}, 77})
	rename := func(from, to uint64) fuse.Status {
		return n.Rename(nil, &fuse.RenameIn{InHeader: fuse.InHeader{NodeId: from, Caller: hand}, Newdir: to}, "x", "files")
	}
	if right, from, to := rename(8002, 1), rename(8001, 1), rename(8002, 8001); right != fuse.OK || from != fuse.EROFS || to != fuse.EROFS {
		t.Errorf("rename: %v, from elsewhere %v, to elsewhere %v", right, from, to)
	}
	// What comes is looked for where it is to be.
	made := Place{"files/file-0", []ID{idFiles, idFiles + 1}}
	n.doing.Store(&doing{deed{act: creates, place: made, id: made.ID()}, 77})
	if _, st := lookup(hand, idFiles, "file-0"); st != fuse.ENOENT {
		t.Errorf("to come, for the hand: %v", st)
	}
	if id, st := lookup(hand, Root, "files"); st != fuse.OK || id != idFiles {
		t.Errorf("the way to what comes: %d, %v", id, st)
	}
}
