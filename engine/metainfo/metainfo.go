// Package metainfo reads and makes descriptions of torrents: .torrent files
// (BEP 3, 12, 19, 47, 52), info dictionaries that came from peers (BEP 9) and
// magnet links (BEP 9, 53).
//
//	.torrent ──Parse──▶ Torrent{Trackers, WebSeeds, …}
//	                       │
//	ut_metadata ──ParseInfo──▶ Info{Hash, Files, Geometry} ──Tree──▶ names and numbers
//	                       ▲
//	file or folder ──Create┘           magnet link ──ParseMagnet──▶ Magnet
//
// Whatever the way in, an info dictionary meets the same validator, and a name
// the same SafeName. Everything is bounded before anything is allocated for
// it. An error is one sentence that says what is wrong with the input; the
// caller says which input it was.
//
// What the field leaves open is decided here, once:
//
//	bytes after a .torrent's dictionary    ignored
//	a key twice in one dictionary          an error
//	keys out of order                      fine; the infohash is over the raw bytes
//	both `files` and `length`              `files`
//	`private`                              the integer 1 and nothing else
//	`path.utf-8`, `name.utf-8`             used where they are valid UTF-8
//	`announce` beside `announce-list`      `announce-list`, if a usable URL is in it (BEP 12)
//	files without a single byte            valid: a torrent of no pieces
//	v1 and v2 in one (hybrid)              both, if they say the same; else refused by name
//	no `piece layers`, or not all          fine: peers have them (BEP 52); a wrong one is an error
//	`attr` p in a file tree                ignored: there are no pads in one
//	a field that is not needed and odd     as if it were absent
package metainfo

import (
	"sync"

	"bipfs/wire"
	"bipfs/wire/bencode"
)

const (
	// MaxFile is the longest .torrent, and the longest info dictionary, in
	// bytes. The longest that the other limits allow has 40 MiB of hashes.
	MaxFile = 64 << 20

	// MaxDepth is the largest number of elements in the path of a file, the
	// torrent's own name not counted.
	MaxDepth = 100

	// maxNesting bounds lists and dictionaries inside one another. The file
	// tree of a hybrid torrent has one for each path element.
	maxNesting = MaxDepth + 8

	// MaxEntries is the largest number of files and directories together, the
	// torrent's own directory not counted.
	MaxEntries = 500_000

	// maxItems bounds the integers, strings, lists and dictionaries of a
	// torrent: six for a file, and one more for each directory in its path.
	maxItems = 3_000_000
)

// Info is an info dictionary that passed the validator. It must not be
// changed, nor copied.
type Info struct {
	// Hash is what handshakes and trackers know the torrent by: the SHA-1 of
	// Raw, or the beginning of V2 if the torrent is v2 only.
	Hash    wire.Digest
	V2      wire.Hash // SHA-256 of Raw, if it is in the format of BEP 52; else zero
	Raw     []byte    // the info dictionary as it came; nobody may change it
	Name    string    // what the torrent is called, as one safe path element
	Single  bool      // one file that has the torrent's name, no folder around it
	Private bool      // peers come from its trackers only (BEP 27)
	wire.Geometry
	Files []File // in the order of their bytes in the torrent; never empty

	pieces []byte      // the digests of all pieces (BEP 3), inside Raw; nil if v2 only
	roots  []wire.Hash // pieces roots (BEP 52), by file; zero for what has no bytes to verify
	layers layers

	once sync.Once
	tree *Tree
}

// File is one file of a torrent.
type File struct {
	// Path is the path below the torrent's directory: safe elements
	// (SafeName), different from every other shown path of the torrent. Pads
	// are not shown, and their paths not made unique. In a Single torrent it
	// is the torrent's Name alone.
	Path []string

	Offset, Length int64 // place in the torrent's bytes; a link can have bytes too

	// Link is the target of a symbolic link, relative to the link's own
	// directory, or "" if this is none. It leads to nowhere outside the
	// torrent's directory; it may lead to itself, to other links, or nowhere.
	Link string

	Executable bool // BEP 47 x
	Pad        bool // BEP 47 p: zeros, only there to align what follows; not shown
}

// HasV1 reports whether the torrent is in the format of BEP 3, alone or beside
// that of BEP 52.
func (i *Info) HasV1() bool { return i.ID().HasV1() }

// HasV2 reports whether it is in the format of BEP 52, alone or beside that of
// BEP 3.
func (i *Info) HasV2() bool { return i.ID().HasV2() }

// ID is all infohashes of the torrent.
func (i *Info) ID() ID { return ID{i.Hash, i.V2} }

// Size is how many bytes the files have that are shown: what Length counts
// beyond it are pads.
func (i *Info) Size() (n int64) {
	for _, f := range i.Files {
		if !f.Pad {
			n += f.Length
		}
	}
	return n
}

// PieceHash is the SHA-1 of piece p, which must be Valid, of a torrent that
// HasV1.
func (i *Info) PieceHash(p wire.Piece) wire.Digest {
	return wire.Digest(i.pieces[int(p)*len(wire.Digest{}):][:len(wire.Digest{})])
}

// validate checks that b is one value in bencode within the limits.
func validate(b []byte, trailing bool) (n int, err error) {
	return bencode.Validate(b, bencode.Limits{Depth: maxNesting, Items: maxItems, Trailing: trailing})
}
