package metainfo

import (
	"context"
	"crypto/sha1"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"sort"
	"sync"
	"syscall"

	"bipfs/wire"
	"bipfs/wire/merkle"
)

const (
	hashWorkers = 2         // one reads while the other hashes, and both cores of a small machine are used
	hashBuffer  = 256 << 10 // bytes each worker reads at once, however long a piece is; whole blocks
)

// hashing is one run over all pieces of the sources.
//
//	next piece ──▶ worker: open, read, hash ──▶ pieces[p], nodes[p], progress
//	    ▲               │
//	    └───────────────┘   until none is left, ctx ends or a worker fails
type hashing struct {
	*sources // each worker writes the digests and nodes of its own pieces
	progress func(done, total int64)

	total int64 // bytes

	mu   sync.Mutex
	next wire.Piece
	done int64 // bytes
}

// hash fills in the hashes of all pieces.
func (s *sources) hash(ctx context.Context, progress func(done, total int64)) error {
	h := &hashing{sources: s, progress: progress}
	if s.format != V2Only {
		s.pieces = make([]byte, s.geometry.Pieces()*len(wire.Digest{}))
	}
	if s.format != V1 {
		s.nodes = make([]wire.Hash, s.geometry.Pieces())
	}
	for p := range wire.Piece(s.geometry.Pieces()) {
		h.total += int64(s.geometry.PieceSize(p))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range hashWorkers {
		workers.Go(func() {
			if err := h.work(ctx); err != nil {
				cancel(err) // the first one counts
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.unchanged()
}

// work hashes one piece after the other.
func (h *hashing) work(ctx context.Context) error {
	w := hashWorker{hashing: h, buf: make([]byte, hashBuffer)}
	defer w.close()
	for p := range h.take {
		if err := w.hash(ctx, p); err != nil {
			return err
		}
		h.finished(p)
	}
	return nil
}

// take yields the pieces that no other worker took.
func (h *hashing) take(yield func(wire.Piece) bool) {
	for {
		h.mu.Lock()
		p := h.next
		h.next++
		h.mu.Unlock()
		if !h.geometry.Valid(p) || !yield(p) {
			return
		}
	}
}

func (h *hashing) finished(p wire.Piece) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done += int64(h.geometry.PieceSize(p))
	if h.progress != nil {
		h.progress(h.done, h.total)
	}
}

// hashWorker has at most one file open, mostly the one of its last piece.
type hashWorker struct {
	*hashing
	buf    []byte
	leaves []wire.Hash // of the piece, when it has a node
	file   *os.File
	of     *source // the one that is open
}

// hash reads piece p and writes its digest and its node.
func (w *hashWorker) hash(ctx context.Context, p wire.Piece) error {
	at := w.geometry.Offset(p, 0)
	end := at + int64(w.geometry.PieceSize(p))
	k := sort.Search(len(w.files), func(k int) bool { return w.files[k].offset+w.files[k].length > at })
	tree := merkle.Tree{Length: w.files[k].length, PieceLength: w.geometry.PieceLength}
	sum := sha1.New()
	w.leaves = w.leaves[:0]
	for at < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := &w.files[k]
		if pad := min(end, f.offset) - at; pad > 0 {
			b := w.buf[:min(pad, int64(len(w.buf)))]
			clear(b)
			sum.Write(b)
			at += int64(len(b))
			continue
		}
		left := min(end, f.offset+f.length) - at
		if left == 0 {
			k++
			continue
		}
		b := w.buf[:min(left, int64(len(w.buf)))]
		if err := w.read(f, b, at-f.offset); err != nil {
			return err
		}
		w.add(sum, b)
		at += int64(len(b))
	}
	if w.pieces != nil {
		sum.Sum(w.pieces[int(p)*sha1.Size:][:0:sha1.Size])
	}
	if w.nodes != nil {
		w.nodes[p] = merkle.Root(w.leaves, 0, tree.PieceLayer())
	}
	return nil
}

// add hashes what was read, which begins with a block.
func (w *hashWorker) add(sum hash.Hash, b []byte) {
	if w.pieces != nil {
		sum.Write(b)
	}
	if w.nodes != nil {
		for block := range slices.Chunk(b, wire.BlockSize) {
			w.leaves = append(w.leaves, merkle.Leaf(block))
		}
	}
}

// read fills b from offset off of f.
func (w *hashWorker) read(f *source, b []byte, off int64) error {
	if w.of != f {
		w.close()
		// Not waiting: it may have become a pipe since it was listed.
		file, err := os.OpenFile(f.at, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		w.file, w.of = file, f
		if st, err := file.Stat(); err != nil || !f.isStill(st) {
			return f.changed()
		}
	}
	switch _, err := w.file.ReadAt(b, off); err {
	case nil:
		return nil
	case io.EOF:
		return f.changed()
	default:
		return err
	}
}

func (w *hashWorker) close() {
	if w.file != nil {
		w.file.Close() // it was only read
		w.file, w.of = nil, nil
	}
}

// unchanged reports the first file that is not any more what it was.
func (s *sources) unchanged() error {
	for k := range s.files {
		f := &s.files[k]
		if f.link != nil {
			continue
		}
		if st, err := os.Stat(f.at); err != nil || !f.isStill(st) {
			return f.changed()
		}
	}
	return nil
}

// isStill reports whether st is of the file as it was listed.
func (f *source) isStill(st os.FileInfo) bool {
	return st.Mode().IsRegular() && st.Size() == f.length && st.ModTime().Equal(f.modified)
}

func (f *source) changed() error { return fmt.Errorf("%s: changed while it was read", f.at) }
