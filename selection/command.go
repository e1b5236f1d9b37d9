package selection

import (
	"net/netip"
	"time"

	"bipfs/wire"
)

// Command is something that the machine wants done. None of them may wait.
type Command interface {
	command()
	String() string
}

// Send puts a message into a peer's lane and takes one of its message slots.
// Payload is set for a bitfield only and must not be changed.
type Send struct {
	Peer    wire.Peer
	Message wire.Message
	Payload []byte
}

// Load has a verified block sent to a peer and takes one of its load slots.
type Load struct {
	Peer  wire.Peer
	Block wire.Block
}

// Open asks the disk cache for memory for a piece; Granted answers.
type Open struct {
	Piece    wire.Piece
	Deadline time.Duration
}

// Only has the disk cache take blocks of a piece that was opened from one peer
// alone, or from all if Peer is 0. What was taken stays.
type Only struct {
	Piece wire.Piece
	Peer  wire.Peer
}

// Reprioritise moves the deadline of a piece that was opened.
type Reprioritise struct {
	Piece    wire.Piece
	Deadline time.Duration
}

// Close gives back what an Open asked for: the memory and what it holds, or
// the place in the queue for it.
type Close struct{ Piece wire.Piece }

// Drop closes a connection. With Ban the address is never to be connected
// again; then the peer may be gone already, and only Addr counts.
type Drop struct {
	Peer   wire.Peer
	Reason string
	Ban    bool
	Addr   netip.Addr // as PeerConnect told it
}

func (Send) command()         {}
func (Load) command()         {}
func (Open) command()         {}
func (Only) command()         {}
func (Reprioritise) command() {}
func (Close) command()        {}
func (Drop) command()         {}
