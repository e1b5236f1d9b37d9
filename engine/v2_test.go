package engine

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"bipfs/engine/metainfo"
	"bipfs/handshake"
	"bipfs/wire"
)

// inFormat makes the content's torrent anew, in another format.
func (c *content) inFormat(t *testing.T, f metainfo.Format) *content {
	t.Helper()
	var err error
	c.meta, err = metainfo.Create(t.Context(), c.path, metainfo.CreateOptions{Format: f, PieceLength: c.meta.Info.PieceLength})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// contentV2 has files that end at every sort of place in their last piece.
func contentV2(t *testing.T, f metainfo.Format) *content {
	return newContent(t, 64<<10, 300_000, 1, 0, 65536, 16384, 20_000, 500_001).inFormat(t, f)
}

// TestV2: torrents of BEP 52 are seeded, fetched and found again.
func TestV2(t *testing.T) {
	for name, format := range map[string]metainfo.Format{"hybrid": metainfo.Hybrid, "v2 only": metainfo.V2Only} {
		t.Run(name, func(t *testing.T) {
			c := contentV2(t, format)
			s := seeder(t, c)
			dir := t.TempDir()
			client := testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
			torrent, err := client.Add(Source{Torrent: c.meta})
			if err != nil {
				t.Fatal(err)
			}
			readAll(t, torrent, c)
			if left := torrent.missing(); left != 0 || !torrent.whole() {
				t.Errorf("%d bytes are missing", left)
			}
			closeClient(t, client)
			closeClient(t, s)
			id := c.meta.Info.ID()
			if _, err := os.Stat(filepath.Join(dir, "torrents", id.String(), "journal")); err != nil {
				t.Error(err)
			}
			client = testClient(t, Config{Dir: dir})
			torrent = client.Torrents()[0]
			readAll(t, torrent, c)
			for _, name := range []string{id.String(), id.V2.String(), id.V2.Short().String()} {
				if found, _ := client.ByName(name); found != torrent {
					t.Errorf("it is not found by %s", name)
				}
			}
			if again, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: id.V2.Short()}}); err != nil || again != torrent {
				t.Errorf("the v2 infohash is of another torrent: %v", err)
			}
		})
	}
}

// TestMissing: what is left to fetch counts no gaps.
func TestMissing(t *testing.T) {
	c := contentV2(t, metainfo.V2Only)
	client := testClient(t, Config{})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	if left := torrent.missing(); left != 300_000+1+65536+16384+20_000+500_001 {
		t.Errorf("%d bytes are missing", left)
	}
}

// TestV2Bare: a torrent without its piece layers has them from its peers, as that
// of a link; a private one, which would have to look for them, is refused.
func TestV2Bare(t *testing.T) {
	c := contentV2(t, metainfo.V2Only)
	bare := func() *metainfo.Torrent {
		info, err := metainfo.ParseInfo(c.meta.Info.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return &metainfo.Torrent{Info: info}
	}
	secret := bare()
	secret.Info.Private = true
	if _, err := testClient(t, Config{}).Add(Source{Torrent: secret}); !errors.Is(err, errLayers) {
		t.Error(err)
	}
	s := seeder(t, c)
	for _, link := range []bool{false, true} {
		dir := t.TempDir()
		client := testClient(t, Config{Dir: dir})
		if link { // then it is learnt of a torrent that is there
			if _, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash, V2: c.meta.Info.V2}}); err != nil {
				t.Fatal(err)
			}
		}
		torrent, err := client.Add(Source{Torrent: bare()})
		if err != nil {
			t.Fatal(err)
		}
		if torrent.Info() != nil {
			t.Error("it is shown before it can be verified")
		}
		if _, err := client.Add(Source{Magnet: &metainfo.Magnet{
			Hash: c.meta.Info.Hash, V2: c.meta.Info.V2, Peers: []string{s.addr()},
		}}); err != nil {
			t.Fatal(err)
		}
		resolved(t, torrent)
		readAll(t, torrent, c)
		closeClient(t, client)
		client = testClient(t, Config{Dir: dir})
		readAll(t, client.Torrents()[0], c)
	}
}

// greet connects to a client as a peer that has nothing.
func greet(t *testing.T, s *Client, hash wire.Digest) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(handshake.Append(nil, handshake.Reserved, hash, [20]byte{9})); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, handshake.HandshakeSize)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// until is the next message of one of the kinds, with its payload.
func until(t *testing.T, conn net.Conn, kinds ...wire.Kind) (wire.Message, []byte) {
	t.Helper()
	for {
		m, err := wire.ReadHead(conn, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, m.Payload)
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		for _, k := range kinds {
			if m.Kind == k {
				return m, payload
			}
		}
	}
}

// TestPaddedRequests: the block in which a file ends is served as long as it
// is, and with the pad that others see behind it; so is what is pad alone.
func TestPaddedRequests(t *testing.T) {
	for name, format := range map[string]metainfo.Format{"hybrid": metainfo.Hybrid, "v2 only": metainfo.V2Only} {
		t.Run(name, func(t *testing.T) {
			c := contentV2(t, format)
			info := c.meta.Info
			p := &asking{t, greet(t, seeder(t, c), info.Hash)}
			p.say(wire.Message{Kind: wire.HaveNone})
			p.say(wire.Message{Kind: wire.Interested})
			until(t, p, wire.Unchoke)
			for _, e := range append([]wire.Extent{info.Whole(wire.Piece(info.Pieces() - 1))}, info.Tails...) {
				b := info.Block(e.Piece, info.Blocks(e.Piece)-1)
				want := c.at(info, info.Offset(b.Piece, b.Begin))
				p.expect(b, want)
				long, pad := b, b
				if long.Length = wire.BlockSize; info.Padded(long) {
					p.expect(long, want)
				}
				pad.Begin, pad.Length = b.Begin+wire.BlockSize, wire.BlockSize
				if info.Padded(pad) {
					p.expect(pad, nil)
				}
				if half := (wire.Block{Piece: b.Piece, Begin: b.Begin, Length: b.Length / 2}); half.Length > 0 {
					p.say(wire.Of(wire.Request, half))
					until(t, p, wire.Reject)
				}
			}
			p.say(wire.Of(wire.Request, wire.Block{Piece: 0, Begin: uint32(info.PieceLength), Length: wire.BlockSize}))
			if _, err := io.Copy(io.Discard, p); err != nil { // it is hung up on
				t.Log(err)
			}
		})
	}
}

