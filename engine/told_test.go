package engine

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"bipfs/handshake"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// meet connects a scripted peer to a client, with its extended handshake said.
func meet(t *testing.T, c *Client, hash wire.Digest) *scripted {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(longEnough))
	p := &scripted{conn, bufio.NewReader(conn)}
	port := conn.LocalAddr().(*net.TCPAddr).Port // no two have one peer ID
	p.Write(handshake.Append(nil, handshake.Reserved, hash, [20]byte{'f', byte(port >> 8), byte(port)}))
	if _, err := io.ReadFull(p.r, make([]byte, handshake.HandshakeSize)); err != nil {
		t.Fatal(err)
	}
	p.extended(0, extension.Handshake{M: map[string]uint8{extension.LTDontHave: 5}}.Append(nil))
	return p
}

// until reads messages until one is what is wanted.
func (p *scripted) until(t *testing.T, what string, is func(m wire.Message, payload []byte) bool) {
	t.Helper()
	for {
		m, payload, err := p.next()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if is(m, payload) {
			return
		}
	}
}

// saysUploadOnly tells whether a message is an extended handshake with upload_only, or without.
func saysUploadOnly(is bool) func(wire.Message, []byte) bool {
	return func(m wire.Message, payload []byte) bool {
		h, err := extension.ParseHandshake(payload)
		return m.Kind == wire.Extended && m.ID == 0 && err == nil && h.UploadOnly == is
	}
}

// TestUploadOnly: who has everything says so; when a piece turns out to be gone,
// it takes that back, says which piece, and when it is here again says all anew.
func TestUploadOnly(t *testing.T) {
	c := newContent(t, 16<<10, 200_000)
	s, other := seeder(t, c), seeder(t, c)
	hash := c.meta.Info.Hash
	p := meet(t, s, hash)
	p.until(t, "upload_only", saysUploadOnly(true))
	torrent := s.Torrents()[0]
	file, err := os.OpenFile(torrent.DataFile(0), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("spoiled"), 3<<14); err != nil {
		t.Fatal(err)
	}
	p.Write(wire.Append(nil, wire.Message{Kind: wire.Interested}))
	p.until(t, "unchoke", func(m wire.Message, _ []byte) bool { return m.Kind == wire.Unchoke })
	p.Write(wire.Append(nil, wire.Of(wire.Request, wire.Block{Piece: 3, Length: 1 << 14})))
	seen := map[string]bool{}
	p.until(t, "what is gone", func(m wire.Message, payload []byte) bool {
		switch {
		case saysUploadOnly(false)(m, payload):
			seen["wants"] = true
		case m.Kind == wire.Extended && m.ID == 5 && binary.BigEndian.Uint32(payload) == 3:
			seen["gone"] = true
		case m.Kind == wire.PieceBlock:
			t.Error("a spoiled block was sent")
		}
		return len(seen) == 2
	})
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.hand.Offer(hash, handshake.User, netip.MustParseAddrPort(other.addr()))
	if _, err := readRange(t.Context(), r, 3<<14, 10); err != nil {
		t.Fatal(err)
	}
	clear(seen)
	p.until(t, "what is here", func(m wire.Message, payload []byte) bool {
		switch {
		case saysUploadOnly(true)(m, payload):
			seen["complete"] = true
		case m.Kind == wire.Have && m.Piece == 3:
			seen["have"] = true
		}
		return len(seen) == 2
	})
}

// TestGifts: with all slots taken a newcomer is allowed the pieces that BEP 6
// has for its address.
func TestGifts(t *testing.T) {
	c := newContent(t, 16<<10, 800_000)
	s := seeder(t, c)
	hash := c.meta.Info.Hash
	interested := wire.Append(nil, wire.Message{Kind: wire.Interested})
	for range 5 {
		p := meet(t, s, hash)
		p.Write(interested)
		p.until(t, "unchoke", func(m wire.Message, _ []byte) bool { return m.Kind == wire.Unchoke })
	}
	p := meet(t, s, hash)
	p.Write(wire.Append(nil, wire.Message{Kind: wire.HaveNone}))
	p.Write(interested)
	ip := p.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	want := extension.AllowedFastSet(ip, hash, c.meta.Info.Pieces(), giftPieces)
	var got []wire.Piece
	p.until(t, "allowed-fast", func(m wire.Message, _ []byte) bool {
		if m.Kind == wire.AllowedFast {
			got = append(got, m.Piece)
		}
		return len(got) == len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("allowed %v, want %v", got, want)
	}
	p.Write(wire.Append(nil, wire.Of(wire.Request, wire.Block{Piece: want[0], Length: 1 << 14})))
	p.until(t, "a gift", func(m wire.Message, _ []byte) bool { return m.Kind == wire.PieceBlock && m.Piece == want[0] })
}
