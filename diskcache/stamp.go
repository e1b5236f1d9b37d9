package diskcache

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
	"os"

	"bipfs/wire"
)

// The stamps of a torrent say in which state its longer files were when the last
// byte of them had been confirmed and synced, so that a file need not be read once
// before it is lent again after a restart. All numbers are little endian.
//
//	0   header, 64 bytes: "bipfsstm", then zeros
//	64  one record a file, 48 bytes
//	     0  inode, 8
//	     8  length, 8
//	    16  modification time, 8: ns since 1970
//	    24  time of the last change, 8: the same
//	    32  zeros, 12
//	    44  CRC32C of the 44 bytes before, 4
//
// What cannot be read says nothing: then the file is read once, and stamped anew.
type stamps struct {
	files *files
	name  string
}

const (
	stampsMagic  = "bipfsstm"
	stampsHeader = 64
	stampLength  = 48
)

func (s Stamp) record() []byte {
	b := make([]byte, 0, stampLength)
	for _, v := range []uint64{s.Inode, uint64(s.Size), uint64(s.Mtime), uint64(s.Ctime)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, make([]byte, 12)...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// has reports whether file number was stamped in the state now.
func (s *stamps) has(number int, now Stamp) bool {
	f, err := s.files.openFile(s.name, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	head, record := make([]byte, len(stampsMagic)), make([]byte, stampLength)
	if n, err := readFull(f, head, 0); err != nil || string(head[:n]) != stampsMagic {
		return false
	}
	n, err := readFull(f, record, stampsHeader+stampLength*int64(number))
	return err == nil && string(record[:n]) == string(now.record())
}

// put notes the state of file number.
func (s *stamps) put(number int, now Stamp) error {
	f, err := s.files.openFile(s.name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, stampsHeader)
	copy(header, stampsMagic)
	if err := writeFull(f, header, 0); err != nil {
		return err
	}
	return writeFull(f, now.record(), stampsHeader+stampLength*int64(number))
}

// stamp syncs and stamps the files that have become whole and are not stamped.
// The syncer alone calls it.
func (t *Torrent) stamp() {
	t.mu.Lock()
	var due []int
	for number, l := range t.lending.files {
		if !l.stamped && t.storedFile(number) && t.confirmedFile(number, l) {
			due = append(due, number)
		}
	}
	t.mu.Unlock()
	for _, number := range due {
		if err := t.stampFile(number); err != nil {
			t.disk.log.Debug("a file is not stamped", "file", t.dataFile(number), "err", err)
		}
	}
}

func (t *Torrent) stampFile(number int) error {
	if err := t.syncFile(number); err != nil {
		return err
	}
	f, err := t.disk.files.get(t, number, false)
	if err != nil {
		return err
	}
	defer t.disk.files.put(f)
	// Written without a lock: the disk may be frozen. A stamp that is old by then
	// is no harm.
	if now, due := t.stampDue(number, f); due {
		return t.stamps.put(number, now)
	}
	return nil
}

// stampDue is the state of a file that is to be stamped, if it is.
func (t *Torrent) stampDue(number int, h Handle) (now Stamp, due bool) {
	l := t.lendable(number)
	l.look.Lock()
	defer l.look.Unlock()
	if l.writers > 0 || !t.compare(number, l, h) {
		return now, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	due = !l.stamped && t.storedFile(number) && t.confirmedFile(number, l)
	l.stamped = l.stamped || due // once, whether it can be written or not
	return l.stamp, due
}

// piecesOf is the pieces that a file lies in.
func (t *Torrent) piecesOf(number int) iter.Seq[wire.Piece] {
	return func(yield func(wire.Piece) bool) {
		length := t.spec.Files[number].Length
		if length == 0 {
			return
		}
		last := wire.Piece((t.starts[number] + length - 1) / t.spec.PieceLength)
		for p := wire.Piece(t.starts[number] / t.spec.PieceLength); p <= last; p++ {
			if !yield(p) {
				return
			}
		}
	}
}

// filesOf is the files that a piece lies in.
func (t *Torrent) filesOf(p wire.Piece) iter.Seq[int] {
	return func(yield func(int) bool) {
		off, end := t.spec.Offset(p, 0), t.spec.Offset(p, t.spec.PieceSize(p))
		for number := t.fileAt(off); number < len(t.starts) && t.starts[number] < end; number++ {
			if !yield(number) {
				return
			}
		}
	}
}
