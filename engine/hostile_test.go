package engine

import (
	"bufio"
	"crypto/sha1"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/handshake"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// scripted is a peer that does what a test says. It is at an address of its
// own, so that what it is banned for is nobody else's.
type scripted struct {
	net.Conn
	r *bufio.Reader
}

// listenScripted has every connection to a peer of one torrent run script,
// until the test ends.
func listenScripted(t *testing.T, hash wire.Digest, script func(p *scripted)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { ln.Close() })
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				p := &scripted{conn, bufio.NewReader(conn)}
				if p.greet(hash) {
					script(p)
				}
			})
		}
	})
	return ln.Addr().String()
}

func (p *scripted) greet(hash wire.Digest) bool {
	theirs := make([]byte, handshake.HandshakeSize)
	if _, err := io.ReadFull(p.r, theirs); err != nil {
		return false
	}
	_, err := p.Write(handshake.Append(nil, handshake.Reserved, hash, [20]byte{'s'}))
	return err == nil
}

// extended sends a message of BEP 10.
func (p *scripted) extended(id uint8, payload []byte) error {
	b := wire.Append(nil, wire.Message{Kind: wire.Extended, ID: id, Payload: uint32(len(payload))})
	_, err := p.Write(append(b, payload...))
	return err
}

// theirMetadata is what scripted peers call ut_metadata.
const theirMetadata = 7

// hello says that the peer has metadata of a size.
func (p *scripted) hello(size int64) {
	p.extended(0, extension.Handshake{M: map[string]uint8{"ut_metadata": theirMetadata}, MetadataSize: size}.Append(nil))
}

// next is the next message with its payload.
func (p *scripted) next() (m wire.Message, payload []byte, err error) {
	if m, err = wire.ReadHead(p.r, 1<<20); err != nil {
		return m, nil, err
	}
	payload = make([]byte, m.Payload)
	_, err = io.ReadFull(p.r, payload)
	return m, payload, err
}

// requests calls f with each request for metadata, until the end of the
// connection.
func (p *scripted) requests(f func(piece int)) {
	for {
		m, payload, err := p.next()
		if err != nil {
			return
		}
		if m.Kind != wire.Extended || m.ID != theirMetadata {
			continue
		}
		if ask, err := extension.ParseMetadata(payload); err == nil && ask.Type == extension.MetadataRequest {
			f(ask.Piece)
		}
	}
}

// serve serves metadata as it is.
func (p *scripted) serve(raw []byte) {
	size := int64(len(raw))
	p.hello(size)
	p.requests(func(piece int) {
		start, end := extension.MetadataSpan(size, piece)
		p.extended(ourMetadata, extension.Metadata{
			Type: extension.MetadataData, Piece: piece, TotalSize: size, Data: raw[start:end],
		}.Append(nil))
	})
}

// TestMetadataOfBadPeers resolves a magnet link from a seeder while a peer
// misbehaves.
func TestMetadataOfBadPeers(t *testing.T) {
	c := newContent(t, 16<<10, 2_000_000) // metadata of one piece
	raw := c.meta.Info.Raw
	size := int64(len(raw))
	ut := func(s string) func(p *scripted) {
		return func(p *scripted) {
			p.hello(size)
			p.requests(func(int) { p.extended(ourMetadata, []byte(s)) })
		}
	}
	greet := func(s string) func(p *scripted) {
		return func(p *scripted) {
			p.extended(0, []byte(s))
			p.requests(func(int) {})
		}
	}
	scripts := map[string]func(p *scripted){
		"false":           func(p *scripted) { p.serve(append([]byte("x"), raw[1:]...)) },
		"another size":    func(p *scripted) { p.serve(raw[1:]) },
		"silent":          func(p *scripted) { p.hello(size); p.requests(func(int) {}) },
		"short":           ut("d8:msg_typei1e5:piecei0e10:total_sizei2eexx"),
		"changed size":    ut("d8:msg_typei1e5:piecei0e10:total_sizei1eex"),
		"no size":         ut("d8:msg_typei1e5:piecei0eex"),
		"piece -1":        ut("d8:msg_typei1e5:piecei-1eex"),
		"piece 2^40":      ut("d8:msg_typei1e5:piecei1099511627776eex"),
		"unknown type":    ut("d8:msg_typei9e5:piecei0ee"),
		"rejects":         ut("d8:msg_typei2e5:piecei0ee"),
		"asks us":         ut("d8:msg_typei0e5:piecei77ee"),
		"no bencode":      ut("hello"),
		"empty":           ut(""),
		"empty handshake": greet(""),
		"bomb":            greet(strings.Repeat("l", 10_000) + strings.Repeat("e", 10_000)),
		"size 4 GiB":      greet("d1:md11:ut_metadatai7ee13:metadata_sizei4294967296ee"),
		"size -1":         greet("d1:md11:ut_metadatai7ee13:metadata_sizei-1ee"),
		"switched off":    func(p *scripted) { p.hello(size); greet("d1:md11:ut_metadatai0eee")(p) },
		"unasked": func(p *scripted) {
			p.extended(ourMetadata, []byte("d8:msg_typei1e5:piecei0e10:total_sizei1eex"))
			p.extended(99, []byte("nobody speaks this"))
			p.requests(func(int) {})
		},
		"gone": func(p *scripted) { p.hello(size) },
	}
	s := seeder(t, c)
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := listenScripted(t, c.meta.Info.Hash, script)
			leech := testClient(t, Config{Peers: []string{bad, s.addr()}})
			torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
			if err != nil {
				t.Fatal(err)
			}
			resolved(t, torrent)
			r, err := torrent.OpenFile(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := readRange(t.Context(), r, 1_000_000, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnusableMetadataEndsTheSearch: metadata that is right and cannot be
// mounted leaves nothing running.
func TestUnusableMetadataEndsTheSearch(t *testing.T) {
	raw := []byte("d6:lengthi5e4:name1:x12:piece lengthi0e6:pieces20:aaaaaaaaaaaaaaaaaaaae")
	hash := wire.Digest(sha1.Sum(raw))
	bad := listenScripted(t, hash, func(p *scripted) { p.serve(raw) })
	client := testClient(t, Config{Peers: []string{bad}})
	torrent, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: hash}})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(longEnough)
	select {
	case <-torrent.Unusable():
	case <-deadline:
		t.Fatal("the search goes on")
	}
	if l := torrent.running(); l != nil {
		select {
		case <-l.done:
		case <-deadline:
			t.Fatal("its loop goes on")
		}
	}
	if err := torrent.Fetch(t.Context(), nil); err == nil {
		t.Error("it was fetched")
	}
	if again, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: hash}}); err != nil || again != torrent {
		t.Errorf("added again: %v", err)
	}
	if _, err := torrent.activate(); err == nil || client.known(hash) {
		t.Error("it can be woken")
	}
}

