package metainfo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bipfs/wire"
)

const (
	// Create chooses piece lengths between these, in bytes, for about
	// piecesWanted pieces: few enough that the .torrent stays small, enough that
	// the first byte of a file is not long in coming.
	minPieceLength = 16 << 10
	maxPieceLength = 16 << 20
	piecesWanted   = 1500
)

// CreateOptions say how Create makes a torrent.
type CreateOptions struct {
	Format      Format    // V1 unless set
	PieceLength int64     // bytes: a power of two, 16 KiB to wire.MaxPieceLength; 0 = by size
	Trackers    []string  // http, https or udp; each becomes a tier of its own
	WebSeeds    []string  // http or https (BEP 19)
	Created     time.Time // the creation date to write; zero = none

	// Progress, if not nil, is told how many bytes of all were hashed, after
	// each piece. Calls do not overlap, and done never falls.
	Progress func(done, total int64)
}

// Create makes a torrent of the file or folder at path.
//
// In a folder, files are in the order of their names, each directory where its
// own name would be. Links that stay inside the folder are kept as BEP 47 links;
// links that lead out of it, and what is neither file, folder nor link, is left
// out. Empty directories have no place in a torrent. The path itself may be a
// link.
//
// A file that cannot be read, or that changes while it is read, is an error
// that names it, and so is a folder with nothing in it.
func Create(ctx context.Context, path string, opt CreateOptions) (*Torrent, error) {
	if l := opt.PieceLength; l != 0 && (l < minPieceLength || l > wire.MaxPieceLength || bits.OnesCount64(uint64(l)) != 1) {
		return nil, fmt.Errorf("piece length %d is not a power of two from 16 KiB to %d MiB", l, wire.MaxPieceLength>>20)
	}
	t := &Torrent{Created: opt.Created.UTC().Truncate(time.Second)}
	for _, tracker := range opt.Trackers {
		if !usable(tracker, trackerSchemes) {
			return nil, fmt.Errorf("tracker %q is not an http, https or udp URL", tracker)
		}
		t.Trackers = append(t.Trackers, []string{tracker})
	}
	for _, seed := range opt.WebSeeds {
		if !usable(seed, webSeedSchemes) {
			return nil, fmt.Errorf("web seed %q is not an http or https URL", seed)
		}
	}
	t.WebSeeds = opt.WebSeeds
	s, err := gather(ctx, path)
	if err != nil {
		return nil, err
	}
	s.geometry.PieceLength = opt.PieceLength
	if opt.PieceLength == 0 {
		s.geometry.PieceLength = pieceLengthFor(s.geometry.Length)
	}
	s.lay(opt.Format)
	if most := wire.MaxPieces * s.geometry.PieceLength; s.geometry.Length > most {
		return nil, fmt.Errorf("%s: too large for pieces of %d bytes; at most %d pieces are supported",
			path, s.geometry.PieceLength, wire.MaxPieces)
	}
	if err := s.hash(ctx, opt.Progress); err != nil {
		return nil, err
	}
	if t.Info, err = ParseInfo(s.infoDict()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, tree := range t.Info.Missing() {
		if err := t.Info.AddLayer(tree, s.nodes[tree.First:][:tree.Pieces()]); err != nil {
			panic(err) // the root was made of this very layer
		}
	}
	return t, nil
}

// pieceLengthFor is the piece length for so many bytes.
func pieceLengthFor(length int64) int64 {
	l := int64(minPieceLength)
	for l < maxPieceLength && length/l >= piecesWanted {
		l *= 2
	}
	return l
}

// sources are the files that a torrent is made of.
type sources struct {
	name     string // of the torrent
	single   bool
	files    []source
	geometry wire.Geometry
	format   Format
	pieces   []byte      // digests of all pieces, unless the format is V2Only
	nodes    []wire.Hash // of all pieces, unless it is V1
}

// source is one of them.
type source struct {
	at         string   // where it is
	path, link []string // elements below the torrent's directory; link: target, likewise
	offset     int64    // in the torrent
	length     int64    // bytes; 0 for a link
	modified   time.Time
	executable bool
}

// gather lists what is to be in the torrent, without reading any of it.
func gather(ctx context.Context, path string) (*sources, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	s := &sources{name: filepath.Base(root)}
	if s.name == "/" {
		return nil, errors.New("the root directory has no name to call a torrent by")
	}
	if st.Mode().IsRegular() {
		s.single = true
		s.add(source{at: root, path: []string{s.name}}, st)
		return s, nil
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("%s: neither a file nor a folder", path)
	}
	// The trailing slash makes WalkDir walk through a link at the root.
	err = filepath.WalkDir(root+"/", func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return ctx.Err()
		}
		return s.visit(root, at, d)
	})
	if err != nil {
		return nil, err
	}
	if len(s.files) == 0 {
		return nil, fmt.Errorf("%s: no files in it", path)
	}
	return s, nil
}

// visit takes one entry of the folder in, or leaves it out.
func (s *sources) visit(root, at string, d fs.DirEntry) error {
	below, err := filepath.Rel(root, at)
	if err != nil {
		return err
	}
	f := source{at: at, path: strings.Split(below, "/")}
	if len(f.path) > MaxDepth {
		return fmt.Errorf("%s: more than %d folders deep", at, MaxDepth-1)
	}
	switch {
	case d.Type()&fs.ModeSymlink != 0:
		to, err := os.Readlink(at)
		if err != nil {
			return err
		}
		target := filepath.Join(filepath.Dir(below), to)
		if filepath.IsAbs(to) || !filepath.IsLocal(target) || target == "." {
			return nil
		}
		f.link, f.offset = strings.Split(target, "/"), s.geometry.Length
		s.files = append(s.files, f)
		return nil
	case d.Type().IsRegular():
		st, err := d.Info()
		if err != nil {
			return err
		}
		s.add(f, st)
	}
	return nil
}

// add appends a regular file, behind the bytes of those before it.
func (s *sources) add(f source, st fs.FileInfo) {
	f.offset, f.length, f.modified = s.geometry.Length, st.Size(), st.ModTime()
	f.executable = st.Mode()&0o100 != 0
	s.files = append(s.files, f)
	s.geometry.Length += f.length
}
