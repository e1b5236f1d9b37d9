package selection

import "testing"

// TestLeafExposure: what leaves have proven of a peer lets it have a part in more
// open pieces, up to the bound; a piece that failed takes it away.
func TestLeafExposure(t *testing.T) {
	m := New(Config{})
	m.geo.Length, m.geo.PieceLength = 1<<30, 16<<20
	p := &peer{}
	for _, c := range []struct{ leaves, want int }{{0, 1}, {1, 2}, {14, 15}, {15, 16}, {1000, mostLeafExposure}} {
		p.leaves = c.leaves
		if got := m.exposure(p); got != c.want {
			t.Errorf("%d leaves: %d pieces, not %d", c.leaves, got, c.want)
		}
	}
	if p.doubt(); m.exposure(p) != 1 {
		t.Error("a failed piece changes nothing")
	}
}

// TestTrial: who is asked for one block only.
func TestTrial(t *testing.T) {
	others := []*peer{{}, {}}
	for _, c := range []struct {
		why  string
		m    Machine
		p    peer
		want bool
	}{
		{"v1", Machine{peers: others}, peer{}, false},
		{"a hybrid before the first proof", Machine{peers: others, leaves: true}, peer{}, false},
		{"a hybrid after it", Machine{peers: others, leaves: true, proved: true}, peer{}, true},
		{"there is nobody else", Machine{peers: others[:1], leaves: true, proved: true}, peer{}, false},
		{"a web seed", Machine{peers: others, leaves: true, proved: true}, peer{kind: Ranges}, false},
		{"trusted", Machine{peers: others, leaves: true, proved: true}, peer{trusted: true}, false},
		{"with a verified piece", Machine{peers: others, leaves: true, proved: true}, peer{streak: 1}, false},
	} {
		if got := c.m.onTrial(&c.p); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}
