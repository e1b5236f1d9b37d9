package diskcache

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"bipfs/wire"
)

// The journal says which pieces of a torrent are in its data files. All
// numbers are little endian.
//
//	0      header, 4096 bytes
//	         0  "bipfsjnl"
//	         8  version, 4 bytes: 2
//	        12  length of a record, 4
//	        16  piece length, 8
//	        24  length of the torrent, 8
//	        32  fingerprint, 20: SHA-1 over the files and piece hashes
//	        52  CRC32C of the 52 bytes before, 4
//	        56  zeros
//	4096   records, all of one length, in the order in which pieces were stored
//	         0  mark: 0 none, 1 written, 2 durable
//	         1  zeros, 3
//	         4  piece, 4
//	         8  boot id of the run of the machine that wrote the data, 16
//	        24  bitmap of the blocks that are stored, high bit first
//	         …  CRC32C of each block, 4 each
//	         …  CRC32C of the record before it, 4
//
// Pieces that are stored together so have records beside each other, whatever their
// numbers: one call writes them all, and one more marks them durable. A piece keeps
// its place as long as it is here; a place that is free is used again, so there
// are no more of them than pieces.
//
// A record that is torn, by its CRC, is none. So is one whose bitmap is not
// full: a piece is stored whole; the bitmap is there for hashes by block.
// Written means that the data was handed to the system, so that it outlives
// this process; durable, that it was synced. Neither is believed: every block
// that is read back has to have its CRC.
const (
	journalMagic   = "bipfsjnl"
	journalVersion = 2
	journalHeader  = 4096
	recordHead     = 24
)

type mark byte

const (
	none mark = iota
	written
	durable
)

// castagnoli is the polynomial of CRC32C, which processors know.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of a journal that cannot be used.
var (
	ErrVersion = errors.New("the journal was written by a newer version of this program")
	errForeign = errors.New("the journal is not one of this torrent")
)

type journal struct {
	files       *files
	name        string
	geo         wire.Geometry
	fingerprint [20]byte
	boot        [16]byte

	// turn is for file, and for one write at a time: whoever puts something in
	// has it. It is no mutex, as it is held while the disk works.
	turn  chan struct{}
	file  Handle   // nil until there is one
	place []uint32 // by piece: 1 + that of its record; 0: it has none
	free  []uint32 // places that are nobody's
	next  uint32   // the first place after all of them
}

func recordLength(g wire.Geometry) int {
	n := g.MostBlocks()
	return recordHead + (n+7)/8 + 4*n + 4
}

// fingerprint identifies what the data files are to hold.
func fingerprint(s Spec) (sum [20]byte) {
	h := sha1.New()
	for _, f := range s.Files {
		var b [9]byte
		binary.LittleEndian.PutUint64(b[:], uint64(f.Length))
		if f.Pad {
			b[8] = 1
		}
		h.Write(b[:])
	}
	if s.Hash == nil {
		for _, f := range s.Files {
			h.Write(f.Root[:])
		}
	} else {
		for p := range s.Geometry.Pieces() {
			d := s.Hash(wire.Piece(p))
			h.Write(d[:])
		}
	}
	h.Sum(sum[:0])
	return sum
}

func (j *journal) header() []byte {
	b := make([]byte, journalHeader)
	copy(b, journalMagic)
	binary.LittleEndian.PutUint32(b[8:], journalVersion)
	binary.LittleEndian.PutUint32(b[12:], uint32(recordLength(j.geo)))
	binary.LittleEndian.PutUint64(b[16:], uint64(j.geo.PieceLength))
	binary.LittleEndian.PutUint64(b[24:], uint64(j.geo.Length))
	copy(b[32:], j.fingerprint[:])
	binary.LittleEndian.PutUint32(b[52:], crc32.Checksum(b[:52], castagnoli))
	return b
}

// checkHeader tells whether b is the header of this journal: nil, ErrVersion,
// or errForeign, which includes a torn one.
func (j *journal) checkHeader(b []byte) error {
	want := j.header()
	if len(b) < 56 || string(b[:8]) != journalMagic {
		return errForeign
	}
	v := binary.LittleEndian.Uint32(b[8:])
	if v > journalVersion {
		return fmt.Errorf("%w: version %d, this one knows %d", ErrVersion, v, journalVersion)
	}
	if v == olderVersion && string(b[:56]) == string(j.olderHeader()) {
		return errOlder
	}
	if string(b[:56]) != string(want[:56]) {
		return errForeign
	}
	return nil
}

// load opens the journal, if there is one, and reads which pieces it has. One
// of something else is set aside, with its data, under a free name.
func (j *journal) load() (wire.Bitfield, error) {
	have := wire.NewBitfield(j.geo.Pieces())
	f, err := j.files.openFile(j.name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return have, nil
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, journalHeader)
	n, err := readFull(f, b, 0)
	if err == nil {
		err = j.checkHeader(b[:n])
	}
	if errors.Is(err, errOlder) {
		if f, err = j.convert(f); err != nil {
			return nil, fmt.Errorf("%s: %w", j.name, err)
		}
	}
	if errors.Is(err, errForeign) {
		f.Close()
		return have, j.setAside()
	}
	if err == nil {
		err = j.scan(f, have)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", j.name, err)
	}
	j.file = f
	return have, nil
}

