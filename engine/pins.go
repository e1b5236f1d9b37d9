package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// pins are the files of a torrent that are pinned, as its state has them: "" is none,
// pinnedAll all, known or not; else their numbers in the metainfo and ranges of these,
// from 0, in order, as in 0-3,7.
type pins string

const pinnedAll pins = "all"

// parsePins checks what a state says.
func parsePins(s string) (pins, error) {
	if s == "" || pins(s) == pinnedAll {
		return pins(s), nil
	}
	next := 0 // no number before it may follow
	for part := range strings.SplitSeq(s, ",") {
		first, last, ok := parseSpan(part)
		if !ok || first < next {
			return "", fmt.Errorf("%.40q are not numbers of files", s)
		}
		next = last + 1
	}
	return pins(s), nil
}

// parseSpan reads a number or a range.
func parseSpan(s string) (first, last int, ok bool) {
	a, b, ranged := strings.Cut(s, "-")
	if !ranged {
		b = a
	}
	x, errX := strconv.ParseUint(a, 10, 31)
	y, errY := strconv.ParseUint(b, 10, 31)
	return int(x), int(y), errX == nil && errY == nil && x <= y
}

// files are they, of n.
func (p pins) files(n int) []bool {
	set := make([]bool, n)
	if p == pinnedAll {
		for i := range set {
			set[i] = true
		}
		return set
	}
	for part := range strings.SplitSeq(string(p), ",") {
		if first, last, ok := parseSpan(part); ok {
			for i := first; i <= last && i < n; i++ {
				set[i] = true
			}
		}
	}
	return set
}

// pinsOf are the pins of a set of files.
func pinsOf(set []bool) pins {
	if !slices.Contains(set, false) {
		return pinnedAll
	}
	var parts []string
	for i := 0; i < len(set); i++ {
		if !set[i] {
			continue
		}
		first := i
		for i+1 < len(set) && set[i+1] {
			i++
		}
		part := strconv.Itoa(first)
		if i > first {
			part += "-" + strconv.Itoa(i)
		}
		parts = append(parts, part)
	}
	return pins(strings.Join(parts, ","))
}

// word is what is pinned of a torrent: "all", "part" or "".
func (p pins) word() string {
	if p == "" || p == pinnedAll {
		return string(p)
	}
	return "part"
}

// pieces are those that the files have bytes in; nil: none.
func (p pins) pieces(info *metainfo.Info) (set wire.Bitfield) {
	if p == "" {
		return nil
	}
	set = wire.NewBitfield(info.Pieces())
	files := p.files(len(info.Files))
	for i, f := range info.Files {
		if !files[i] || f.Length == 0 || f.Pad {
			continue
		}
		for at := f.Offset / info.PieceLength; at <= (f.Offset+f.Length-1)/info.PieceLength; at++ {
			set.Set(wire.Piece(at))
		}
	}
	return set
}
