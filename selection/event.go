package selection

import (
	"net/netip"
	"time"

	"bipfs/wire"
)

// Event is something that happened outside and that the machine must know.
type Event interface {
	event()
	String() string // the event's trace line, which ParseEvent reads
}

// Geometry tells the shape of the torrent, once; until then peers' words about
// their pieces are kept as they came. Have, which becomes the machine's, is
// what the disk cache holds verified.
type Geometry struct {
	wire.Geometry
	Have wire.Bitfield

	// Leaves says that blocks may be verified one by one (BEP 52): those that a
	// read waits for are asked for first.
	Leaves bool
}

// Kind is what is at the other end of a connection.
type Kind uint8

const (
	// Swarm is a peer that speaks the peer wire protocol.
	Swarm Kind = iota
	// Ranges is a web seed (BEP 19): it is asked for blocks that follow each
	// other, many at a time, for each of its answers costs a round trip.
	Ranges
)

// PeerConnect is a new connection, its handshake done.
type PeerConnect struct {
	Peer     wire.Peer
	Slots    int // messages that may be under way to it at once; at least 1
	Loads    int // blocks that may be under way to it at once; 0 serves nothing
	Kind     Kind
	Fast     bool // both ends speak the fast extension (BEP 6)
	Incoming bool
	Addr     netip.Addr    // whom a ban is for
	Trip     time.Duration // about a round trip to it, as the connecting took; 0 is unknown
}

// PeerDisconnect is the end of a connection. Nothing of the peer comes after.
type PeerDisconnect struct{ Peer wire.Peer }

// Received is a message of a peer, but not an asked block: that is Stored. A
// PieceBlock here is a block that nobody had asked for. The payload, if any,
// becomes the machine's.
type Received struct {
	Peer    wire.Peer
	Message wire.Message
	Payload []byte
}

// Limits is what a peer says about itself in its extended handshake (BEP 10).
type Limits struct {
	Peer wire.Peer
	Reqq int // requests it will queue; 0 or less is no word
	// DontHave is the id by which it wants to be told what we have no longer
	// (lt_donthave, BEP 54); 0: it does not.
	DontHave uint8
}

// DontHave is a peer's word that it has a piece no longer (BEP 54).
type DontHave struct {
	Peer  wire.Peer
	Piece wire.Piece
}

// Allow names the pieces that a peer may be allowed to ask for while it is
// choked (BEP 6), if it has next to nothing yet. They must be of the torrent.
type Allow struct {
	Peer   wire.Peer
	Pieces []wire.Piece
}

// Stored is the arrival of an asked block. Lease is the one that took the
// block, or 0 if nothing did.
type Stored struct {
	Peer  wire.Peer
	Block wire.Block
	Lease wire.Lease
}

// Written gives slots back: their messages and blocks are on the socket, or
// never will be.
type Written struct {
	Peer     wire.Peer
	Messages int
	Loads    int
}

// Unloaded answers a Load whose block is not to be had: the piece has just
// gone, or its disk failed. The load slot comes back, and the peer is told.
type Unloaded struct {
	Peer  wire.Peer
	Block wire.Block
}

// Starved answers a request: it was not sent, since there is no memory for the
// block of one more peer at the moment.
type Starved struct {
	Peer  wire.Peer
	Block wire.Block
}

// Granted answers an Open: the piece has memory for Room blocks.
type Granted struct {
	Piece wire.Piece
	Lease wire.Lease
	Room  int
}

// Room adds N blocks to what a lease may ask for.
type Room struct {
	Lease wire.Lease
	N     int
}

// Revoke ends a lease from outside. Its piece is absent again.
type Revoke struct{ Lease wire.Lease }

// Verified is the verdict on a piece whose blocks were all stored. Digests, of
// each block in order, come with every failure and with the success of a piece
// that failed before.
//
// A bad copy of several peers may be Kept: then the next one is good if each block is
// right in any of them, and comes from another peer each time. Who has sent a whole
// copy meanwhile, and a bad one, is Guilty. Of a piece that is good so, Came are the
// digests of what came last, Digests those of the good blocks.
type Verified struct {
	Piece   wire.Piece
	Lease   wire.Lease
	OK      bool
	Digests []wire.Digest
	Came    []wire.Digest
	Kept    bool
	Guilty  []wire.Peer
}

// Proven says that blocks of an open piece, which were stored, are right by their
// leaves, and can be read.
type Proven struct {
	Piece  wire.Piece
	Lease  wire.Lease
	Blocks []int
}

// Spoiled says that blocks of a peer, which were stored, are not their leaves'
// and have been thrown away. The piece stays open.
type Spoiled struct {
	Peer   wire.Peer
	Piece  wire.Piece
	Lease  wire.Lease
	Blocks []int
}

// Evicted says that a verified piece is here no longer.
type Evicted struct{ Piece wire.Piece }

// Class is what a want is for.
type Class uint8

// The classes of wants. They do not order wants, deadlines do.
const (
	Now        Class = iota // a read waits for it
	ReadAhead               // a read will soon
	Background              // nobody waits
)

// Want asks for the piece of an extent by a deadline. A Want with the number
// of a standing one replaces it.
type Want struct {
	Reader   wire.Reader
	Extent   wire.Extent
	Deadline time.Duration
	Class    Class
}

// Unwant withdraws a want.
type Unwant struct{ Reader wire.Reader }

// Upload switches serving on or off.
type Upload struct{ On bool }

// Wake is nothing but the time: it comes when Next said.
type Wake struct{}

func (Geometry) event()       {}
func (PeerConnect) event()    {}
func (PeerDisconnect) event() {}
func (Received) event()       {}
func (Limits) event()         {}
func (DontHave) event()       {}
func (Allow) event()          {}
func (Stored) event()         {}
func (Written) event()        {}
func (Unloaded) event()       {}
func (Starved) event()        {}
func (Granted) event()        {}
func (Room) event()           {}
func (Revoke) event()         {}
func (Verified) event()       {}
func (Proven) event()         {}
func (Spoiled) event()        {}
func (Evicted) event()        {}
func (Want) event()           {}
func (Unwant) event()         {}
func (Upload) event()         {}
func (Wake) event()           {}
