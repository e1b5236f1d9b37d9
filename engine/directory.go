package engine

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"bipfs/engine/metainfo"
)

// Directories of the mount that torrents stand in, beside the root.
//
//	Source.Folder ──ParseFolder──▶ elements ──way──▶ directories, each with a slot
//	                                                    ▲ made by the first torrent below
//	                                                    └ gone with the last one
//
// A directory has a slot as a torrent has, so that its id in the mount is the same after
// a restart. It is stored with each torrent below it, and nowhere else: a directory and
// what keeps it cannot be told apart by a crash.

const (
	// MaxFolderDepth is how many directories deep below the root a torrent may stand.
	MaxFolderDepth = 16
	// MaxFolders is how many directories there may be beside the root.
	MaxFolders = 10_000
)

// ErrFolder is that a folder cannot be one of the mount.
var ErrFolder = errors.New("not a folder of the mount")

// ErrFolders is that there are MaxFolders already.
var ErrFolders = fmt.Errorf("there are %d folders in the mount, and no more can be made", MaxFolders)

// Directory is a directory of the mount, or its root.
type Directory struct {
	c       *Client
	slot    uint32 // 0: the root
	path    string
	parent  *Directory // nil of the root
	made    time.Time
	members []Member // by slot, without their names; guarded by Client.mu
}

// Member is what stands in a directory: a torrent or a directory.
type Member struct {
	Slot      uint32
	Name      string
	Torrent   *Torrent
	Directory *Directory
}

func memberBySlot(m Member, slot uint32) int { return cmp.Compare(m.Slot, slot) }

// Slot is d's number in the data folder, 0 of the root: no other directory or torrent
// ever has it.
func (d *Directory) Slot() uint32 { return d.slot }

// Path is where d is below the root; "" of the root.
func (d *Directory) Path() string { return d.path }

// Name is the last element of Path.
func (d *Directory) Name() string { return d.path[strings.LastIndexByte(d.path, '/')+1:] }

// Parent is the directory that d is in, nil of the root.
func (d *Directory) Parent() *Directory { return d.parent }

// Made is when it was, as far as the torrents in it tell.
func (d *Directory) Made() time.Time { return d.made }

// Below is the path of a name in d.
func (d *Directory) Below(name string) string { return pathIn(d.path, name) }

// pathIn is the path of a name in a folder.
func pathIn(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// Members are n at most of what stands in d, from number from by slot, and how many
// there are.
func (d *Directory) Members(from, n int) (some []Member, all int) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	from = max(0, min(from, len(d.members)))
	return named(d.members[from:min(from+n, len(d.members))]), len(d.members)
}

// After are n at most of what stands in d with a slot above one.
func (d *Directory) After(slot uint32, n int) []Member {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	i, here := slices.BinarySearchFunc(d.members, slot, memberBySlot)
	if here {
		i++
	}
	return named(d.members[i:min(i+n, len(d.members))])
}

// named are members with their names. Client.mu is held.
func named(members []Member) []Member {
	members = slices.Clone(members)
	for i := range members {
		if m := &members[i]; m.Torrent != nil {
			m.Name = m.Torrent.state.Name
		} else {
			m.Name = m.Directory.Name()
		}
	}
	return members
}

// Root is the root of the mount.
func (c *Client) Root() *Directory { return c.root }

// Directory is the directory at a path below the root, or nil.
func (c *Client) Directory(path string) *Directory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.directories[path]
}

// DirectoryBySlot is the directory with a slot, or nil. The root has slot 0.
func (c *Client) DirectoryBySlot(slot uint32) *Directory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bySlot[slot]
}

// ParseFolder reads a folder as a person names it, from the root of the mount. Each
// element is made safe as the name of a torrent is; "" is the root.
func ParseFolder(s string) (folder string, err error) {
	s = strings.Trim(s, "/")
	if s == "" {
		return "", nil
	}
	elements := strings.SplitN(s, "/", MaxFolderDepth+1)
	if len(elements) > MaxFolderDepth {
		return "", fmt.Errorf("%w: more than %d folders deep", ErrFolder, MaxFolderDepth)
	}
	for i, element := range elements {
		if element == "" || element == "." || element == ".." {
			return "", fmt.Errorf("%w: %.80q: it is named from the root, without %q", ErrFolder, s, element)
		}
		elements[i] = metainfo.SafeName(element)
	}
	return strings.Join(elements, "/"), nil
}

