package engine

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/merkle"
)

// oneLong is a torrent of one long file in long pieces.
func oneLong(t *testing.T, f metainfo.Format) *content {
	t.Helper()
	return newContent(t, 1<<20, 3<<20).inFormat(t, f)
}

// leafSeed is a scripted seed that sends the blocks that it is asked for and says
// nothing of hashes but what answer says.
type leafSeed struct {
	c      *content
	blocks atomic.Int64
	met    atomic.Int32                        // connections,
	left   atomic.Int32                        // and those that have ended
	lies   bool                                // in every block
	holds  func(sent int64) bool               // it keeps a block to itself
	answer func(p *scripted, r wire.HashRange) // nil: it is silent
	mu     sync.Mutex
	ranges []wire.HashRange
}

func (s *leafSeed) truth(r wire.HashRange) ([]wire.Hash, bool) {
	info := s.c.meta.Info
	p, ok := info.Below(r)
	if !ok {
		return nil, false
	}
	var leaves []wire.Hash
	for b := range slices.Chunk(s.c.at(info, info.Offset(p, 0))[:info.PieceSize(p)], wire.BlockSize) {
		leaves = append(leaves, merkle.Leaf(b))
	}
	return leafAnswer(info, r, p, leaves)
}

func (s *leafSeed) tell(p *scripted, r wire.HashRange) {
	if hashes, ok := s.truth(r); ok {
		p.say(wire.Hashes, r, hashes)
	} else {
		p.say(wire.HashReject, r, nil)
	}
}

func (s *leafSeed) run(p *scripted) {
	s.met.Add(1)
	defer s.left.Add(1)
	info := s.c.meta.Info
	p.Write(wire.Append(wire.Append(nil, wire.Message{Kind: wire.HaveAll}), wire.Message{Kind: wire.Unchoke}))
	for {
		m, payload, err := p.next()
		if err != nil {
			return
		}
		switch m.Kind {
		case wire.HashRequest:
			r, _, _ := wire.ParseHashes(payload)
			s.mu.Lock()
			s.ranges = append(s.ranges, r)
			s.mu.Unlock()
			if s.answer != nil {
				s.answer(p, r)
			}
		case wire.Request:
			b := m.Block()
			if s.holds != nil && s.holds(s.blocks.Load()) {
				continue
			}
			s.blocks.Add(1)
			data := bytes.Clone(s.c.at(info, info.Offset(b.Piece, b.Begin))[:b.Length])
			if s.lies {
				data[0] ^= 1
			}
			p.Write(append(wire.Append(nil, wire.Of(wire.PieceBlock, b)), data...))
		}
	}
}

// listen serves the seed; each has an address of its own.
func (s *leafSeed) listen(t *testing.T) string {
	return listenScripted(t, s.c.meta.Info.Hash, s.run)
}

// readSome reads n bytes at off of the file.
func readSome(t *testing.T, torrent *Torrent, c *content, off int64, n int) {
	t.Helper()
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := readRange(t.Context(), r, off, n)
	if err != nil {
		t.Fatal(err)
	}
	if want := c.at(c.meta.Info, off)[:n]; !bytes.Equal(got, want) {
		t.Error("wrong bytes")
	}
}

func leafClient(t *testing.T, c *content, peers ...string) *Torrent {
	t.Helper()
	client := testClient(t, Config{Encryption: NoEncryption, NoUTP: true, Peers: peers, Memory: 64 << 20})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	return torrent
}

// TestLeafBlocks: a read has its bytes when their leaves are told, although the
// piece never comes: at once, after a reject, or after silence.
func TestLeafBlocks(t *testing.T) {
	for name, answer := range map[string]func(s *leafSeed) func(p *scripted, r wire.HashRange){
		"at once": func(s *leafSeed) func(p *scripted, r wire.HashRange) { return s.tell },
		"when it has served a block": func(s *leafSeed) func(p *scripted, r wire.HashRange) {
			return func(p *scripted, r wire.HashRange) {
				if s.blocks.Load() == 0 {
					p.say(wire.HashReject, r, nil)
				} else {
					s.tell(p, r)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &leafSeed{c: oneLong(t, metainfo.V2Only), holds: func(sent int64) bool { return sent >= 20 }}
			s.answer = answer(s)
			readSome(t, leafClient(t, s.c, s.listen(t)), s.c, 1<<20+300_000, 100_000)
			if n := s.blocks.Load(); n > 20 {
				t.Errorf("%d blocks were sent", n)
			}
		})
	}
}

// TestNoLeaves: a piece whose leaves nobody tells is verified as a whole.
func TestNoLeaves(t *testing.T) {
	for name, answer := range map[string]func(p *scripted, r wire.HashRange){
		"rejects": func(p *scripted, r wire.HashRange) { p.say(wire.HashReject, r, nil) },
		"silent":  nil,
		"another range": func(p *scripted, r wire.HashRange) {
			r.Root[0] ^= 1
			p.say(wire.Hashes, r, make([]wire.Hash, r.Length))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &leafSeed{c: oneLong(t, metainfo.V2Only), answer: answer}
			readSome(t, leafClient(t, s.c, s.listen(t)), s.c, 1<<20+300_000, 100_000)
		})
	}
}

