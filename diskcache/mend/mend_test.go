package mend

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"bipfs/wire"
)

// A lot is the peers that share a piece: each tells who it is by its number from 1,
// and whether it lies about a block.
type lot struct {
	blocks int
	lies   []func(block int) bool
}

func (l *lot) digest(sender, block int) (d wire.Digest) {
	if l.lies[sender](block) {
		d[0] = byte(sender + 1)
	}
	return d
}

// mend fetches copy after copy, in each of which every block is sent by somebody who has
// not sent it yet, until one is right. It returns how many were in vain, and who is
// guilty by then.
func (l *lot) mend(t *testing.T, order func(copies, block int) int) (vain int, guilty []wire.Peer) {
	p := New(l.blocks)
	for copies := range MostCopies + 1 {
		sent, good := make([]Sent, l.blocks), true
		for i := range sent {
			who := order(copies, i)
			sent[i] = Sent{wire.Peer(who + 1), l.digest(who, i)}
			good = good && sent[i].Digest == wire.Digest{}
		}
		if good {
			return copies, guilty
		}
		p.Add(sent, func(int) []byte { return nil })
		choice, bad := p.Mend(func(choice []Content) bool {
			return !slices.ContainsFunc(choice, func(c Content) bool { return c.Digest != wire.Digest{} })
		})
		guilty = append(guilty, bad...)
		if choice != nil {
			return copies, guilty
		}
		if !p.More() {
			return copies + 1, guilty
		}
	}
	t.Fatal("there is no end")
	return 0, nil
}

// rotated has each block sent by the next of n peers in each copy, from a random one on.
func rotated(r *rand.Rand, blocks, n int) func(copies, block int) int {
	first := make([]int, blocks)
	for i := range first {
		first[i] = i % n
	}
	r.Shuffle(blocks, func(i, j int) { first[i], first[j] = first[j], first[i] })
	return func(copies, block int) int { return (first[block] + copies) % n }
}

func always(int) bool { return true }
func never(int) bool  { return false }

// As many copies are in vain as there are liars, whoever they are; and nobody honest
// is ever guilty.
func TestLiars(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 2 + r.IntN(3)
		l := &lot{blocks: 4 + r.IntN(60)}
		liars := map[int]bool{}
		for i := range n {
			switch r.IntN(4) {
			case 0:
				l.lies = append(l.lies, always)
				liars[i] = true
			case 1:
				salt := r.IntN(10)
				l.lies = append(l.lies, func(b int) bool { return (b+salt)%10 == 0 })
				liars[i] = true
			default:
				l.lies = append(l.lies, never)
			}
		}
		vain, guilty := l.mend(t, rotated(r, l.blocks, n))
		if vain > len(liars) {
			t.Errorf("seed %d: %d of %d lie, and %d copies were in vain", seed, len(liars), n, vain)
		}
		for _, p := range guilty {
			if !liars[int(p)-1] {
				t.Errorf("seed %d: %d is guilty and did not lie", seed, p)
			}
		}
	}
}

// If all lie, all are proven guilty when each has sent all.
func TestAllLie(t *testing.T) {
	l := &lot{blocks: 16, lies: []func(int) bool{always, always, always, always}}
	vain, guilty := l.mend(t, rotated(rand.New(rand.NewPCG(1, 1)), 16, 4))
	slices.Sort(guilty)
	if want := []wire.Peer{1, 2, 3, 4}; vain != 4 || !slices.Equal(guilty, want) {
		t.Errorf("%d in vain, guilty %v", vain, guilty)
	}
}

// One peer alone is guilty at once, and nothing is asked for again.
func TestAlone(t *testing.T) {
	p := New(2)
	p.Add([]Sent{{1, wire.Digest{1}}, {1, wire.Digest{}}}, func(int) []byte { return nil })
	choice, guilty := p.Mend(func([]Content) bool { t.Error("the copy is tried again"); return false })
	if p.More() || choice != nil || len(guilty) != 1 || guilty[0] != 1 {
		t.Error(p.More(), choice, guilty)
	}
}

// Senders, copies and tries are bounded.
func TestBounds(t *testing.T) {
	for _, n := range []int{MostSenders, MostSenders + 1} {
		t.Run(fmt.Sprint(n, " senders"), func(t *testing.T) {
			p := New(2 * n)
			tries := 0
			for copies := range MostCopies {
				sent := make([]Sent, 2*n)
				for i := range sent {
					who := (i + copies) % n
					sent[i] = Sent{wire.Peer(who + 1), wire.Digest{byte(who + 1)}}
				}
				if copies > 0 && p.More() != (n <= MostSenders) {
					t.Fatalf("after %d copies: %v", copies, p.More())
				}
				p.Add(sent, func(int) []byte { return nil })
				before := tries
				choice, _ := p.Mend(func([]Content) bool { tries++; return false })
				if choice != nil || tries > before+mostTries {
					t.Fatalf("%d tries, %v", tries-before, choice)
				}
			}
			if p.More() {
				t.Error("there may be more copies for ever")
			}
			if n > MostSenders && tries > 0 {
				t.Errorf("%d tries", tries)
			}
		})
	}
}

// What was sent once is kept once, and what is chosen comes with what is kept of it.
func TestData(t *testing.T) {
	p := New(3)
	kept := 0
	data := func(int) []byte { kept++; return []byte{byte(kept)} }
	p.Add([]Sent{{1, wire.Digest{1}}, {2, wire.Digest{2}}, {2, wire.Digest{4}}}, data)
	p.Add([]Sent{{2, wire.Digest{3}}, {1, wire.Digest{2}}, {1, wire.Digest{5}}}, data)
	if kept != 5 {
		t.Errorf("%d contents are kept", kept)
	}
	choice, _ := p.Mend(func(c []Content) bool { return c[0].Digest == wire.Digest{3} })
	if len(choice) != 3 || choice[0].Data[0] != 4 || choice[1].Data[0] != 2 || choice[2].Data[0] != 3 {
		t.Errorf("%+v", choice)
	}
}