// scan reads all records in one go. Of a piece that has two the second is wiped: a power
// cut may keep a record that was taken back, and which would say that the piece is here
// when it has been evicted.
func (j *journal) scan(f Handle, have wire.Bitfield) error {
	size := recordLength(j.geo)
	pieces := uint32(j.geo.Pieces())
	j.place = make([]uint32, pieces)
	most := uint32(max(1, (1<<20)/size)) // records of one read
	buf := make([]byte, int(most)*size)
	for j.next < pieces {
		n, err := readFull(f, buf, journalHeader+int64(j.next)*int64(size))
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= size && j.next < pieces; b = b[size:] {
			p := recordPiece(b)
			m, _ := j.parse(b[:size], p, nil)
			switch {
			case m != none && !have.Has(p):
				have.Set(p)
				j.place[p] = j.next + 1
			case m != none:
				if err := writeFull(f, make([]byte, size), journalHeader+int64(j.next)*int64(size)); err != nil {
					return err
				}
				fallthrough
			default:
				j.free = append(j.free, j.next)
			}
			j.next++
		}
		if n < len(buf) {
			return nil
		}
	}
	return nil
}

// recordPiece is the piece that a record is of, as it says.
func recordPiece(b []byte) wire.Piece { return wire.Piece(binary.LittleEndian.Uint32(b[4:])) }

// parse is parseRecord for a record that is to be of piece p.
func (j *journal) parse(b []byte, p wire.Piece, crcs []uint32) (mark, []uint32) {
	if !j.geo.Valid(p) || recordPiece(b) != p {
		return none, crcs
	}
	return parseRecord(b, recordHead, j.geo.Blocks(p), crcs)
}

// parseRecord reads the record of a piece of so many blocks, whose head has so many
// bytes, and appends their CRCs to crcs. Anything that is not a whole record of a
// whole piece has no mark.
func parseRecord(b []byte, head, blocks int, crcs []uint32) (mark, []uint32) {
	if len(b) < head+4 || mark(b[0]) != written && mark(b[0]) != durable {
		return none, crcs
	}
	body := len(b) - 4
	most := (body - head) * 8 / 33 // each has a bit and four bytes
	if head+(most+7)/8+4*most > body {
		most--
	}
	if blocks > most || crc32.Checksum(b[:body], castagnoli) != binary.LittleEndian.Uint32(b[body:]) {
		return none, crcs
	}
	bitmap := wire.Bitfield(b[head : head+(most+7)/8])
	if bitmap.Count() != blocks {
		return none, crcs
	}
	for i := range blocks {
		if !bitmap.Has(wire.Piece(i)) {
			return none, crcs
		}
		at := head + len(bitmap) + 4*i
		crcs = append(crcs, binary.LittleEndian.Uint32(b[at:]))
	}
	return mark(b[0]), crcs
}

func (j *journal) record(p wire.Piece, m mark, crcs []uint32) []byte {
	b := make([]byte, recordLength(j.geo))
	if m == none {
		return b
	}
	b[0] = byte(m)
	binary.LittleEndian.PutUint32(b[4:], uint32(p))
	copy(b[8:], j.boot[:])
	bitmap := wire.Bitfield(b[recordHead : recordHead+(j.geo.MostBlocks()+7)/8])
	for i, c := range crcs {
		bitmap.Set(wire.Piece(i))
		binary.LittleEndian.PutUint32(b[recordHead+len(bitmap)+4*i:], c)
	}
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

func (j *journal) opened() Handle {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	return j.file
}

// crcs reads the CRCs of a piece back; none if there is no good record. It does not
// wait for a write that is under way, so it may see half of one: what is not good is
// looked at once more when nobody writes.
func (j *journal) crcs(p wire.Piece) ([]uint32, error) {
	j.turn <- struct{}{}
	f, place := j.file, j.placeOf(p)
	<-j.turn
	if crcs, err := j.readCRCs(f, place, p); err != nil || len(crcs) > 0 || place == 0 {
		return crcs, err
	}
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	return j.readCRCs(j.file, j.placeOf(p), p)
}

// placeOf is 1 + the place of the record of a piece, 0 if it has none.
func (j *journal) placeOf(p wire.Piece) uint32 {
	if j.file == nil {
		return 0
	}
	return j.place[p]
}

func (j *journal) readCRCs(f Handle, place uint32, p wire.Piece) ([]uint32, error) {
	if place == 0 {
		return nil, nil
	}
	b := make([]byte, recordLength(j.geo))
	n, err := readFull(f, b, journalHeader+int64(place-1)*int64(len(b)))
	if err != nil || n < len(b) {
		return nil, err
	}
	_, crcs := j.parse(b, p, nil)
	return crcs, nil
}

func (j *journal) sync() error {
	f := j.opened()
	if f == nil {
		return nil
	}
	return f.Sync()
}

func (j *journal) close() {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}

// setAside renames the journal and the data of something else. Nothing is
// deleted: it may be somebody's only copy.
func (j *journal) setAside() error {
	data := filepath.Join(filepath.Dir(j.name), "data")
	for i := range 1000 {
		suffix := fmt.Sprintf(".aside-%d", i)
		if f, err := j.files.openFile(j.name+suffix, os.O_RDONLY); err == nil {
			f.Close()
			continue
		}
		if f, err := j.files.openFile(data+suffix, os.O_RDONLY); err == nil {
			f.Close()
			continue
		}
		if err := j.files.fs.Rename(data, data+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return j.files.fs.Rename(j.name, j.name+suffix)
	}
	return fmt.Errorf("%s: too many journals have been set aside", j.name)
}

// readFull reads until b is full or the file ends.
func readFull(f Handle, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		k, err := f.Preadv([][]byte{b[n:]}, off+int64(n))
		if err != nil {
			return n, err
		}
		if k == 0 {
			break
		}
		n += k
	}
	return n, nil
}

func writeFull(f Handle, b []byte, off int64) error { return writeVector(f, [][]byte{b}, off) }

// writeVector writes bufs, whose bytes follow each other from off on.
func writeVector(f Handle, bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		n, err := f.Pwritev(bufs, off)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		_, bufs = cut(bufs, int64(n))
		off += int64(n)
	}
	return nil
}
