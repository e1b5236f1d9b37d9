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

// hello is our handshake for a torrent.
func (h *Handshaker) hello(infohash [20]byte) []byte {
	return Append(nil, h.config.Reserved, infohash, h.config.PeerID)
}

// readAnswer reads the handshake of a peer that we connected to.
func (h *Handshaker) readAnswer(t *torrent, c *Conn) error {
	if err := c.readTorrent(h.config.Reserved); err != nil {
		return err
	}
	if c.Infohash != t.infohash {
		return ErrInfohash
	}
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
