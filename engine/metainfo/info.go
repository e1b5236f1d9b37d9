package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"bipfs/wire"
	"bipfs/wire/bencode"
)

// ParseInfo checks an info dictionary, wherever it came from, and reads it.
// The Info goes on using raw, which must not change any more.
func ParseInfo(raw []byte) (*Info, error) {
	if len(raw) > MaxFile {
		return nil, fmt.Errorf("broken torrent: its info dictionary is longer than %d MiB", MaxFile>>20)
	}
	if _, err := validate(raw, false); err != nil {
		return nil, broken(err)
	}
	return parseInfo(raw)
}

// parseInfo is ParseInfo for what is known to be one value in bencode.
func parseInfo(raw []byte) (*Info, error) {
	if !bencode.IsDictionary(raw) {
		return nil, errors.New("broken torrent: its `info` is not a dictionary")
	}
	d := infoDict(raw)
	v2, err := d.isV2()
	if err != nil {
		return nil, err
	}
	i := &Info{Hash: sha1.Sum(raw), Raw: raw}
	if v2 {
		i.V2 = sha256.Sum256(raw)
	}
	if v2 && d.pieces == nil {
		i.Hash = i.V2.Short()
	}
	private, ok := bencode.Integer(d.private)
	i.Private = ok && private == 1

	name, ok := text(d.name, d.nameUTF8)
	if !ok {
		return nil, errors.New("broken torrent: it has no name")
	}
	if i.Name = SafeName(name); name == "" {
		i.Name = hex.EncodeToString(i.Hash[:])
	}
	if i.HasV1() {
		if err := i.readFiles(d); err != nil {
			return nil, err
		}
	}
	if err := i.readPieces(d); err != nil {
		return nil, err
	}
	if v2 {
		if err := i.readFileTree(d); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// dict is the values of an info dictionary that are looked at, nil if absent.
type dict struct {
	name, nameUTF8                 bencode.Raw
	pieceLength, pieces            bencode.Raw
	files                          bencode.Raw // of a folder
	length, attr                   bencode.Raw // of a single file
	private, metaVersion, fileTree bencode.Raw
}

func infoDict(raw []byte) *dict {
	d := new(dict)
	for key, v := range bencode.Dictionary(raw) {
		switch string(key) {
		case "name":
			d.name = v
		case "name.utf-8":
			d.nameUTF8 = v
		case "piece length":
			d.pieceLength = v
		case "pieces":
			d.pieces = v
		case "files":
			d.files = v
		case "length":
			d.length = v
		case "attr":
			d.attr = v
		case "private":
			d.private = v
		case "meta version":
			d.metaVersion = v
		case "file tree":
			d.fileTree = v
		}
	}
	return d
}

// isV2 reports whether the torrent is in the format of BEP 52, alone or beside
// that of BEP 3. A file tree alone does not make it so: it is a key like any
// other that nobody knows.
func (d *dict) isV2() (bool, error) {
	version, ok := bencode.Integer(d.metaVersion)
	switch {
	case d.metaVersion != nil && !ok:
		return false, errors.New("broken torrent: its meta version is not a number")
	case ok && version != 1 && version != 2:
		return false, fmt.Errorf("torrents of meta version %d are not supported", version)
	case version != 2 && d.pieces == nil && d.fileTree != nil:
		return false, errors.New("broken torrent: it has a file tree and no meta version")
	}
	return version == 2, nil
}

// readFiles reads the names and lengths of all files.
func (i *Info) readFiles(d *dict) error {
	if d.files == nil {
		if d.length == nil {
			return errors.New("broken torrent: it has neither files nor a length")
		}
		i.Single = true
		return i.add(fileDict{length: d.length, attr: d.attr}, []string{i.Name})
	}
	var names pathNames
	var links []link
	for v := range bencode.List(d.files) {
		f := newFileDict(v)
		path, ok := names.read(f.pathUTF8, true)
		if !ok {
			path, ok = names.read(f.path, false)
		}
		if !ok {
			return fmt.Errorf("broken torrent: file %d has no path, or one of more than %d elements", len(i.Files)+1, MaxDepth)
		}
		if f.is("l") {
			links = append(links, link{len(i.Files), f.link})
		}
		if err := i.add(f, path); err != nil {
			return err
		}
	}
	if len(i.Files) == 0 {
		return errors.New("broken torrent: it has no files")
	}
	i.Files = slices.Clone(i.Files) // without the room that append left
	if err := tellApart(i.Files); err != nil {
		return err
	}
	i.settleLinks(links)
	return nil
}

// fileDict is the values of one file's dictionary, nil if absent.
type fileDict struct{ path, pathUTF8, length, attr, link, root bencode.Raw }

// is reports whether the file has an attribute of BEP 47: l, x, p or h.
func (f *fileDict) is(attribute string) bool {
	all, _ := bencode.String(f.attr)
	return strings.Contains(string(all), attribute)
}

func newFileDict(v []byte) (f fileDict) {
	for key, v := range bencode.Dictionary(v) {
		switch string(key) {
		case "path":
			f.path = v
		case "path.utf-8":
			f.pathUTF8 = v
		case "length":
			f.length = v
		case "attr":
			f.attr = v
		case "symlink path":
			f.link = v
		case "pieces root":
			f.root = v
		}
	}
	return f
}

// add appends a file to i.Files, behind the bytes of those before it.
func (i *Info) add(f fileDict, path []string) error {
	length, ok := bencode.Integer(f.length)
	if f.length == nil && f.is("l") {
		ok = true // a link has no bytes, and some writers say so by saying nothing
	}
	if !ok || length < 0 || length > math.MaxInt64-i.Length {
		return fmt.Errorf("broken torrent: the length of file %d is no number of bytes, or too large a one", len(i.Files)+1)
	}
	i.Files = append(i.Files, File{
		Path:       path,
		Offset:     i.Length,
		Length:     length,
		Executable: f.is("x"),
		Pad:        f.is("p") && !i.Single,
	})
	i.Length += length
	return nil
}

// readPieces reads the piece length, and checks that there is one digest for
// each piece of BEP 3, before anything is allocated for their number.
func (i *Info) readPieces(d *dict) error {
	length, ok := bencode.Integer(d.pieceLength)
	if !ok || length < 1 || length > wire.MaxPieceLength {
		return fmt.Errorf("broken torrent: its piece length is not in 1 to %d", wire.MaxPieceLength)
	}
	i.PieceLength = length
	if !i.HasV1() {
		return nil
	}
	if err := i.checkPieces(); err != nil {
		return err
	}
	if i.pieces, ok = bencode.String(d.pieces); !ok {
		return errors.New("broken torrent: it has no piece hashes")
	}
	if have, want := len(i.pieces), i.Pieces()*len(wire.Digest{}); have != want {
		return fmt.Errorf("broken torrent: its piece hashes are %d bytes, and would have to be %d", have, want)
	}
	return nil
}

// checkPieces refuses more pieces than a torrent may have.
func (i *Info) checkPieces() error {
	if i.Length > wire.MaxPieces*i.PieceLength {
		return fmt.Errorf("torrent of too many pieces: %d bytes in pieces of %d; at most %d pieces are supported",
			i.Length, i.PieceLength, wire.MaxPieces)
	}
	return nil
}

// pathNames makes shown names of path elements. Neighbouring files mostly
// share their directories, and so the memory of these names.
type pathNames struct {
	raw  [][]byte // of the path before, and the same made safe:
	safe []string
}

// read is the safe elements of a path; not ok if it is none, or if only UTF-8
// will do and it is something else.
func (n *pathNames) read(v bencode.Raw, onlyUTF8 bool) (path []string, ok bool) {
	var raw [MaxDepth][]byte
	depth := 0
	for e := range bencode.List(v) {
		b, ok := bencode.String(e)
		if !ok || depth == MaxDepth || onlyUTF8 && !utf8.Valid(b) {
			return nil, false
		}
		raw[depth] = b
		depth++
	}
	if depth == 0 {
		return nil, false
	}
	path = make([]string, depth)
	for k, b := range raw[:depth] {
		if k < len(n.raw) && string(b) == string(n.raw[k]) {
			path[k] = n.safe[k]
		} else {
			path[k] = SafeName(string(b))
		}
	}
	n.raw, n.safe = append(n.raw[:0], raw[:depth]...), path
	return path, true
}

// text is the string v, or its twin in UTF-8 if there is a valid one.
func text(v, twin bencode.Raw) (string, bool) {
	if s, ok := bencode.String(twin); ok && utf8.Valid(s) && len(s) > 0 {
		return string(s), true
	}
	s, ok := bencode.String(v)
	return string(s), ok
}

// broken says what is wrong with bencode in a user's words.
func broken(err error) error {
	if errors.Is(err, bencode.ErrTruncated) {
		return errors.New("broken torrent: it is cut short")
	}
	return fmt.Errorf("broken torrent: %w", err)
}
