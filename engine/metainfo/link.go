package metainfo

import (
	"slices"
	"strings"

	"bipfs/wire/bencode"
)

// maxLink is the longest target of a symbolic link in bytes (PATH_MAX of
// Linux, without the NUL).
const maxLink = 4095

// link is a symbolic link whose target is not settled yet.
type link struct {
	file   int         // its place in Files
	target bencode.Raw // `symlink path`, nil if absent
}

// settleLinks gives links their targets. A target that leads out of the
// torrent, or that nobody can make sense of, leaves an ordinary file, mostly
// an empty one.
//
// BEP 47 says that a target begins at the torrent's directory; libtorrent, who
// wrote most of the links there are, writes targets that begin at the link's.
// The first reading of the two that finds something is taken. A target that
// finds nothing is kept if it stays inside the torrent by the first reading.
//
// Targets are joined as names, without a look at what links lie on the way.
// That is enough to stay inside: no directory of a path is a link (a link of
// that name gets another one), so each `..` that is written here leaves one real
// directory, and none is written behind a name.
func (i *Info) settleLinks(links []link) {
	for _, l := range links {
		f := &i.Files[l.file]
		if f.Pad {
			continue
		}
		dir := f.Path[:len(f.Path)-1]
		target, inside := follow(nil, l.target)
		if !inside || !i.Tree().has(target) {
			if other, ok := follow(dir, l.target); ok && i.Tree().has(other) {
				target, inside = other, true
			}
		}
		if inside {
			f.Link = relative(dir, target)
		}
		f.Executable = f.Executable && f.Link == ""
	}
}

// follow is where a target leads from directory dir; not ok if out of the
// torrent, to the torrent's own directory, or nowhere that has a name.
func follow(dir []string, target bencode.Raw) (path []string, ok bool) {
	path = slices.Clone(dir)
	elements := 0
	for e := range bencode.List(target) {
		elements++
		b, ok := bencode.String(e)
		name := string(b)
		switch {
		case !ok || name == "" || name == "." || strings.ContainsAny(name, "/\x00"):
			return nil, false
		case name != ".." && len(path) < MaxDepth:
			path = append(path, SafeName(name))
		case name == ".." && len(path) > 0:
			path = path[:len(path)-1]
		default:
			return nil, false
		}
	}
	return path, len(path) > 0 && elements > 0
}

// relative is the way from directory dir to target, or "" if that is too long
// for a link.
func relative(dir, target []string) string {
	same := 0
	for same < min(len(dir), len(target)-1) && dir[same] == target[same] {
		same++
	}
	to := strings.Repeat("../", len(dir)-same) + strings.Join(target[same:], "/")
	if len(to) > maxLink {
		return ""
	}
	return to
}

// has reports whether there is anything at path.
func (t *Tree) has(path []string) bool {
	at := uint32(0)
	for _, name := range path {
		var ok bool
		if at, ok = t.Lookup(at, name); !ok {
			return false
		}
	}
	return true
}
