package selection

import "bipfs/wire"

// What may be asked for, and sent, where rates are limited. The machine knows no rate:
// it spends what it is given, and says what it could spend.
//
//	                       ┌── refund: it will not come ──┐
//	Credit ──▶ budget ──ask──▶ request ──▶ block: spent ◀── a block that was not paid for
//	                   └─Load──▶ block
//
// A block is paid for when it is asked for, so that what is on its way is bounded as
// well; but what counts in the end is what comes. Debts are carried on. What nobody
// waits for needs credit of its own, beside what all that is asked for needs.

// Limited says which budgets there are from now on. Those that there were not begin
// empty.
type Limited struct {
	Down       bool // for all that is asked for
	Background bool // for what nobody waits for, besides
	Up         bool // for all that is sent
}

// Credit adds bytes to budgets.
type Credit struct{ Down, Background, Up int64 }

func (Limited) event() {}
func (Credit) event()  {}

// purse is what may be spent; less than 0 is a debt.
type purse struct {
	limited Limited
	left    Credit
	turn    int // which peer is first when there is something to send again
	thirst  int // requests that the peers could take, were it not for the budget
}

// limited takes in which budgets there are.
func (m *Machine) limited(e Limited) {
	b := &m.purse
	if e.Down != b.limited.Down {
		b.left.Down = 0
	}
	if e.Background != b.limited.Background {
		b.left.Background = 0
	}
	if e.Up != b.limited.Up {
		b.left.Up = 0
	}
	b.limited = e
	m.slake()
	m.pour()
}

// credited takes in bytes that may be spent. What is behind is no more than all: or
// what was given for those who wait would be spent on it later.
func (m *Machine) credited(e Credit) {
	b := &m.purse
	b.left.Down += e.Down
	b.left.Background += e.Background
	if b.limited.Down {
		b.left.Background = min(b.left.Background, max(b.left.Down, 0))
	}
	b.left.Up += e.Up
	if e.Down > 0 || e.Background > 0 {
		m.slake()
	}
	if e.Up > 0 {
		m.pour()
	}
}

// slake has the peers that could take requests looked at, and first what is due: or the
// first of them would be asked for all that the credit is worth.
func (m *Machine) slake() {
	for _, p := range m.peers {
		if p.thirst > 0 {
			m.touch(p)
		}
	}
	for i := range min(m.ready.len(), demandPieces) {
		m.changed(m.ready.at(i))
	}
}

// pour has the peers that wait for blocks looked at, each one first in its turn.
func (m *Machine) pour() {
	m.purse.turn++
	for k := range m.peers {
		if p := m.peers[(m.purse.turn+k)%len(m.peers)]; len(p.requests) > 0 {
			m.touch(p)
		}
	}
}

// afford is how many of n requests the budget has room for.
func (m *Machine) afford(p *peer, n int) int {
	b := &m.purse
	b.thirst += n - p.thirst
	p.thirst = n
	if !b.limited.Down {
		return n
	}
	return int(min(int64(n), max(0, (b.left.Down+wire.BlockSize-1)/wire.BlockSize)))
}

// withholds tells whether nothing more may be asked for of a piece, as nobody waits
// for it and the budget for that is spent, or a read does for another (aside.go).
func (m *Machine) withholds(pc *piece) bool {
	return pc.class == Background &&
		(m.purse.limited.Background && m.purse.left.Background <= 0 || m.asideTo != never && m.isFar(pc))
}

// bill is what was taken from the budgets for a request.
type bill struct{ down, background int64 }

// spend pays for a request of n bytes for a piece.
func (m *Machine) spend(pc *piece, n int64) (paid bill) {
	b := &m.purse
	if b.limited.Background && pc.class == Background {
		paid.background = n
		b.left.Background -= n
	}
	if b.limited.Down {
		paid.down = n
		if b.left.Down -= n; b.left.Down <= 0 {
			for len(m.hungry) > 0 { // nobody can be asked for more
				m.refresh(m.hungry[len(m.hungry)-1])
			}
		}
	}
	return paid
}

// refund gives back what was paid for a block that will not come.
func (m *Machine) refund(paid bill) {
	b := &m.purse
	dry := b.limited.Down && b.left.Down <= 0 || b.limited.Background && b.left.Background <= 0
	b.left.Down += paid.down
	b.left.Background += paid.background
	if dry && paid != (bill{}) {
		m.slake()
	}
}

// settleBill takes off the budgets what a block costs that has come, but for what was
// paid for it: by request j of p, if that is 0 or more.
func (m *Machine) settleBill(p *peer, pc *piece, j int, n int64) {
	var paid bill
	if j >= 0 {
		paid, p.asked[j].paid = p.asked[j].paid, bill{}
	}
	b := &m.purse
	if b.limited.Down {
		b.left.Down -= n - paid.down
	}
	if b.limited.Background && pc != nil && pc.class == Background {
		b.left.Background -= n - paid.background
	}
}

// pay pays for a block that is sent.
func (m *Machine) pay(n int64) {
	if m.purse.limited.Up {
		m.purse.left.Up -= n
	}
}

// mayPay tells whether one may be.
func (m *Machine) mayPay() bool { return !m.purse.limited.Up || m.purse.left.Up > 0 }

// demandPieces is how many pieces are looked at to tell what could be asked for.
const demandPieces = 16

// Demand is how many bytes could be asked for now by those who wait, or soon will
// (Down), and in the background, and sent, if there were credit for it. It is 0 where
// there is credit, or no budget. It changes nothing.
func (m *Machine) Demand() (d Credit) {
	b := &m.purse
	if b.thirst > 0 {
		if b.limited.Down && b.left.Down <= 0 {
			for i := 0; i < min(m.ready.len(), demandPieces) && m.ready.at(i).class != Background; i++ {
				d.Down += m.obtainable(m.ready.at(i))
			}
		}
		if b.limited.Background && (b.left.Background <= 0 || b.limited.Down && b.left.Down <= 0) {
			n := m.ready.len()
			for i := n - 1; i >= max(0, n-demandPieces) && m.ready.at(i).class == Background; i-- {
				d.Background += m.obtainable(m.ready.at(i))
			}
		}
		most := int64(b.thirst) * wire.BlockSize
		d.Down, d.Background = min(d.Down, most), min(d.Background, most)
	}
	if b.limited.Up && b.left.Up <= 0 {
		for _, p := range m.peers {
			d.Up += int64(min(len(p.requests), p.loads)) * wire.BlockSize
		}
	}
	return d
}

// obtainable is how many bytes of a piece could be asked for.
func (m *Machine) obtainable(pc *piece) int64 {
	for _, p := range m.peers {
		if p.thirst > 0 && p.has.Has(pc.index) && !m.bars(p, pc.index, pc.class) && !p.refuses(pc.index) {
			if pc.state == closed {
				return int64(m.geo.PieceSize(pc.index))
			}
			return int64(pc.free) * wire.BlockSize
		}
	}
	return 0
}
