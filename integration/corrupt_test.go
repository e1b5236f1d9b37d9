package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCorruptPeer: one of ten peers sends corrupt blocks. The file is right,
// that peer is banned and sends nothing more, no other is, and at most one
// piece is wasted.
func TestCorruptPeer(t *testing.T) {
	const pieceLength = 256 << 10
	to := torrentOf(t, file(t, "corrupted.bin", 64<<20), pieceLength)
	var peers []*peer
	for i := range 10 {
		// A rate for each, or the first to connect would bring it all.
		m := manner{addr: fmt.Sprintf("127.0.0.%d", 11+i), rate: 4 << 20, corrupt: i == 4}
		peers = append(peers, scripted(t, m, to))
	}
	m := mountBipfs(t, mounting{flags: peerFlags(peers...), sources: []string{to.file}})
	same(t, to.shown(m), to.content)
	var sent int64
	liar := peers[4]
	eventually(t, 10*time.Second, "the corrupt peer is left", func() bool { return liar.open.Load() == 0 })
	for i, p := range peers {
		sent += p.sent.Load()
		t.Logf("peer %d: %d connections, %d requests, %d KiB sent", i, p.opened.Load(), p.asked.Load(), p.sent.Load()>>10)
		switch {
		case p == liar && p.sent.Load() == 0:
			t.Error("the corrupt peer was asked for nothing: the test has tested nothing")
		case p != liar && p.open.Load() != 1:
			t.Errorf("peer %d, which did nothing wrong, has %d connections", i, p.open.Load())
		}
	}
	// One piece for the lie, and what TestWaste allows: on a busy machine a peer
	// may seem to have stalled.
	if waste := sent - to.Info.Length; waste > pieceLength+to.Info.Length/25 {
		t.Errorf("%d KiB were sent in vain, one piece of %d KiB is allowed", waste>>10, pieceLength>>10)
	} else {
		t.Logf("%d KiB were sent in vain", waste>>10)
	}
	if n := strings.Count(m.printed(), "a piece failed its hash"); n > 1 {
		t.Errorf("%d pieces failed, one is allowed", n)
	}
	began := liar.began.Load()
	time.Sleep(2 * time.Second)
	if liar.began.Load() > began {
		t.Error("bipfs came back to the peer that it banned")
	}
	m.stop(time.Second)
}

// TestWaste: ten good peers of one speed send next to nothing twice.
func TestWaste(t *testing.T) {
	to := torrentOf(t, file(t, "corrupted.bin", 64<<20), 256<<10)
	var peers []*peer
	for i := range 10 {
		peers = append(peers, scripted(t, manner{addr: fmt.Sprintf("127.0.0.%d", 31+i), rate: 4 << 20}, to))
	}
	m := mountBipfs(t, mounting{flags: peerFlags(peers...), sources: []string{to.file}})
	same(t, to.shown(m), to.content)
	var sent int64
	for _, p := range peers {
		sent += p.sent.Load()
	}
	if waste := sent - to.Info.Length; waste > to.Info.Length/25 {
		t.Errorf("%d KiB of %d were sent in vain, 4 %% are allowed", waste>>10, to.Info.Length>>10)
	} else {
		t.Logf("%d KiB were sent in vain", waste>>10)
	}
	m.stop(time.Second)
}

// TestOnlyCorruptPeers: with nothing but lies to be had a read fails at its
// deadline, and never returns a wrong byte.
func TestOnlyCorruptPeers(t *testing.T) {
	t.Parallel()
	to := torrentOf(t, smallFile(t), 256<<10)
	liar := scripted(t, manner{corrupt: true}, to)
	m := mountBipfs(t, mounting{flags: append(peerFlags(liar), "--read-timeout", "3s"), sources: []string{to.file}})
	r := try(20*time.Second, "dd", "if="+to.shown(m), "bs=64k", "count=1", "status=none")
	if r.code != 1 || r.out != "" {
		t.Errorf("a read of a torrent that only a liar has: %d bytes, exit %d, %s", len(r.out), r.code, r.err)
	}
	if r.own > 6*time.Second {
		t.Errorf("the read failed after %v, its limit is 3 s", r.own)
	}
	m.stop(time.Second)
}
