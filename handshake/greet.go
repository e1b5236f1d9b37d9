package handshake

import (
	"bufio"
	"io"
	"net"
)

// protocol opens every handshake: its length, then its name (BEP 3).
const protocol = "\x13BitTorrent protocol"

// HandshakeSize is the length of a handshake in bytes: the protocol, the
// extension bits, the infohash, the peer ID.
const HandshakeSize = len(protocol) + 8 + 20 + 20

// newReader is the reader that goes along with the connection.
func newReader(c net.Conn) *bufio.Reader { return bufio.NewReaderSize(c, readerSize) }

// Append appends a handshake to b.
func Append(b []byte, reserved [8]byte, infohash, peerID [20]byte) []byte {
	b = append(b, protocol...)
	b = append(b, reserved[:]...)
	b = append(b, infohash[:]...)
	return append(b, peerID[:]...)
}

// hybridBit is the extension bit, of the last byte, of who dials a hybrid
// torrent by its v1 infohash and speaks v2 as well: the other side may answer
// with the v2 infohash (BEP 52). Only behind a v2 infohash do peers talk of
// hashes: libtorrent hangs up on a hash request otherwise.
const hybridBit = 0x10

// Twins is the infohashes of a hybrid torrent (BEP 52).
type Twins struct {
	Kept   [20]byte // the one that it is kept by here
	V1, V2 [20]byte // V2 as handshakes carry it, cut
}

// twins is Config.Twins, which may be nil.
func (h *Handshaker) twins(infohash [20]byte) (Twins, bool) {
	if h.config.Twins == nil {
		return Twins{}, false
	}
	return h.config.Twins(infohash)
}

// hello is our handshake for a torrent, on the connection c.
func (h *Handshaker) hello(c *Conn, infohash [20]byte) []byte {
	return h.helloWith(c, h.config.Reserved, infohash)
}

// helloTo is hello to a peer that we dial, and the infohash in it: of a hybrid
// the v1 one, which all its peers know, unless the peer was found by the other.
func (h *Handshaker) helloTo(c *Conn, t *torrent) (hello []byte, infohash [20]byte) {
	reserved, infohash := h.config.Reserved, t.infohash
	if twins, hybrid := h.twins(t.infohash); hybrid {
		reserved[7] |= hybridBit
		infohash = twins.V1
		if c.byV2 {
			infohash = twins.V2
		}
	}
	return h.helloWith(c, reserved, infohash), infohash
}

// helloWith is our handshake with these extension bits. c keeps who we said to
// be.
func (h *Handshaker) helloWith(c *Conn, reserved [8]byte, infohash [20]byte) []byte {
	c.ours = h.config.PeerID
	if h.config.Identity != nil {
		c.ours = h.config.Identity(infohash)
	}
	return Append(nil, reserved, infohash, c.ours)
}

// readAnswer reads the handshake of a peer that we connected to.
func (h *Handshaker) readAnswer(t *torrent, c *Conn) error {
	reserved := h.config.Reserved
	twins, hybrid := h.twins(t.infohash)
	if hybrid {
		reserved[7] |= hybridBit
	}
	if err := c.readTorrent(reserved); err != nil {
		return err
	}
	if c.Infohash != t.infohash && !(hybrid && (c.Infohash == twins.V1 || c.Infohash == twins.V2)) {
		return ErrInfohash
	}
	c.V2 = hybrid && c.Infohash == twins.V2
	c.Infohash = t.infohash
	return c.readPeerID()
}

// readProtocol reads the opening. It stops at the first byte that is wrong:
// what speaks HTTP or TLS to us is not waited for.
func readProtocol(r *bufio.Reader) error {
	for i := range len(protocol) {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		if b != protocol[i] {
			return ErrProtocol
		}
	}
	return nil
}

// readTorrent reads a handshake as far as the infohash; of the extension bits
// it keeps those that are ours as well. The peer ID may come only after our
// own handshake went out.
func (c *Conn) readTorrent(ours [8]byte) error {
	if err := readProtocol(c.Reader); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.Reader, c.Reserved[:]); err != nil {
		return err
	}
	c.upgrades = c.Reserved[7]&hybridBit != 0
	for i := range ours {
		c.Reserved[i] &= ours[i]
	}
	_, err := io.ReadFull(c.Reader, c.Infohash[:])
	return err
}

func (c *Conn) readPeerID() error {
	_, err := io.ReadFull(c.Reader, c.PeerID[:])
	return err
}
