package replay

import (
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// A world may be rationed: what comes and what is sent has to be paid for, and the
// means come little by little.

const (
	rationEvery = 10 * time.Millisecond
	rationMost  = 4 * wire.BlockSize // bytes of each kind at a time
	// rationDebt is what may have come beyond what was paid for: blocks that were
	// cancelled and came all the same, which are paid for later, if ever.
	rationDebt = 64 * wire.BlockSize
)

// ration begins it.
func (w *world) ration() {
	w.step(selection.Limited{Down: true, Background: true, Up: true})
	w.after(rationEvery, w.pay)
}

// pay gives the machine a part of what it could spend, while anybody reads or is served.
func (w *world) pay() {
	d := w.machine.Demand()
	c := selection.Credit{Down: min(d.Down, rationMost), Background: min(d.Background, rationMost), Up: min(d.Up, rationMost)}
	c.Down += c.Background
	if c != (selection.Credit{}) {
		w.paid += c.Down
		w.step(c)
	}
	for _, r := range w.all {
		if r.left > 0 {
			w.after(rationEvery, w.pay)
			return
		}
	}
	if w.faults() || d.Up > 0 || w.pins != nil {
		w.after(rationEvery, w.pay)
		return
	}
	if w.came > w.paid+rationDebt {
		w.fail("%d bytes came, %d were paid for", w.came, w.paid)
	}
}
