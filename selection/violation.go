package selection

import "time"

// Reasons for dropping a peer.
const (
	badBitfield  = "bitfield does not fit the torrent"
	lateAll      = "have-all or have-none is not the first word about pieces"
	badHave      = "have of a piece that the torrent does not have"
	badDontHave  = "lt_donthave of a piece that the torrent does not have"
	badRequest   = "request of bytes that no piece has"
	badAllowed   = "allowed-fast of a piece that the torrent does not have"
	fastUnspoken = "message of the fast extension without its handshake"
	unaskedBlock = "blocks that nobody asked for"
	flood        = "flood of messages without use"
	badBlocks    = "blocks that differ from the verified ones"
	badLeaf      = "a block that is not its leaf's"
)

// speaksFast drops a peer that uses BEP 6 without having said so.
func (m *Machine) speaksFast(p *peer) bool {
	if !p.fast {
		m.drop(p, fastUnspoken)
	}
	return p.fast
}

// forgive allows p as many more blocks that nobody asked for as it may have
// thought were asked: without BEP 6 a request that is cancelled, or crosses a
// choke, and is made again may be answered twice.
func (p *peer) forgive(n int) { p.unasked = max(p.unasked-n, -mostForgiven) }

// forget notes that n cancelled requests were never answered.
func (p *peer) forget(n int) {
	p.forgets = true
	p.forgive(n)
}

// unasked takes in a block that nobody asked for.
func (m *Machine) unasked(p *peer) {
	if p.unasked++; p.unasked > mostUnasked {
		m.drop(p, unaskedBlock)
	}
}

// noisy takes in a message that says nothing new. Some always happen; they are
// forgotten with time.
func (m *Machine) noisy(p *peer) {
	if leak := int((m.now - p.noiseAt) / (time.Second / noiseLeak)); leak > 0 {
		p.noise = max(0, p.noise-leak)
		p.noiseAt = m.now
	}
	if p.noise++; p.noise > mostNoise {
		m.drop(p, flood)
	}
}
