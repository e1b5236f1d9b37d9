package selection

// What nobody waits for steps aside when a read begins to wait: whoever could bring
// what it waits for is not asked for anything in the background for a while, and what
// is queued there of that is taken back. What is on its way comes all the same, and is
// taken in.
//
//	a read waits ──▶ background: taken back, withheld ──a while, or no read waits──▶ asked again
//
// The while is short, for it may be that nobody brings what the read waits for. Only
// what is due late enough steps aside: the rest of a piece that has just been read is
// background as well.

// Aside says that a read of another torrent waits for the swarm: the background steps
// aside for it as well, for less long.
type Aside struct{}

func (Aside) event() {}

// isFar tells whether nobody waits for a piece, and it is due late enough.
func (m *Machine) isFar(pc *piece) bool {
	return pc.class == Background && pc.deadline > m.now+asideBeyond
}

// wait has the background step aside when a read begins to wait for what is not here.
func (m *Machine) wait(e Want) {
	i := e.Extent.Piece
	if e.Class != Now || m.standing[Background] == 0 || m.have.Has(i) {
		return
	}
	brings := false
	for _, p := range m.peers {
		if p.dropped || !p.has.Has(i) || m.bars(p, i, Now) {
			continue
		}
		brings = true
		m.takeBack(p)
	}
	if brings {
		m.asideTo = m.now + asideTime
	}
}

// stepAside is that for a read of another torrent.
func (m *Machine) stepAside() {
	if m.standing[Background] == 0 {
		return
	}
	for _, p := range m.peers {
		m.takeBack(p)
	}
	if to := m.now + asideForOthers; m.asideTo == never || m.asideTo < to {
		m.asideTo = to
	}
}

// takeBack takes back what p was asked for later, but for what is on its way.
func (m *Machine) takeBack(p *peer) {
	for j := len(p.asked) - 1; j > 0; j-- {
		if m.isFar(p.asked[j].piece) {
			m.unask(p, j, true)
		}
	}
}

// comeBack has the background be asked for again.
func (m *Machine) comeBack() {
	if m.asideTo == never {
		return
	}
	m.asideTo = never
	for _, p := range m.peers {
		if p.hunger > 0 {
			m.touch(p)
		}
	}
}
