package metainfo

import (
	"strconv"
	"strings"
)

// Selection is the files that a magnet link selects (BEP 53): ranges of their
// numbers in the metainfo, from 0, pads counted. An empty one selects all.
type Selection []span

type span struct{ first, last int }

// Selection is what so= of the link says. Parts of it that are neither a number
// nor a range are ignored.
func (m *Magnet) Selection() (s Selection) {
	for part := range strings.SplitSeq(m.SelectOnly, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 31)
		b, errB := strconv.ParseUint(last, 10, 31)
		if errA == nil && errB == nil && a <= b {
			s = append(s, span{int(a), int(b)})
		}
	}
	return s
}

// Has tells whether file i is selected.
func (s Selection) Has(i int) bool {
	for _, r := range s {
		if r.first <= i && i <= r.last {
			return true
		}
	}
	return len(s) == 0
}
