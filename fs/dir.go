package fs

import (
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The places in a directory that the kernel sees: 0 is the start, 1 comes after
// ".", 2 after "..", and the places of the Tree follow, moved by dots. They need
// no open directory: telldir(3) and seekdir(3) hold over a remount.
const dots = 2

// OpenDir answers OPENDIR, the one request beside READ that may wait. No number
// is needed for an open directory: places say everything.
func (n *nodes) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	w := n.waits.begin(cancel, in.Pid, nil)
	defer n.waits.end(w)
	return n.status("opendir", ID(in.NodeId), n.tree.OpenDir(w, ID(in.NodeId)))
}

// ReadDir answers READDIR, which is only asked by kernels that do not know
// READDIRPLUS.
func (n *nodes) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return n.list(in, func(d fuse.DirEntry, _ *Attr) bool { return out.AddDirEntry(d) })
}

// ReadDirPlus answers READDIRPLUS: a listing with the attributes of all entries,
// so that ls -l asks nothing more.
func (n *nodes) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return n.list(in, func(d fuse.DirEntry, a *Attr) bool {
		e := out.AddDirLookupEntry(d)
		if e != nil && a != nil { // "." and ".." are not looked up
			n.fillEntry(e, *a)
			if n.coming.has(ID(in.NodeId), d.Name) {
				e.EntryValid = 0
			}
		}
		return e != nil
	})
}

// list calls add for the entries from in.Offset until the buffer is full, that is
// until add returns false. An error after the first entry is kept for the next
// call: what was added is not lost.
func (n *nodes) list(in *fuse.ReadIn, add func(fuse.DirEntry, *Attr) bool) fuse.Status {
	id, from, some := ID(in.NodeId), in.Offset, false
	for ; from < dots; from++ {
		self, err := id, error(nil)
		if from == 1 {
			self, err = n.tree.Parent(id)
		}
		if err != nil {
			return n.status("readdir", id, err)
		}
		d := fuse.DirEntry{Name: "..."[:from+1], Ino: uint64(self), Mode: fuse.S_IFDIR, Off: from + 1}
		if !add(d, nil) {
			return fuse.OK
		}
		some = true
	}
	err := n.tree.List(id, from-dots, func(next uint64, e Entry) bool {
		if !nameable(e.Name) {
			// The kernel would answer EIO for the whole directory.
			n.log.Error("a name that cannot be shown is left out", "dir", uint64(id), "name", e.Name)
			return true
		}
		added := add(fuse.DirEntry{Name: e.Name, Ino: uint64(e.ID), Mode: e.Mode, Off: next + dots}, &e.Attr)
		some = some || added
		return added
	})
	if some && err != nil {
		return fuse.OK
	}
	return n.status("readdir", id, err)
}

func nameable(name string) bool {
	return name != "" && len(name) <= longestName && name != "." && name != ".." &&
		!strings.ContainsAny(name, "/\x00")
}
