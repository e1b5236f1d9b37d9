package selection

import (
	"slices"
	"time"

	"bipfs/wire"
)

// edf is a list of pieces by earliest deadline, then number. Inserting and
// removing move the shorter side of the list, and most happens near its front:
// a long list of far wants costs nothing.
type edf struct {
	list []*piece
	head int // list[:head] is headroom
}

func (e *edf) len() int          { return len(e.list) - e.head }
func (e *edf) at(i int) *piece   { return e.list[e.head+i] }
func (e *edf) sorted() []*piece  { return e.list[e.head:] }
func before(a, b *piece) bool    { return order(a, b) < 0 }
func (e *edf) find(p *piece) int { i, _ := slices.BinarySearchFunc(e.sorted(), p, order); return i }

func order(a, b *piece) int {
	switch {
	case a.deadline != b.deadline:
		if a.deadline < b.deadline {
			return -1
		}
		return 1
	case a.index != b.index:
		if a.index < b.index {
			return -1
		}
		return 1
	}
	return 0
}

func (e *edf) insert(p *piece) {
	i := e.find(p)
	if e.head > 0 && i < e.len()/2 {
		e.head--
		copy(e.list[e.head:], e.list[e.head+1:e.head+1+i])
		e.list[e.head+i] = p
		return
	}
	e.list = slices.Insert(e.list, e.head+i, p)
}

func (e *edf) remove(p *piece) {
	i := e.find(p)
	if e.at(i) != p {
		panic("selection: a piece is not in the list it says it is in")
	}
	if i < e.len()/2 {
		copy(e.list[e.head+1:], e.list[e.head:e.head+i])
		e.list[e.head] = nil
		e.head++
		return
	}
	e.list = slices.Delete(e.list, e.head+i, e.head+i+1)
}

// want is one standing want.
type want struct {
	piece    *piece
	deadline time.Duration
	class    Class
	reader   wire.Reader
	hot      run // blocks that a read waits for
}

// want takes in a want, new or moved.
func (m *Machine) want(e Want) {
	if !m.known || !m.geo.Within(e.Extent) {
		return // the engine's readers exist only once the geometry is known
	}
	pc := m.piece(e.Extent.Piece)
	if old := m.wants[e.Reader]; old != nil {
		if old.piece != pc {
			m.unwant(e.Reader)
		} else {
			m.standing[old.class]--
			m.standing[e.Class]++
			old.deadline, old.class = e.Deadline, e.Class
			m.turn(old, m.hotRun(e))
			m.due(pc)
			m.wait(e)
			return
		}
	}
	w := &want{piece: pc, deadline: e.Deadline, class: e.Class, reader: e.Reader}
	m.wants[e.Reader] = w
	m.standing[e.Class]++
	pc.wants = append(pc.wants, w)
	m.turn(w, m.hotRun(e))
	m.due(pc)
	if len(pc.wants) == 1 && !m.have.Has(pc.index) {
		m.need(pc)
	}
	m.wait(e)
}

// need starts the fetching of a piece that is wanted and not here.
func (m *Machine) need(pc *piece) {
	m.needed.Set(pc.index)
	m.missing++
	m.restAt = never
	m.place(pc)
	m.changed(pc)
	for _, p := range m.aloof() {
		if p.has.Has(pc.index) {
			m.attract(p)
		}
	}
}

// unneed ends it.
func (m *Machine) unneed(pc *piece) {
	m.needed.Clear(pc.index)
	m.missing--
	if m.missing == 0 {
		m.restAt = m.now + lingerTime
	}
}

// rest ends our interest: nothing has been needed for a while. It lingers
// because a peer that is not needed for a moment would choke us for longer.
func (m *Machine) rest() {
	m.restAt = never
	for _, p := range m.peers {
		if p.interest.should {
			p.interest.should = false
			m.touch(p)
		}
	}
}

// unwant withdraws a want. A lease that nobody wants is closed, but a piece
// whose blocks are all here is left to its verdict.
func (m *Machine) unwant(r wire.Reader) {
	w := m.wants[r]
	if w == nil {
		return
	}
	delete(m.wants, r)
	if m.standing[w.class]--; w.class == Now && m.standing[Now] == 0 {
		m.comeBack()
	}
	m.turn(w, run{})
	pc := w.piece
	i := slices.Index(pc.wants, w)
	pc.wants = slices.Delete(pc.wants, i, i+1)
	if len(pc.wants) > 0 {
		m.due(pc)
		return
	}
	if m.needed.Has(pc.index) {
		m.unneed(pc)
	}
	m.abandon(pc)
}

// abandon closes the lease of a piece that nobody wants, unless its verdict is to come.
func (m *Machine) abandon(pc *piece) {
	if pc.state == opening || pc.state == open {
		m.end(pc, true)
		m.crossed.Set(pc.index)
		m.command(Close{pc.index})
	}
	m.place(pc)
	m.forget(pc)
}

// due gives a piece the deadline and class of its most urgent want.
func (m *Machine) due(pc *piece) {
	deadline, class := pc.wants[0].deadline, pc.wants[0].class
	for _, w := range pc.wants[1:] {
		deadline, class = min(deadline, w.deadline), min(class, w.class)
	}
	if deadline == pc.deadline && class == pc.class {
		return
	}
	m.unplace(pc)
	moved, withheld := deadline != pc.deadline, m.withholds(pc)
	pc.deadline, pc.class = deadline, class
	m.place(pc)
	if withheld && !m.withholds(pc) && pc.where == inReady {
		m.changed(pc)
	}
	if class == Now {
		m.hurry(pc)
	}
	if pc.state == opening || pc.state == open {
		if moved {
			m.command(Reprioritise{pc.index, deadline})
		}
		return
	}
	if pc.where == inReady {
		m.changed(pc)
	}
}
