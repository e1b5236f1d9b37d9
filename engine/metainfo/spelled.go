package metainfo

import (
	"strings"
	"unicode/utf8"

	"bipfs/wire/bencode"
)

// SpelledPaths is the path of each file as the torrent spells it, its name
// first: a web seed knows a file by this one, not by the one that is shown. An
// element that would lead elsewhere (empty, a dot or two, one with a slash) is
// as it is shown.
func (i *Info) SpelledPaths() func(file int) []string {
	d := infoDict(i.Raw)
	name, _ := text(d.name, d.nameUTF8)
	name = spelled(name, i.Name)
	if i.Single {
		return func(int) []string { return []string{name} }
	}
	paths := make([]bencode.Raw, 0, len(i.Files))
	for v := range bencode.List(d.files) {
		f := newFileDict(v)
		if readable(f.pathUTF8) {
			paths = append(paths, f.pathUTF8)
		} else {
			paths = append(paths, f.path)
		}
	}
	return func(file int) []string {
		path := []string{name}
		for e := range bencode.List(paths[file]) {
			b, _ := bencode.String(e)
			path = append(path, spelled(string(b), SafeName(string(b))))
		}
		return path
	}
}

// readable reports whether v is a path that readFiles takes: one of UTF-8.
func readable(v bencode.Raw) bool {
	n := 0
	for e := range bencode.List(v) {
		b, ok := bencode.String(e)
		if n++; !ok || n > MaxDepth || !utf8.Valid(b) {
			return false
		}
	}
	return n > 0
}

// spelled is a path element as it is, or as it is shown if it is not plain.
func spelled(element, shown string) string {
	if element == "" || element == "." || element == ".." || strings.ContainsAny(element, "/\x00") {
		return shown
	}
	return element
}
