package webseed

import (
	"net/url"
	"sort"
	"strings"

	"bipfs/wire"
)

// File is the place of one file in the torrent.
type File struct {
	Offset, Length int64 // bytes
	Pad            bool  // zeros, which no web seed has (BEP 47)
}

// Content is where the bytes of a torrent are at each of its web seeds. Nobody
// may change it.
type Content struct {
	wire.Geometry
	Files  []File // in the order of their bytes, without gaps
	Single bool   // the torrent is one file, without a folder around it
	// Path is the path of a file as the torrent spells it, from its name on.
	Path func(file int) []string
}

// part is a run of bytes of one file.
type part struct {
	file         int
	from, length int64
}

// part is the part that begins at offset off of the torrent, at most n bytes.
func (c *Content) part(off, n int64) part {
	i := sort.Search(len(c.Files), func(i int) bool { return c.Files[i].Offset+c.Files[i].Length > off })
	f := &c.Files[i]
	from := off - f.Offset
	return part{i, from, min(n, f.Length-from)}
}

// at is the block that begins at offset off of the torrent, if one does.
func (c *Content) at(off int64) (wire.Block, bool) {
	if off >= c.Length {
		return wire.Block{}, false
	}
	p, begin := wire.Piece(off/c.PieceLength), uint32(off%c.PieceLength)
	return c.Block(p, int(begin/wire.BlockSize)), begin%wire.BlockSize == 0
}

// url is where a web seed has a file (BEP 19): at its own URL, which for a
// folder, or when it ends in a slash, is the directory that the torrent's name
// is in. A query stays behind the path, a fragment is left out.
func (c *Content) url(base *url.URL, file int) string {
	u := *base
	u.Fragment, u.RawFragment = "", ""
	path := u.EscapedPath()
	switch slash := strings.HasSuffix(path, "/"); {
	case !slash && c.Single:
		return u.String()
	case !slash:
		path += "/"
	}
	for i, element := range c.Path(file) {
		if i > 0 {
			path += "/"
		}
		path += url.PathEscape(element)
	}
	u.RawPath = path
	u.Path, _ = url.PathUnescape(path) // it is escaped: by EscapedPath, and here
	return u.String()
}