// TestLeafLiars: who tells false leaves is banned, and so is who sends a block that
// is not its leaf's: it costs that block, and the read has its bytes from another.
func TestLeafLiars(t *testing.T) {
	for name, lie := range map[string]func(s *leafSeed){
		"false leaves": func(s *leafSeed) {
			s.answer = func(p *scripted, r wire.HashRange) {
				hashes, _ := s.truth(r)
				hashes[1][0] ^= 1
				p.say(wire.Hashes, r, hashes)
			}
		},
		"bad blocks": func(s *leafSeed) { s.lies, s.answer = true, s.tell },
	} {
		t.Run(name, func(t *testing.T) {
			liar := &leafSeed{c: oneLong(t, metainfo.V2Only)}
			lie(liar)
			torrent := leafClient(t, liar.c, liar.listen(t))
			done := make(chan struct{})
			go func() {
				defer close(done)
				readSome(t, torrent, liar.c, 1<<20+300_000, 100_000)
			}()
			eventually(t, "the liar is not left", func() bool { return liar.left.Load() > 0 })
			s := seeder(t, liar.c)
			if _, err := torrent.c.Add(Source{Magnet: &metainfo.Magnet{
				Hash: liar.c.meta.Info.Hash, V2: liar.c.meta.Info.V2, Peers: []string{s.addr()},
			}}); err != nil {
				t.Fatal(err)
			}
			<-done
			if n := liar.met.Load(); n != 1 {
				t.Errorf("the liar was met %d times", n)
			}
		})
	}
}

// TestLeavesServed: leaves of a piece that is here are told, those of others are
// not.
func TestLeavesServed(t *testing.T) {
	for name, format := range map[string]metainfo.Format{"hybrid": metainfo.Hybrid, "v2 only": metainfo.V2Only} {
		t.Run(name, func(t *testing.T) {
			c := oneLong(t, format)
			info := c.meta.Info
			conn := greet(t, seeder(t, c), info.V2.Short())
			tree := info.TreeOf(0)
			truth := &leafSeed{c: c}
			for range 3 { // read, then known
				for first := int64(0); first < tree.Blocks(); first += 32 {
					r, _ := tree.Over(tree.Root, first, first+31, tree.PieceLayer())
					want, _ := truth.truth(r)
					b := wire.Append(nil, wire.Message{Kind: wire.HashRequest, Payload: uint32(wire.HashRangeSize)})
					if _, err := conn.Write(wire.AppendHashRange(b, r)); err != nil {
						t.Fatal(err)
					}
					m, payload := until(t, conn, wire.Hashes, wire.HashReject)
					got, hashes, _ := wire.ParseHashes(payload)
					if m.Kind != wire.Hashes || got != r || !slices.Equal(metainfo.HashesOf(hashes), want) {
						t.Fatalf("%+v: %v", r, m)
					}
				}
			}
			empty := testClient(t, Config{})
			if _, err := empty.Add(Source{Torrent: c.meta}); err != nil {
				t.Fatal(err)
			}
			conn = greet(t, empty, info.V2.Short())
			r, _ := tree.Over(tree.Root, 0, 31, tree.PieceLayer())
			b := wire.Append(nil, wire.Message{Kind: wire.HashRequest, Payload: uint32(wire.HashRangeSize)})
			conn.Write(wire.AppendHashRange(b, r))
			if m, _ := until(t, conn, wire.Hashes, wire.HashReject); m.Kind != wire.HashReject {
				t.Error("leaves of a piece that is not here are told")
			}
		})
	}
}
