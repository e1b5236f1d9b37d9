package engine

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// layers serves metadata as it is, and has answer answer hash requests.
func (p *scripted) layers(info *metainfo.Info, answer func(r wire.HashRange)) {
	size := int64(len(info.Raw))
	p.hello(size)
	for {
		m, payload, err := p.next()
		if err != nil {
			return
		}
		if r, _, ok := wire.ParseHashes(payload); ok && m.Kind == wire.HashRequest {
			answer(r)
			continue
		}
		if m.Kind != wire.Extended || m.ID != theirMetadata {
			continue
		}
		if ask, err := extension.ParseMetadata(payload); err == nil && ask.Type == extension.MetadataRequest {
			start, end := extension.MetadataSpan(size, ask.Piece)
			p.extended(ourMetadata, extension.Metadata{
				Type: extension.MetadataData, Piece: ask.Piece, TotalSize: size, Data: info.Raw[start:end],
			}.Append(nil))
		}
	}
}

// say sends a hash message.
func (p *scripted) say(k wire.Kind, r wire.HashRange, hashes []wire.Hash) {
	payload := wire.AppendHashRange(nil, r)
	for _, h := range hashes {
		payload = append(payload, h[:]...)
	}
	b := wire.Append(nil, wire.Message{Kind: k, Payload: uint32(len(payload))})
	p.Write(append(b, payload...))
}

// TestLayersOfBadPeers resolves a link of v2 while a peer misbehaves: first
// with that peer alone, until it was asked, then with a seeder beside it.
func TestLayersOfBadPeers(t *testing.T) {
	c := contentV2(t, metainfo.V2Only)
	info := c.meta.Info
	for name, bad := range map[string]struct {
		answer func(p *scripted, r wire.HashRange)
		banned bool
	}{
		"false": {func(p *scripted, r wire.HashRange) {
			hashes, _ := info.Answer(r)
			hashes[1][0] ^= 1
			p.say(wire.Hashes, r, hashes)
		}, true},
		"too few": {func(p *scripted, r wire.HashRange) {
			hashes, _ := info.Answer(r)
			p.say(wire.Hashes, r, hashes[1:])
		}, true},
		"too many": {func(p *scripted, r wire.HashRange) {
			p.say(wire.Hashes, r, make([]wire.Hash, wire.MaxHashes+wire.MaxHashLayers))
		}, true},
		"no hashes": {func(p *scripted, r wire.HashRange) { p.say(wire.Hashes, r, nil) }, true},
		"another range": {func(p *scripted, r wire.HashRange) {
			r.Index += r.Length
			p.say(wire.Hashes, r, make([]wire.Hash, r.Length))
		}, false},
		"an impossible range": {func(p *scripted, r wire.HashRange) {
			r.Length, r.Proof = 1<<31, 1<<31
			p.say(wire.Hashes, r, make([]wire.Hash, 2))
		}, false},
		"silent":       {func(p *scripted, r wire.HashRange) {}, false},
		"rejects":      {func(p *scripted, r wire.HashRange) { p.say(wire.HashReject, r, nil) }, false},
		"asks as well": {func(p *scripted, r wire.HashRange) { p.say(wire.HashRequest, r, nil) }, false},
		"hangs up":     {func(p *scripted, r wire.HashRange) { p.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // three of them wait for layerTimeout
			asked := make(chan struct{}, 1)
			var greeted atomic.Int32
			liar := listenScripted(t, info.Hash, func(p *scripted) {
				greeted.Add(1)
				p.layers(info, func(r wire.HashRange) {
					bad.answer(p, r)
					select {
					case asked <- struct{}{}:
					default:
					}
				})
			})
			client := testClient(t, Config{Encryption: NoEncryption, NoUTP: true, Peers: []string{liar}})
			magnet := &metainfo.Magnet{Hash: info.Hash, V2: info.V2}
			torrent, err := client.Add(Source{Magnet: magnet})
			if err != nil {
				t.Fatal(err)
			}
			<-asked
			s := seeder(t, c)
			more := *magnet
			more.Peers = []string{s.addr()}
			if _, err := client.Add(Source{Magnet: &more}); err != nil {
				t.Fatal(err)
			}
			resolved(t, torrent)
			readAll(t, torrent, c)
			if bad.banned && greeted.Load() != 1 {
				t.Errorf("the liar was met %d times", greeted.Load())
			}
		})
	}
}

// TestHashFlood: who asks for hashes and does not read is remembered by a few
// numbers, and is answered within the bound once it reads.
func TestHashFlood(t *testing.T) {
	k := &link{} // without a slot
	for range 10 * mostHashRequests {
		(&loop{t: &Torrent{}}).serveHashes(k, wire.HashRange{})
	}
	if len(k.ranges) != mostHashRequests || len(k.unsent) > 0 {
		t.Errorf("%d requests and %d answers wait", len(k.ranges), len(k.unsent))
	}
	c := contentV2(t, metainfo.V2Only)
	conn := greet(t, seeder(t, c), c.meta.Info.Hash)
	tree := c.meta.Info.TreeOf(0)
	r, _ := tree.Layer(tree.Root, 0)
	one := wire.AppendHashRange(wire.Append(nil, wire.Message{Kind: wire.HashRequest, Payload: uint32(wire.HashRangeSize)}), r)
	if _, err := conn.Write(bytes.Repeat(one, 10*mostHashRequests)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(longEnough))
	for range mostHashRequests {
		until(t, conn, wire.Hashes)
	}
}