// at is the content from a place in the torrent to the end of its file.
func (c *content) at(info *metainfo.Info, off int64) []byte {
	for _, f := range info.Files {
		if f.Offset <= off && off < f.Offset+f.Length {
			return c.files[filepath.Join(f.Path...)][off-f.Offset:]
		}
	}
	return nil
}

// asking is a peer that asks for blocks.
type asking struct {
	t *testing.T
	net.Conn
}

func (p *asking) say(m wire.Message) {
	p.t.Helper()
	if _, err := p.Write(wire.Append(nil, m)); err != nil {
		p.t.Fatal(err)
	}
}

// expect asks for a block, which is want and zeros behind it.
func (p *asking) expect(b wire.Block, want []byte) {
	p.t.Helper()
	p.say(wire.Of(wire.Request, b))
	m, payload := until(p.t, p, wire.PieceBlock, wire.Reject)
	if m.Kind != wire.PieceBlock || m.Block() != b || !bytes.HasPrefix(payload, want) ||
		bytes.Count(payload[len(want):], []byte{0}) != len(payload)-len(want) {
		p.t.Errorf("%v: %v", b, m)
	}
}

// TestV2Magnet: a link with a v2 infohash alone brings the metadata and the
// piece layers, of a hybrid too; the torrent is found again after a restart.
func TestV2Magnet(t *testing.T) {
	for name, format := range map[string]metainfo.Format{"hybrid": metainfo.Hybrid, "v2 only": metainfo.V2Only} {
		t.Run(name, func(t *testing.T) {
			c := contentV2(t, format)
			s := seeder(t, c)
			id := c.meta.Info.ID()
			dir := t.TempDir()
			client := testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
			source, err := ParseSource("magnet:?xt=urn:btmh:1220" + id.V2.String())
			if err != nil {
				t.Fatal(err)
			}
			torrent, err := client.Add(source)
			if err != nil {
				t.Fatal(err)
			}
			if name := torrent.Name(); name != id.V2.String() {
				t.Errorf("unresolved, it is called %q", name)
			}
			resolved(t, torrent)
			readAll(t, torrent, c)
			if missing := torrent.Info().Missing(); format == metainfo.V2Only && len(missing) > 0 {
				t.Errorf("%d layers are missing", len(missing))
			}
			closeClient(t, client)
			closeClient(t, s)
			client = testClient(t, Config{Dir: dir})
			torrent = client.Torrents()[0]
			readAll(t, torrent, c)
			for _, hash := range []wire.Digest{id.Hash, id.V2.Short()} {
				if !client.known(hash) {
					t.Errorf("a peer that asks for %v is sent away", hash)
				}
			}
		})
	}
}

// TestHashRequests: what the piece layers answer is answered, everything else
// is rejected in its own words.
func TestHashRequests(t *testing.T) {
	c := contentV2(t, metainfo.V2Only)
	s := seeder(t, c)
	conn := greet(t, s, c.meta.Info.Hash)
	info := c.meta.Info
	tree := info.TreeOf(0)
	for name, ask := range map[string]struct {
		change func(*wire.HashRange)
		want   wire.Kind
	}{
		"the layer":       {func(*wire.HashRange) {}, wire.Hashes},
		"its first two":   {func(r *wire.HashRange) { r.Length, r.Proof = 2, 2 }, wire.Hashes},
		"the layer above": {func(r *wire.HashRange) { r.Base, r.Length = r.Base+1, 2 }, wire.Hashes},
		"leaves":          {func(r *wire.HashRange) { r.Base = 0 }, wire.HashReject},
		"another root":    {func(r *wire.HashRange) { r.Root[0] ^= 1 }, wire.HashReject},
		"too far":         {func(r *wire.HashRange) { r.Index = r.Length }, wire.HashReject},
		"too many":        {func(r *wire.HashRange) { r.Length = 1 << 31 }, wire.HashReject},
		"none":            {func(r *wire.HashRange) { r.Length = 0 }, wire.HashReject},
		"too high":        {func(r *wire.HashRange) { r.Base = 1<<32 - 1 }, wire.HashReject},
		"too much proof":  {func(r *wire.HashRange) { r.Proof = 1 << 31 }, wire.HashReject},
	} {
		r, ok := tree.Layer(tree.Root, 0)
		if !ok {
			t.Fatal("the file has no layer")
		}
		ask.change(&r)
		b := wire.Append(nil, wire.Message{Kind: wire.HashRequest, Payload: uint32(wire.HashRangeSize)})
		if _, err := conn.Write(wire.AppendHashRange(b, r)); err != nil {
			t.Fatal(err)
		}
		m, payload := until(t, conn, wire.Hashes, wire.HashReject)
		got, _, ok := wire.ParseHashes(payload)
		if m.Kind != ask.want || !ok || got != r {
			t.Errorf("%s: %v of %+v", name, m, got)
		}
	}
}
