package utp

import "encoding/binary"

// kind is what a packet is (BEP 29).
type kind uint8

const (
	kindData  kind = 0
	kindFin   kind = 1
	kindState kind = 2 // an acknowledgement: it names a seq_nr and does not consume it
	kindReset kind = 3
	kindSyn   kind = 4
)

const (
	version      = 1
	headerSize   = 20
	extensionSAK = 1 // selective acknowledgements
	// extensionBits is eight bytes of zeros that libutp, from which others took
	// it, puts into its SYNs. It comes before ours: libutp, so transmission and
	// µTorrent, throws a packet away whose first extension it does not know.
	extensionBits = 2
	bitsSize      = 10 // bytes of that extension, its head included
	// extensionPad is an extension of ours that says nothing: who does not know
	// an extension skips it. It makes a packet longer without making it carry
	// more (see mtu.go).
	extensionPad = 0x70
	// extensionLongest is another of ours, of two bytes: how long a datagram the
	// sender takes in. It goes with SYN packets and their answers between near
	// addresses.
	extensionLongest = 0x71
	longestSize      = bitsSize + 4 // bytes of that extension and the one before it, their heads included
	// maxExtensions is how many extensions of one packet are looked at: as many
	// as our longest padding has.
	maxExtensions = 128
	maxExtension  = 255 // bytes of one extension
)

// header is the fixed part of a packet.
type header struct {
	kind       kind
	id         uint16 // of the connection, as its receiver counts
	timestamp  uint32 // when it was sent: µs of the sender's clock
	difference uint32 // µs that the last packet of the other way took, as far as clocks say
	window     uint32 // bytes that the sender has room for
	seq, ack   uint16
}

// packet is one datagram, parsed. Its slices lie inside the datagram.
type packet struct {
	header
	sack    []byte // mask of selective acknowledgements; nil: none
	longest int    // extensionLongest; 0: none
	payload []byte
}

// put writes the header to b; extension is the type of the first extension.
func (h *header) put(b []byte, extension byte) {
	_ = b[headerSize-1]
	b[0] = byte(h.kind)<<4 | version
	b[1] = extension
	binary.BigEndian.PutUint16(b[2:], h.id)
	binary.BigEndian.PutUint32(b[4:], h.timestamp)
	binary.BigEndian.PutUint32(b[8:], h.difference)
	binary.BigEndian.PutUint32(b[12:], h.window)
	binary.BigEndian.PutUint16(b[16:], h.seq)
	binary.BigEndian.PutUint16(b[18:], h.ack)
}

// parse takes a datagram apart. It is false of anything that is not a whole uTP
// packet of version 1; a datagram that was cut off on its way is none, because
// its extensions or its end are missing.
func parse(b []byte) (p packet, ok bool) {
	if len(b) < headerSize || b[0]&0x0f != version || kind(b[0]>>4) > kindSyn {
		return packet{}, false
	}
	p.header = header{
		kind: kind(b[0] >> 4), id: binary.BigEndian.Uint16(b[2:]),
		timestamp: binary.BigEndian.Uint32(b[4:]), difference: binary.BigEndian.Uint32(b[8:]),
		window: binary.BigEndian.Uint32(b[12:]),
		seq:    binary.BigEndian.Uint16(b[16:]), ack: binary.BigEndian.Uint16(b[18:]),
	}
	rest, extension := b[headerSize:], b[1]
	for n := 0; extension != 0; n++ {
		if n == maxExtensions || len(rest) < 2 || len(rest)-2 < int(rest[1]) {
			return packet{}, false
		}
		body := rest[2 : 2+int(rest[1])]
		if extension == extensionSAK && len(body) > 0 {
			// BEP 29 says that it comes in multiples of 32 bits; libtorrent sends
			// as many bytes as it needs.
			p.sack = body
		}
		if extension == extensionLongest && len(body) == 2 {
			p.longest = int(binary.BigEndian.Uint16(body))
		}
		extension, rest = rest[0], rest[2+len(body):]
	}
	p.payload = rest
	return p, true
}

// putBits begins b with extensionBits, which the header names, before another
// one; 0: it is the last.
func putBits(b []byte, next byte) (rest []byte) {
	clear(b[:bitsSize])
	b[0], b[1] = next, bitsSize-2
	return b[bitsSize:]
}

// putLongest fills b with that extension, the last of its packet.
func putLongest(b []byte) {
	b = putBits(b, extensionLongest)
	b[0], b[1] = 0, 2
	binary.BigEndian.PutUint16(b[2:], uint16(rungs[len(rungs)-1]))
}

// padding is how many bytes of padding make a packet want bytes longer. It
// comes as extensionBits, and after it extensions of 2 to 257 bytes: fewer than
// 10 bytes are not possible and make 0, nor is 1 more than a whole number of them.
func padding(want int) int {
	if want < bitsSize {
		return 0
	}
	if (want-bitsSize)%(2+maxExtension) == 1 {
		want--
	}
	return want
}

// putPadding fills b, whose length padding has given, with extensions, the first
// of which is extensionBits.
func putPadding(b []byte) {
	if len(b) == bitsSize {
		putBits(b, 0)
		return
	}
	b = putBits(b, extensionPad)
	for len(b) > 0 {
		n := min(len(b), 2+maxExtension)
		next := byte(extensionPad)
		if n == len(b) {
			next = 0
		}
		clear(b[:n])
		b[0], b[1] = next, byte(n-2)
		b = b[n:]
	}
}

// before reports whether sequence number a comes before b; numbers wrap.
func before(a, b uint16) bool { return int16(a-b) < 0 }

// earlier reports whether a µs clock showed a before b; it wraps in 71 minutes.
func earlier(a, b uint32) bool { return int32(a-b) < 0 }
