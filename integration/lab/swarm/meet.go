package swarm

import (
	"bufio"
	"bytes"
	"io"
	"net"

	"bipfs/handshake"
	"bipfs/handshake/mse"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// protocol opens every handshake (BEP 3).
const protocol = "\x13BitTorrent protocol"

// Extension bits of a handshake, and where they are.
const (
	extendedByte, extendedBit = 5, 0x10 // BEP 10
	fastByte, fastBit         = 7, 0x04 // BEP 6
)

// What it says of itself in the extended handshake.
const (
	metadataID = 3   // by which it wants ut_metadata
	reqq       = 500 // requests
)

// meet is a connection from its first byte to its last.
func (e *seeder) meet(socket net.Conn) {
	r := bufio.NewReaderSize(socket, 4<<10)
	first, err := r.Peek(len(protocol))
	if err != nil {
		return
	}
	if string(first) != protocol {
		early, _ := r.Peek(r.Buffered())
		receiver := mse.Receiver{Find: e.swarm.find, Accept: mse.Plain | mse.RC4}
		session, err := receiver.Handshake(socket, append([]byte(nil), early...))
		if err != nil {
			return
		}
		socket = session.Conn
		r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(session.Early), session.Conn), 4<<10)
	}
	var hello [handshake.HandshakeSize]byte
	if _, err := io.ReadFull(r, hello[:]); err != nil || string(hello[:len(protocol)]) != protocol {
		return
	}
	reserved, infohash := hello[len(protocol):], [20]byte(hello[len(protocol)+8:])
	t := e.swarm.torrents[infohash]
	if t == nil {
		return
	}
	e.sent.connected.Add(1)
	c := &conn{seeder: e, torrent: t, socket: socket, r: r, fast: reserved[fastByte]&fastBit != 0, wake: make(chan struct{}, 1)}
	c.said = c.greeting(infohash, reserved[extendedByte]&extendedBit != 0)
	c.serve()
}

// find is the torrent that the encrypted handshake names.
func (s *swarm) find(name [20]byte) ([20]byte, bool) {
	for infohash := range s.torrents {
		if mse.Obfuscate(infohash) == name {
			return infohash, true
		}
	}
	return [20]byte{}, false
}

// greeting is all that is said before the other side has said anything.
func (c *conn) greeting(infohash [20]byte, extended bool) []byte {
	var reserved [8]byte
	reserved[extendedByte] |= extendedBit
	reserved[fastByte] |= fastBit
	b := handshake.Append(nil, reserved, infohash, c.seeder.id)
	if extended {
		payload := extension.Handshake{
			M: map[string]uint8{extension.UTMetadata: metadataID}, V: "bipfs lab", Reqq: reqq, MetadataSize: int64(len(c.torrent.info)),
		}.Append(nil)
		b = wire.Append(b, wire.Message{Kind: wire.Extended, ID: extension.HandshakeID, Payload: uint32(len(payload))})
		b = append(b, payload...)
	}
	if c.fast {
		return wire.Append(b, wire.Message{Kind: wire.HaveAll})
	}
	n := c.torrent.geometry.Pieces()
	field := make([]byte, (n+7)/8)
	for p := range n {
		field[p/8] |= 0x80 >> (p % 8)
	}
	b = wire.Append(b, wire.Message{Kind: wire.HaveBitfield, Payload: uint32(len(field))})
	return append(b, field...)
}
