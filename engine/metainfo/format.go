package metainfo

import (
	"maps"
	"slices"
	"strconv"

	"bipfs/wire"
	"bipfs/wire/bencode"
	"bipfs/wire/merkle"
)

// Format is which BEPs a torrent is made for.
type Format uint8

// The formats.
const (
	V1     Format = iota // BEP 3
	Hybrid               // BEP 3 and 52
	V2Only               // BEP 52
)

// lay settles where files begin, and that they begin with a piece of their own
// if the format is not V1.
func (s *sources) lay(format Format) {
	s.format = format
	if format == V1 {
		return
	}
	l := s.geometry.PieceLength
	at := int64(0)
	for k := range s.files {
		f := &s.files[k]
		if tail := at % l; tail > 0 && f.length > 0 {
			if format == V2Only {
				s.geometry.Tails = append(s.geometry.Tails, wire.Extent{Piece: wire.Piece(at / l), Length: uint32(tail)})
			}
			at += l - tail
		}
		f.offset = at
		at += f.length
	}
	s.geometry.Length = at
}

// fileEntry is one entry of `files` (BEP 3, 47).
type fileEntry struct {
	Attr   string   `bencode:"attr,omitempty"`
	Length int64    `bencode:"length"`
	Path   []string `bencode:"path"`
	Link   []string `bencode:"symlink path,omitempty"`
}

// attr is the file's attributes (BEP 47).
func (f *source) attr() string {
	switch {
	case f.link != nil:
		return "l"
	case f.executable:
		return "x"
	}
	return ""
}

// entries are those of a dictionary, encoded.
type entries map[string]bencode.Raw

// encode is the dictionary.
func (e entries) encode() bencode.Raw {
	b := bencode.Raw{'d'}
	for _, key := range slices.Sorted(maps.Keys(e)) {
		b = append(bencode.AppendString(b, key), e[key]...)
	}
	return append(b, 'e')
}

// encoded is v, which is our own.
func encoded(v any) bencode.Raw {
	b, err := bencode.Encode(v)
	if err != nil {
		panic(err)
	}
	return b
}

// infoDict is the info dictionary.
func (s *sources) infoDict() bencode.Raw {
	d := entries{"name": encoded(s.name), "piece length": encoded(s.geometry.PieceLength)}
	if s.format != V1 {
		d["meta version"] = encoded(int64(2))
		d["file tree"] = s.fileTree()
	}
	if s.format == V2Only {
		return d.encode()
	}
	d["pieces"] = encoded(s.pieces)
	if !s.single {
		d["files"] = encoded(s.fileList())
		return d.encode()
	}
	d["length"] = encoded(s.geometry.Length)
	if attr := s.files[0].attr(); attr != "" {
		d["attr"] = encoded(attr)
	}
	return d.encode()
}

// fileList is `files`. In a hybrid a pad follows each file that ends inside a
// piece, but for the last one that has bytes.
func (s *sources) fileList() []fileEntry {
	entries := make([]fileEntry, 0, len(s.files))
	for k := range s.files {
		f := &s.files[k]
		entries = append(entries, fileEntry{Attr: f.attr(), Length: f.length, Path: f.path, Link: f.link})
		end := f.offset + f.length
		if tail := end % s.geometry.PieceLength; s.format == Hybrid && tail > 0 && f.length > 0 && end < s.geometry.Length {
			pad := s.geometry.PieceLength - tail
			entries = append(entries, fileEntry{Attr: "p", Length: pad, Path: []string{padding, strconv.FormatInt(pad, 10)}})
		}
	}
	return entries
}

// treeEntry is one file of a `file tree` (BEP 52, 47).
type treeEntry struct {
	Attr   string   `bencode:"attr,omitempty"`
	Length int64    `bencode:"length"`
	Root   []byte   `bencode:"pieces root,omitempty"`
	Link   []string `bencode:"symlink path,omitempty"`
}

// fileTree is `file tree`, with the roots of the files.
func (s *sources) fileTree() bencode.Raw {
	tree, _ := s.directory(s.files, 0)
	return tree
}

// directory is the directory that the first of files is in at a depth, and the
// files behind it. Files are in the order of their names, so those of one
// directory are in a row.
func (s *sources) directory(files []source, depth int) (dir bencode.Raw, rest []source) {
	d := entries{}
	in := files[0].path[:depth]
	for len(files) > 0 && len(files[0].path) > depth && slices.Equal(files[0].path[:depth], in) {
		name := files[0].path[depth]
		if len(files[0].path) > depth+1 {
			d[name], files = s.directory(files, depth+1)
			continue
		}
		d[name] = entries{"": s.treeEntry(&files[0])}.encode()
		files = files[1:]
	}
	return d.encode(), files
}

// treeEntry is what a file tree says of a file.
func (s *sources) treeEntry(f *source) bencode.Raw {
	e := treeEntry{Attr: f.attr(), Length: f.length, Link: f.link}
	if f.length > 0 {
		tree := merkle.Tree{Length: f.length, PieceLength: s.geometry.PieceLength}
		nodes := s.nodes[f.offset/s.geometry.PieceLength:][:tree.Pieces()]
		root := merkle.Root(nodes, tree.PieceLayer(), tree.Height())
		e.Root = root[:]
	}
	return encoded(e)
}
