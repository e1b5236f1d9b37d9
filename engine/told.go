package engine

import (
	"bipfs/selection"
	"bipfs/wire/extension"
)

// What peers are told of us, and tell us, beside what the machine sends: that we
// want nothing more (BEP 21), that a piece is gone (BEP 54), what a newcomer may
// ask for while we choke it (BEP 6).

// ourDontHave is what we call lt_donthave.
const ourDontHave = 3

// giftPieces is how many pieces a newcomer may be allowed to ask for while it is
// choked. The machine bounds how much it takes of them.
const giftPieces = 10

// setComplete notes whether every piece is here. Peers hear of it: those that
// have everything too need not stay. Nothing less than all is a reason to say
// that we want no more, since a handle that is opened tomorrow may want any piece
// and other clients do not keep a connection that is of no use to both.
func (l *loop) setComplete(complete bool) {
	if l.complete == complete {
		return
	}
	l.complete = complete
	for _, k := range l.links {
		l.tellComplete(k)
	}
}

// tellComplete sends k our extended handshake again if what it was told of our
// being complete is no longer so. Without a slot for it, it is told when one is
// back, and then what is so by then.
func (l *loop) tellComplete(k *link) {
	if k.seed == nil && k.hand.Extended() && k.uploadOnly != l.complete && k.free > 0 {
		k.extend(0, l.hello(k))
	}
}

// allow names to the machine the pieces that k may be given while it is choked.
func (l *loop) allow(k *link) {
	info := l.t.Info()
	if l.meta != nil || info == nil || k.seed != nil || !k.hand.Fast() {
		return
	}
	if set := extension.AllowedFastSet(k.hand.Addr.Addr(), l.t.hash, info.Pieces(), giftPieces); len(set) > 0 {
		l.step(selection.Allow{Peer: k.id, Pieces: set})
	}
}

// says hands what a peer's handshake says to the machine.
func (l *loop) says(k *link, h extension.Handshake) {
	if id, said := h.M[extension.LTDontHave]; said {
		k.dontHaveID = id
	}
	l.step(selection.Limits{Peer: k.id, Reqq: h.Reqq, DontHave: k.dontHaveID})
}

// lost takes a peer's word that it has a piece no longer.
func (l *loop) lost(k *link, payload []byte) {
	i, err := extension.ParseDontHave(payload)
	if err != nil {
		k.conn.Close(err)
		return
	}
	l.step(selection.DontHave{Peer: k.id, Piece: i})
}
