package swarm

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// maxRequest is the longest block that is answered, in bytes; that of most clients.
const maxRequest = 128 << 10

// torrent is what all seeders of a swarm have.
type torrent struct {
	infohash [20]byte
	info     []byte // the info dictionary
	geometry wire.Geometry
	bytes    []byte // mapped

	mu   sync.Mutex
	gone map[wire.Block]bool // sent by somebody
}

func openTorrent(c Content) (*torrent, error) {
	b, err := os.ReadFile(c.Torrent)
	if err != nil {
		return nil, err
	}
	parsed, err := metainfo.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Torrent, err)
	}
	info := parsed.Info
	t := &torrent{infohash: info.Hash, info: info.Raw, geometry: info.Geometry, gone: make(map[wire.Block]bool)}
	f, err := os.Open(c.Image)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping stays
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != t.geometry.Length {
		return nil, fmt.Errorf("%s has %d bytes, its torrent %d", c.Image, st.Size(), t.geometry.Length)
	}
	t.bytes, err = syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	return t, err
}

func (t *torrent) close() { _ = syscall.Munmap(t.bytes) }

// has reports whether a block may be asked for.
func (t *torrent) has(b wire.Block) bool {
	return b.Length > 0 && b.Length <= maxRequest && t.geometry.Valid(b.Piece) &&
		uint64(b.Begin)+uint64(b.Length) <= uint64(t.geometry.PieceSize(b.Piece))
}

// block is the bytes of one that it has.
func (t *torrent) block(b wire.Block) []byte {
	at := t.geometry.Offset(b.Piece, b.Begin)
	return t.bytes[at:][:b.Length]
}

// again marks a block as sent and reports whether it was before.
func (t *torrent) again(b wire.Block) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.gone[b]
	t.gone[b] = true
	return before
}

// metadata answers a request for a piece of the info dictionary (BEP 9).
func (t *torrent) metadata(piece int) extension.Metadata {
	size := int64(len(t.info))
	from, to := extension.MetadataSpan(size, piece)
	if from == to {
		return extension.Metadata{Type: extension.MetadataReject, Piece: piece}
	}
	return extension.Metadata{Type: extension.MetadataData, Piece: piece, TotalSize: size, Data: t.info[from:to]}
}
