package fs

import "strings"

// Place is a name in the tree, and the way to it.
type Place struct {
	Path string // below the root
	IDs  []ID   // what each element of Path means, or meant
}

// Last is the directory that the last element stands in, and the element.
func (p Place) Last() (dir ID, name string) {
	dir = Root
	if n := len(p.IDs); n > 1 {
		dir = p.IDs[n-2]
	}
	return dir, p.Path[strings.LastIndexByte(p.Path, '/')+1:]
}

// Parent is where the directory is that the last element stands in; false if that is the
// root.
func (p Place) Parent() (Place, bool) {
	if len(p.IDs) < 2 {
		return Place{}, false
	}
	return Place{p.Path[:strings.LastIndexByte(p.Path, '/')], p.IDs[:len(p.IDs)-1]}, true
}

// is reports whether a name in a directory is the last element.
func (p Place) is(dir ID, name string) bool {
	in, called := p.Last()
	return in == dir && called == name
}

// ID is what the last element means.
func (p Place) ID() ID { return p.IDs[len(p.IDs)-1] }

// way is what a name in a directory means, if it is an element on the way to the last.
func (p Place) way(dir ID, name string) (id ID, ok bool) {
	in := Root
	path := p.Path
	for _, id := range p.IDs[:max(0, len(p.IDs)-1)] {
		element, rest, _ := strings.Cut(path, "/")
		if in == dir && element == name {
			return id, true
		}
		in, path = id, rest
	}
	return 0, false
}
