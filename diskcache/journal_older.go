package diskcache

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"

	"bipfs/wire"
)

// A journal of version 1 had the record of piece p at place p, and no piece in its
// head, which was shorter by that. It is written anew when it is met, beside the
// old one, and takes its place when it is synced: a kill leaves one of the two.
const (
	olderVersion = 1
	olderHead    = recordHead - 4
)

var errOlder = errors.New("the journal was written by an older version of this program")

func olderLength(g wire.Geometry) int { return recordLength(g) - (recordHead - olderHead) }

// olderHeader is what a journal of version 1 of this torrent begins with.
func (j *journal) olderHeader() []byte {
	b := j.header()[:56]
	binary.LittleEndian.PutUint32(b[8:], olderVersion)
	binary.LittleEndian.PutUint32(b[12:], uint32(olderLength(j.geo)))
	binary.LittleEndian.PutUint32(b[52:], crc32.Checksum(b[:52], castagnoli))
	return b
}

// convert writes the journal anew, and returns it open. It closes the old one.
func (j *journal) convert(old Handle) (Handle, error) {
	defer old.Close()
	fresh := *j
	fresh.name = j.name + ".new"
	f, err := j.files.openFile(fresh.name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(0); err != nil { // what a kill may have left of an earlier try
		return nil, err
	}
	if err := writeFull(f, j.header(), 0); err != nil {
		return nil, err
	}
	fresh.file, fresh.place = f, make([]uint32, j.geo.Pieces())
	if err := fresh.copyOlder(old); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := j.files.fs.Rename(fresh.name, j.name); err != nil {
		return nil, err
	}
	return j.files.openFile(j.name, os.O_RDWR)
}

// copyOlder takes over all good records of a journal of version 1.
func (j *journal) copyOlder(old Handle) error {
	size := olderLength(j.geo)
	at := max(1, (1<<20)/size) // records of one read
	buf := make([]byte, at*size)
	for from := 0; from < j.geo.Pieces(); from += at {
		n, err := readFull(old, buf, journalHeader+int64(from)*int64(size))
		if err != nil {
			return err
		}
		var good []entry
		for i := 0; i < at && from+i < j.geo.Pieces() && (i+1)*size <= n; i++ {
			p := wire.Piece(from + i)
			if m, crcs := parseRecord(buf[i*size:(i+1)*size], olderHead, j.geo.Blocks(p), nil); m != none {
				good = append(good, entry{piece: p, mark: m, crcs: crcs})
			}
		}
		if err := j.putNow(good); err != nil {
			return err
		}
		if n < len(buf) {
			break
		}
	}
	return nil
}