// way is what a folder is called in the mount, and the slots of the directories on the
// way to it. Those that are not there get slots: of old, which are those that they had
// before, and else from next. A name that is a torrent's, or reserved, gets a suffix: the
// torrent was there first. The lock is held.
func (c *Client) way(folder string, old []uint32, next *uint32) (at string, slots []uint32, err error) {
	if folder == "" {
		return "", nil, nil
	}
	fresh := 0
	for i, name := range strings.Split(folder, "/") {
		at = pathIn(at, c.directoryName(at, name))
		if d := c.directories[at]; d != nil {
			slots = append(slots, d.slot)
			continue
		}
		fresh++
		if i < len(old) && c.freeSlot(old[i]) && !slices.Contains(slots, old[i]) {
			slots = append(slots, old[i])
			continue
		}
		slots = append(slots, *next)
		*next++
	}
	if fresh > 0 && len(c.bySlot)-1+fresh > MaxFolders {
		return "", nil, ErrFolders
	}
	return at, slots, nil
}

// directoryName is what a directory of a folder is called. The lock is held.
func (c *Client) directoryName(folder, name string) string {
	want := name
	for n := 1; reservedName(name) || c.names[pathIn(folder, name)] != nil; n++ {
		if n == 1 {
			name = suffixed(want, " (folder)")
		} else {
			name = suffixed(want, fmt.Sprintf(" (folder %d)", n))
		}
	}
	return name
}

// freeSlot reports whether nothing has a slot. The lock is held.
func (c *Client) freeSlot(slot uint32) bool {
	_, taken := slices.BinarySearchFunc(c.order, slot, bySlot)
	return !taken && slot != 0 && c.bySlot[slot] == nil
}

// place puts t, which is shown, into its directory, which is made if it is not there.
// The lock is held.
func (c *Client) place(t *Torrent) {
	c.names[t.path()] = t
	for _, n := range t.state.Earlier {
		c.earlier[pathIn(t.state.Folder, n)] = t
	}
	d := c.root
	for i, slot := range t.state.FolderSlots {
		elements := strings.SplitN(t.state.Folder, "/", i+2)
		at := strings.Join(elements[:i+1], "/")
		next := c.directories[at]
		if next == nil {
			next = &Directory{c: c, slot: slot, path: at, parent: d, made: t.added}
			c.directories[at], c.bySlot[slot] = next, next
			d.put(Member{Slot: slot, Directory: next})
		}
		d = next
	}
	d.put(Member{Slot: t.slot, Torrent: t})
}

// displace undoes place: directories in which nothing is left go. The lock is held.
func (c *Client) displace(t *Torrent) {
	if at := t.path(); c.names[at] == t {
		delete(c.names, at)
	}
	for _, n := range t.state.Earlier {
		if at := pathIn(t.state.Folder, n); c.earlier[at] == t {
			delete(c.earlier, at)
		}
	}
	d := c.root
	if t.state.Folder != "" {
		d = c.directories[t.state.Folder]
	}
	for slot := t.slot; d != nil; d = d.parent {
		if i, ok := slices.BinarySearchFunc(d.members, slot, memberBySlot); ok {
			d.members = slices.Delete(d.members, i, i+1)
		}
		if len(d.members) > 0 || d.parent == nil {
			return
		}
		delete(c.directories, d.path)
		delete(c.bySlot, d.slot)
		slot = d.slot
	}
}

// put adds a member. The lock is held.
func (d *Directory) put(m Member) {
	i, there := slices.BinarySearchFunc(d.members, m.Slot, memberBySlot)
	if !there {
		d.members = slices.Insert(d.members, i, m)
	}
}

// path is Path with the lock held.
func (t *Torrent) path() string { return pathIn(t.state.Folder, t.state.Name) }

// Folder is the directory of the mount that t stands in, below the root; "" is the root.
func (t *Torrent) Folder() string {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.state.Folder
}

// Path is where t is in the mount, below the root: its folder, and its name.
func (t *Torrent) Path() string {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.path()
}

// Where is a torrent in the mount: its path below the root, and the slot of each element.
type Where struct {
	Path  string
	Slots []uint32
}

// Where is where t is.
func (t *Torrent) Where() Where {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return Where{t.path(), append(slices.Clone(t.state.FolderSlots), t.slot)}
}

// Parent is where the directory is that w stands in; false if that is the root.
func (w Where) Parent() (Where, bool) {
	if len(w.Slots) < 2 {
		return Where{}, false
	}
	return Where{path.Dir(w.Path), w.Slots[:len(w.Slots)-1]}, true
}
