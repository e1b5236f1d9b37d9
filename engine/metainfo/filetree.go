package metainfo

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"bipfs/wire"
	"bipfs/wire/bencode"
)

// The format of BEP 52: files in a tree of dictionaries, each with the root of
// its own hash tree.
//
//	file tree ──treeReader──▶ treeFiles ──lay──▶ Files, Tails, roots     v2 only
//	                              └──────agree──▶ roots                   hybrid: the
//	                                                Files are v1's, if both say the same

// padding is the name of the directory that pads are in (BEP 47).
const padding = ".pad"

// treeFile is a file of a file tree.
type treeFile struct {
	path       []string // safe elements
	length     int64
	root       wire.Hash // zero if the file is empty
	executable bool
	linked     bool
	link       bencode.Raw // `symlink path`, nil if absent
}

// treeReader reads a file tree in one pass, however deep it is.
type treeReader struct {
	*bencode.Cursor
	files []treeFile
	path  []string
}

func readTree(v bencode.Raw) ([]treeFile, error) {
	r := treeReader{Cursor: bencode.NewCursor(v)}
	if !r.Enter() {
		return nil, errors.New("broken torrent: its file tree is not a dictionary")
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		if err := r.entry(key); err != nil {
			return nil, err
		}
	}
	if len(r.files) == 0 {
		return nil, errors.New("broken torrent: it has no files")
	}
	return r.files, nil
}

// entry reads the file or directory called name, which the cursor stands
// before.
func (r *treeReader) entry(name []byte) error {
	switch {
	case len(name) == 0:
		return errors.New("broken torrent: something in its file tree is both a file and a directory")
	case len(r.path) == MaxDepth:
		return fmt.Errorf("broken torrent: its file tree is more than %d elements deep", MaxDepth)
	case !r.Enter():
		return errors.New("broken torrent: something in its file tree is neither a file nor a directory")
	}
	r.path = append(r.path, SafeName(string(name)))
	defer func() { r.path = r.path[:len(r.path)-1] }()
	for at := 0; ; at++ {
		key, ok := r.Key()
		if !ok {
			return nil
		}
		if len(key) > 0 || at > 0 {
			if err := r.entry(key); err != nil {
				return err
			}
			continue
		}
		if err := r.file(r.Value()); err != nil {
			return err
		}
		if _, more := r.Key(); more {
			return r.entry(nil) // both
		}
		return nil
	}
}

// file reads the description of the file at r.path.
func (r *treeReader) file(v bencode.Raw) error {
	d := newFileDict(v)
	f := treeFile{path: slices.Clone(r.path), executable: d.is("x"), linked: d.is("l"), link: d.link}
	length, ok := bencode.Integer(d.length)
	if d.length == nil && f.linked {
		ok = true
	}
	if !ok || length < 0 || length > wire.MaxPieces*wire.MaxPieceLength {
		return fmt.Errorf("broken torrent: the length of file %d is no number of bytes, or too large a one", len(r.files)+1)
	}
	f.length = length
	if length > 0 {
		root, _ := bencode.String(d.root)
		if len(root) != len(f.root) || wire.Hash(root) == (wire.Hash{}) {
			return fmt.Errorf("broken torrent: the pieces root of file %d is not one of %d bytes", len(r.files)+1, len(f.root))
		}
		f.root = wire.Hash(root)
	}
	r.files = append(r.files, f)
	return nil
}

// readFileTree reads the files of a torrent of BEP 52. The piece length of i
// is set, and in a hybrid its files are those of BEP 3.
func (i *Info) readFileTree(d *dict) error {
	if l := i.PieceLength; l < wire.BlockSize || bits.OnesCount64(uint64(l)) != 1 {
		return fmt.Errorf("broken torrent: its piece length is %d; in a torrent of meta version 2 it is a power of two, %d or more", l, wire.BlockSize)
	}
	if d.fileTree == nil {
		return errors.New("broken torrent: it is of meta version 2 and has no file tree")
	}
	files, err := readTree(d.fileTree)
	if err != nil {
		return err
	}
	if i.HasV1() {
		return i.agree(files)
	}
	return i.lay(files)
}

// lay puts files into the bytes of the torrent, each with a piece of its own.
// What is left of the last piece of the one before is a pad, as it is in a
// hybrid, so that files and pads are the whole torrent in both; but the pad is
// in no piece.
func (i *Info) lay(files []treeFile) error {
	i.Single = len(files) == 1 && len(files[0].path) == 1 && files[0].path[0] == i.Name
	i.V2Only = true
	last := len(files) - 1
	for last > 0 && files[last].length == 0 {
		last--
	}
	var links []link
	for k, f := range files {
		if f.linked {
			links = append(links, link{len(i.Files), f.link})
		}
		i.put(File{Path: f.path, Length: f.length, Executable: f.executable}, f.root)
		if tail := i.Length % i.PieceLength; tail > 0 && f.length > 0 && k < last {
			pad := i.PieceLength - tail
			i.Tails = append(i.Tails, wire.Extent{Piece: wire.Piece(i.Length / i.PieceLength), Length: uint32(tail)})
			i.put(File{Path: []string{padding, strconv.FormatInt(pad, 10)}, Length: pad, Pad: true}, wire.Hash{})
		}
		if err := i.checkPieces(); err != nil {
			return err
		}
	}
	i.Files, i.roots, i.Tails = slices.Clone(i.Files), slices.Clone(i.roots), slices.Clone(i.Tails)
	if err := tellApart(i.Files); err != nil {
		return err
	}
	i.settleLinks(links)
	return nil
}

// put appends a file and its root, behind the bytes of those before it.
func (i *Info) put(f File, root wire.Hash) {
	f.Offset = i.Length
	i.Files, i.roots = append(i.Files, f), append(i.roots, root)
	i.Length += f.Length
}

// agree gives the files of a hybrid their roots and tails, if the file tree has
// the same files in the same order and at the same places. A reader could not be told
// which of two contents he gets otherwise.
func (i *Info) agree(files []treeFile) error {
	other := &Info{Name: i.Name, Geometry: wire.Geometry{PieceLength: i.PieceLength}}
	if err := other.lay(files); err != nil {
		return err
	}
	i.roots = make([]wire.Hash, len(i.Files))
	next := 0 // of other.Files
	for k := range i.Files {
		f := &i.Files[k]
		if f.Pad {
			continue
		}
		for next < len(other.Files) && other.Files[next].Pad {
			next++
		}
		if next == len(other.Files) {
			return fmt.Errorf("inconsistent hybrid torrent: file %d is not in its file tree", k+1)
		}
		twin := &other.Files[next]
		if !slices.Equal(f.Path, twin.Path) || f.Length != twin.Length || f.Length > 0 && f.Offset != twin.Offset {
			return fmt.Errorf("inconsistent hybrid torrent: file %d is another one, or elsewhere, in its file tree", k+1)
		}
		i.roots[k] = other.roots[next]
		next++
	}
	if next != len(other.Files) {
		return errors.New("inconsistent hybrid torrent: its file tree has more files")
	}
	if i.Single != other.Single || i.Length-other.Length >= i.PieceLength {
		return errors.New("inconsistent hybrid torrent: its file tree is of another shape")
	}
	i.Tails = other.Tails
	if last := wire.Piece(other.Pieces() - 1); i.Length > other.Length && i.Valid(last) {
		i.Tails = append(i.Tails, other.Whole(last))
	}
	return nil
}
