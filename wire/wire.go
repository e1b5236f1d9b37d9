// Package wire is the vocabulary of the swarm and the codec of the peer wire
// protocol (BEP 3, 6, 10, 52): the words that every other layer speaks.
//
//	piece    a unit with a hash of its own
//	block    a unit of a request: 16 KiB, or the tail of a piece
//	extent   a run of bytes inside one piece
//	buf      memory of one block while it may change; holding the pointer is owning it
//	loan     verified bytes that somebody else owns, and how to give them back
//	lease    memory granted to one open piece; numbered, never used again
//
// The package is pure: it does no input or output of its own, reads no clock
// and starts no goroutine.
package wire

import "encoding/hex"

// BlockSize is the length in bytes of every block but the last of a piece.
// All clients in the field ask for blocks of this size (BEP 3).
const BlockSize = 16 << 10

// MaxPieceLength is the longest piece that is accepted, in bytes.
const MaxPieceLength = 512 << 20

// MaxPieces is the largest number of pieces of one torrent.
const MaxPieces = 2_097_152

// Piece is the index of a piece.
type Piece uint32

// Peer numbers a connection. A number is used once in the life of a process:
// an answer that comes late can never be taken for another peer's.
type Peer uint32

// Lease numbers the memory that was granted to one open piece. 0 is no lease.
// A number is used once: a block stored under the former life of a piece can
// never be taken for one of its present life.
type Lease uint64

// Reader numbers one want of one reader. A number is used once.
type Reader uint64

// Digest is the SHA-1 of a block, a piece or an info dictionary.
type Digest [20]byte

// String is the digest in lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Buf is the memory of one block while it may change. Whoever holds the
// pointer owns the memory; there is one holder.
type Buf [BlockSize]byte

// Releaser takes back what was lent.
type Releaser interface{ Release() }

// Loan is verified bytes that must not be changed. The borrower calls
// Of.Release exactly once when it needs them no longer.
type Loan struct {
	Bytes []byte
	Of    Releaser
}

// Block is what one request asks for.
type Block struct {
	Piece  Piece
	Begin  uint32 // offset in the piece, bytes
	Length uint32 // bytes
}

// Extent is a run of bytes inside one piece. It need not be aligned.
type Extent struct {
	Piece  Piece
	Begin  uint32 // offset in the piece, bytes
	Length uint32 // bytes
}
