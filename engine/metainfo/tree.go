package metainfo

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Tree is the directories and files of a torrent as they are shown.
type Tree struct {
	// Nodes[0] is the torrent's directory and Nodes[1+k] is Files[k]; the
	// directories inside it follow, in the order in which the files name them
	// first. These numbers follow from the info dictionary alone: inode
	// numbers are made of them.
	Nodes []Node
}

// Node is one entry of a Tree.
type Node struct {
	Name     string
	Parent   uint32   // the directory it is in; the torrent's directory is in itself
	File     int32    // its place in Files, -1 if it is a directory
	Children []uint32 // of a directory: what is in it, sorted by name. Pads are in none.
}

// Tree is the torrent's tree. It is made at the first call; nobody may change
// it.
func (i *Info) Tree() *Tree {
	i.once.Do(func() { i.tree = newTree(i.Name, i.Files) })
	return i.tree
}

// Lookup is the entry of directory dir that is called name.
func (t *Tree) Lookup(dir uint32, name string) (uint32, bool) {
	if int64(dir) >= int64(len(t.Nodes)) {
		return 0, false
	}
	in := t.Nodes[dir].Children
	k, found := sort.Find(len(in), func(k int) int { return cmp.Compare(name, t.Nodes[in[k]].Name) })
	if !found {
		return 0, false
	}
	return in[k], true
}

func newTree(name string, files []File) *Tree {
	nodes := make([]Node, 1+len(files))
	nodes[0] = Node{Name: name, File: -1}
	var dirs directories
	for k, f := range files {
		n := Node{File: int32(k)}
		if !f.Pad {
			n.Name, n.Parent = f.Path[len(f.Path)-1], dirs.number(dirs.of(f.Path), len(files))
		}
		nodes[1+k] = n
	}
	for _, d := range dirs.list {
		nodes = append(nodes, Node{Name: d.name, Parent: dirs.number(d.dir, len(files)), File: -1})
	}
	nodes = slices.Clip(nodes)
	fillChildren(nodes, files)
	return &Tree{nodes}
}

// fillChildren gives every directory its children, all in one allocation.
func fillChildren(nodes []Node, files []File) {
	shown := func(n *Node) bool { return n.File < 0 || !files[n.File].Pad }
	count := make([]int, len(nodes))
	total := 0
	for k := range nodes[1:] {
		if n := &nodes[1+k]; shown(n) {
			count[n.Parent]++
			total++
		}
	}
	room := make([]uint32, total)
	for k, n := range count {
		if n > 0 {
			nodes[k].Children, room = room[:0:n], room[n:]
		}
	}
	for k := range nodes[1:] {
		if n := &nodes[1+k]; shown(n) {
			in := &nodes[n.Parent].Children
			*in = append(*in, uint32(1+k))
		}
	}
	for k := range nodes {
		slices.SortFunc(nodes[k].Children, func(a, b uint32) int { return strings.Compare(nodes[a].Name, nodes[b].Name) })
	}
}

// entry is a name in a directory.
type entry struct {
	dir  uint32 // as directories numbers them
	name string
}

// directories numbers the directories that paths name, in order of first
// appearance: 0 is the torrent's own, n is list[n-1]. Two paths name the same
// directory if their safe elements are equal.
type directories struct {
	list []entry
	ids  map[entry]uint32

	// The path that was asked about last and where its directories are:
	// neighbours in a torrent mostly share them.
	path []string
	at   [MaxDepth]uint32
}

// of is the number of the directory that a path's last element is in.
func (d *directories) of(path []string) uint32 {
	dir, same := uint32(0), true
	for k, name := range path[:len(path)-1] {
		if same = same && k < len(d.path)-1 && d.path[k] == name; !same {
			d.at[k] = d.id(entry{dir, name})
		}
		dir = d.at[k]
	}
	d.path = path
	return dir
}

// id is the number of directory e, a new one if it was not named before.
func (d *directories) id(e entry) uint32 {
	if id, ok := d.ids[e]; ok {
		return id
	}
	if d.ids == nil {
		d.ids = make(map[entry]uint32)
	}
	d.list = append(d.list, e)
	id := uint32(len(d.list))
	d.ids[e] = id
	return id
}

// number is the place in Tree.Nodes of directory id, in a torrent of so many files.
func (d *directories) number(id uint32, files int) uint32 {
	if id == 0 {
		return 0
	}
	return uint32(files) + id
}

// tellApart makes the paths of all shown files different. The one rule, in the
// order in which names are given away:
//
//  1. a directory has its name;
//  2. the first file of a name has it, unless a directory does;
//  3. every other file gets the next free name of the series `stem (2).ext`.
//
// So a file and a directory of one name come out the same whichever is listed
// first. Time is linear: a number of a series that is taken is passed over
// once, and names are in one series at most.
func tellApart(files []File) error {
	var dirs directories
	in := make([]uint32, len(files)) // the directory each is in
	for k, f := range files {
		if !f.Pad {
			in[k] = dirs.of(f.Path)
		}
		if len(files)+len(dirs.list) > MaxEntries {
			return fmt.Errorf("torrent of too many files and directories: at most %d are supported", MaxEntries)
		}
	}
	taken := make(map[entry]struct{}, len(files)+len(dirs.list))
	for _, d := range dirs.list {
		taken[d] = struct{}{}
	}
	var clashes []int
	for k, f := range files {
		if f.Pad {
			continue
		}
		before := len(taken)
		if taken[entry{in[k], f.Path[len(f.Path)-1]}] = struct{}{}; len(taken) == before {
			clashes = append(clashes, k)
		}
	}
	type numbered struct {
		dir uint32
		series
	}
	given := make(map[numbered]int) // the number given last
	for _, k := range clashes {
		name := &files[k].Path[len(files[k].Path)-1]
		s := numbered{in[k], seriesOf(*name)}
		n := max(given[s], 1)
		for before := len(taken); len(taken) == before; {
			n++
			*name = s.name(n)
			taken[entry{in[k], *name}] = struct{}{}
		}
		given[s] = n
	}
	return nil
}
