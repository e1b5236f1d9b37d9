// Package mend puts a good copy of a piece together of bad ones. It knows no
// bytes, only which contents of a block are the same.
//
// Several peers that have proven nothing share a piece, and its hash is wrong: one
// of them has lied, and nobody knows who. So the piece is fetched once more, each
// block from another of them. Then there is a choice of contents for the blocks
// that one of their two senders lied about, and the hash of the whole piece tells
// which choice is right:
//
//	first copy    a b c d      b lies
//	second copy   b c d a      what differs: the second block, and the first
//	all but b     a c c d      hash right: b lied, and nothing else was in vain
//
// If L of them lie, each block has a good sender after L+1 copies, so that L of
// them are in vain: one for each liar. A peer that has sent a whole copy of its own
// is proven to lie if that copy is bad.
package mend

import (
	"cmp"
	"math/bits"
	"slices"

	"bipfs/wire"
)

// Bounds.
const (
	MostCopies  = 4 // bad copies of one piece that are held against each other
	MostSenders = 6 // of all of them; whom to believe is tried out
	mostTries   = 32
)

// A Content is what some peers sent as one block.
type Content struct {
	Digest wire.Digest
	Data   []byte // the caller's; nil for who has digests only
	from   []wire.Peer
}

// A Piece is what came as a piece of which no copy was good.
type Piece struct {
	blocks  [][]Content // by block, in the order in which they came
	senders []wire.Peer
	copies  int
	tried   map[string]bool // choices that are known to be bad
}

// New is a piece of so many blocks of which nothing has come.
func New(blocks int) *Piece {
	return &Piece{blocks: make([][]Content, blocks), tried: map[string]bool{}}
}

// A Sent is a block of one copy.
type Sent struct {
	From   wire.Peer
	Digest wire.Digest
}

// Add takes in a bad copy, block by block. data is called for what no copy had
// before.
func (p *Piece) Add(blocks []Sent, data func(block int) []byte) {
	choice := make([]byte, len(blocks))
	for i, s := range blocks {
		if !slices.Contains(p.senders, s.From) {
			p.senders = append(p.senders, s.From)
		}
		n := slices.IndexFunc(p.blocks[i], func(c Content) bool { return c.Digest == s.Digest })
		if n < 0 {
			n = len(p.blocks[i])
			p.blocks[i] = append(p.blocks[i], Content{Digest: s.Digest, Data: data(i)})
		}
		c := &p.blocks[i][n]
		c.from = append(c.from, s.From)
		choice[i] = byte(n)
	}
	p.tried[string(choice)] = true
	p.copies++
}

// More reports whether one more copy may help: whether there are neither too many of
// them nor too many senders, and not all of these are guilty.
func (p *Piece) More() bool {
	return p.copies < MostCopies && 0 < len(p.senders) && len(p.senders) <= MostSenders
}

// Size is how many bytes of data it has.
func (p *Piece) Size() (n int64) {
	for _, contents := range p.blocks {
		for _, c := range contents {
			n += int64(len(c.Data))
		}
	}
	return n
}

// Mend looks for a choice of contents that is right, believing as many senders as
// can be. If there is none, the guilty are those whose own copy is whole, and bad; what
// only they sent is forgotten. right is asked a bounded number of times.
func (p *Piece) Mend(right func(choice []Content) bool) (choice []Content, guilty []wire.Peer) {
	if len(p.senders) > MostSenders {
		return nil, nil
	}
	believed := make([]uint, 1<<len(p.senders)-1)
	for i := range believed {
		believed[i] = uint(i + 1)
	}
	slices.SortStableFunc(believed, func(a, b uint) int { return cmp.Compare(bits.OnesCount(b), bits.OnesCount(a)) })
	tries := 0
	for _, set := range believed {
		names, ok := p.choose(set)
		if !ok {
			continue
		}
		if !p.tried[names] && tries < mostTries {
			tries++
			choice = choice[:0]
			for i, n := range []byte(names) {
				choice = append(choice, p.blocks[i][n])
			}
			if right(choice) {
				return choice, nil
			}
			p.tried[names] = true
		}
		if p.tried[names] && bits.OnesCount(set) == 1 {
			guilty = append(guilty, p.senders[bits.TrailingZeros(set)])
		}
	}
	p.forget(guilty)
	return nil, guilty
}

// forget forgets what only the guilty sent, a copy each.
func (p *Piece) forget(guilty []wire.Peer) {
	if len(guilty) == 0 {
		return
	}
	isGuilty := func(from wire.Peer) bool { return slices.Contains(guilty, from) }
	p.senders = slices.DeleteFunc(p.senders, isGuilty)
	for i := range p.blocks {
		for n := range p.blocks[i] {
			p.blocks[i][n].from = slices.DeleteFunc(p.blocks[i][n].from, isGuilty)
		}
		p.blocks[i] = slices.DeleteFunc(p.blocks[i], func(c Content) bool { return len(c.from) == 0 })
	}
	p.copies -= len(guilty)
	clear(p.tried) // its numbers are others now
}

// choose is what the senders of a set say about each block, by number, if there is
// one of them for each block and they agree.
func (p *Piece) choose(set uint) (names string, ok bool) {
	choice := make([]byte, len(p.blocks))
	for i, contents := range p.blocks {
		found := false
		for n := range contents {
			if !p.says(set, &contents[n]) {
				continue
			}
			if found {
				return "", false
			}
			found, choice[i] = true, byte(n)
		}
		if !found {
			return "", false
		}
	}
	return string(choice), true
}

// says tells whether a sender of the set sent a content.
func (p *Piece) says(set uint, c *Content) bool {
	return slices.ContainsFunc(c.from, func(from wire.Peer) bool {
		return set&(1<<slices.Index(p.senders, from)) != 0
	})
}
