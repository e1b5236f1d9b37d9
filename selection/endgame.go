package selection

// repeat is the endgame: p could take requests, and nothing free is left for
// it. If a block of an urgent piece is on its way from a peer that will take
// clearly longer than p, p is asked for it too; whoever is later is told not
// to send it. Doubles are bounded, and only the last blocks of a piece are
// worth one. What a stalled or slow peer owes does not wait for this: see stall.go.
func (m *Machine) repeat(p *peer) {
	if p.snubbed {
		return
	}
	for i := 0; i < min(m.busy.len(), endgameSpan); i++ {
		pc := m.busy.at(i)
		if pc.class == Background || pc.suspect || pc.free > 0 || pc.room < 0 || pc.asked > lastBlocks || !m.takes(p, pc) {
			continue
		}
		for b := range pc.blocks {
			if p.hunger == 0 || m.doubles >= mostDoubles {
				return
			}
			if m.worthwhile(p, pc, b) {
				m.ask(p, pc, b)
			}
		}
	}
}

// worthwhile tells whether p would bring a block clearly sooner than the one
// peer that was asked for it, which is late for the piece's deadline: sooner by more
// than a peer's queue is long, or every queue that is worked off in order would look
// too long to one that is empty.
func (m *Machine) worthwhile(p *peer, pc *piece, i int) bool {
	b := &pc.blocks[i]
	if b.state != blockAsked || b.slot(nil) == nil || b.slot(p) != nil {
		return false
	}
	q := b.askers[0].peer
	if q == nil {
		q = b.askers[1].peer
	}
	j := q.find(pc, i)
	ahead := blockTime(q.rate.guess(), j+1)
	due := max(q.quiet+ahead, q.asked[j].at+q.rate.roundTrip())
	left := max(due-m.now, m.now-due) // overdue: as long again
	return p.eta()+queueTime < left && m.now+left > pc.deadline
}