// TestMetadataFlood: a peer that asks for metadata and does not read gets as
// much as is asked for within the bounds, once it reads, and the rest is
// rejected or left out.
func TestMetadataFlood(t *testing.T) {
	c := newContent(t, 16<<10, 20_000_000) // metadata of two pieces
	s := seeder(t, c)
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &scripted{conn, bufio.NewReader(conn)}
	p.Write(handshake.Append(nil, handshake.Reserved, c.meta.Info.Hash, [20]byte{'f'}))
	if _, err := io.ReadFull(p.r, make([]byte, handshake.HandshakeSize)); err != nil {
		t.Fatal(err)
	}
	p.hello(1)
	const asked = 3000
	var ask []byte
	for i := range asked {
		payload := extension.Metadata{Type: extension.MetadataRequest, Piece: i % 3}.Append(nil)
		ask = wire.Append(ask, wire.Message{Kind: wire.Extended, ID: ourMetadata, Payload: uint32(len(payload))})
		ask = append(ask, payload...)
	}
	if _, err := p.Write(ask); err != nil {
		t.Fatal(err)
	}
	p.SetReadDeadline(time.Now().Add(longEnough))
	data, rejects := 0, 0
	for data+rejects < mostMetadataRequests {
		m, payload, err := p.next()
		if err != nil {
			t.Fatalf("after %d pieces and %d rejects: %v", data, rejects, err)
		}
		if m.Kind != wire.Extended || m.ID != theirMetadata {
			continue
		}
		got, err := extension.ParseMetadata(payload)
		switch {
		case err != nil:
			t.Fatal(err)
		case got.Type == extension.MetadataData:
			start, end := extension.MetadataSpan(int64(len(c.meta.Info.Raw)), got.Piece)
			if string(got.Data) != string(c.meta.Info.Raw[start:end]) {
				t.Fatal("wrong metadata is served")
			}
			data++
		case got.Type == extension.MetadataReject && got.Piece == 2:
			rejects++
		}
	}
	if data == 0 || rejects == 0 {
		t.Errorf("%d pieces and %d rejects", data, rejects)
	}
}

// TestOddRequests: a peer that asks for what there is not is dropped, and the
// others are served.
func TestOddRequests(t *testing.T) {
	c := newContent(t, 16<<10, 100_000)
	s := seeder(t, c)
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &scripted{conn, bufio.NewReader(conn)}
	p.Write(handshake.Append(nil, handshake.Reserved, c.meta.Info.Hash, [20]byte{'o'}))
	if _, err := io.ReadFull(p.r, make([]byte, handshake.HandshakeSize)); err != nil {
		t.Fatal(err)
	}
	out := wire.Append(nil, wire.Message{Kind: wire.HaveNone})
	out = wire.Append(out, wire.Message{Kind: wire.Interested})
	out = wire.Append(out, wire.Of(wire.Request, wire.Block{Piece: 0, Begin: 1, Length: 7}))
	out = wire.Append(out, wire.Of(wire.Request, wire.Block{Piece: 99, Length: 16 << 10}))
	p.Write(out)
	p.SetReadDeadline(time.Now().Add(longEnough))
	for {
		if _, _, err := p.next(); err != nil {
			if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") {
				break // dropped: the piece does not exist
			}
			t.Fatal(err)
		}
	}
	other := testClient(t, Config{Peers: []string{s.addr()}})
	torrent, err := other.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, torrent, c)
}
